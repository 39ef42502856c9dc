"""Content parts of OpenAI's formats: what a turn is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weighbridge.core.dialects.body import compact, expect, malformed, need, want
from weighbridge.core.model import Json, Media, MediaKind, Part, Text, Thinking, Unseen

Content = Mapping[str, Any]


def parts(content: Json, param: str) -> tuple[Part, ...]:
    """The parts of a message's content: nothing, a string, or an array of parts (or of strings)."""
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        malformed(f"Invalid type for '{param}'. Give a string or an array of content parts.", param)
    return tuple(part(item, f"{param}[{i}]") for i, item in enumerate(content))


def part(item: Json, param: str) -> Part:
    """One content part.  A kind that is not known is counted as the text it is."""
    if isinstance(item, str):
        return Text(item)
    content = expect(item, dict, param)
    read = KINDS.get(want(content, "type", str, "", param + "."))
    return Text(compact(content)) if read is None else read(content, param + ".")


def by_reference(kind: MediaKind, address: str, detail: str = "", name: str = "") -> Media:
    """Media from an address: a data URL holds the bytes itself."""
    if address[:5].lower() != "data:":
        return Media(kind, url=address, detail=detail, name=name)
    head, _, data = address[5:].partition(",")
    return Media(kind, mime=head.split(";")[0], data=data, detail=detail, name=name)


def _text(key: str) -> Callable[[Content, str], Part]:
    return lambda content, where: Text(need(content, key, str, where))


def _linked(kind: MediaKind, key: str) -> Callable[[Content, str], Part]:
    """An address at `key`: as a string, or as an object with `url` (and `detail`)."""

    def read(content: Content, where: str) -> Part:
        link = content.get(key)
        if link is None and content.get("file_id") is not None:
            return Unseen(f"{kind} file " + need(content, "file_id", str, where))
        if isinstance(link, str):
            return by_reference(kind, link, want(content, "detail", str, "", where))
        link = need(content, key, dict, where)
        inside = f"{where}{key}."
        return by_reference(kind, need(link, "url", str, inside), want(link, "detail", str, "", inside))

    return read


def _audio(content: Content, where: str) -> Part:
    sound = need(content, "input_audio", dict, where)
    where += "input_audio."
    return Media("audio", mime="audio/" + want(sound, "format", str, "", where), data=need(sound, "data", str, where))


def _nested_file(content: Content, where: str) -> Part:
    return _file(need(content, "file", dict, where), where + "file.")


def _file(content: Content, where: str) -> Part:
    name = want(content, "filename", str, "", where)
    for key in ("file_data", "file_url"):
        address = want(content, key, str, "", where)
        if address:
            media = by_reference("document", address, want(content, "detail", str, "", where), name)
            # Base64 without the data URL around it is accepted too.
            return media if media.data or key == "file_url" else Media("document", data=address, name=name)
    return Unseen("file " + need(content, "file_id", str, where))


def _thinking(content: Content, where: str) -> Part:
    thought = content.get("thinking")
    if isinstance(thought, str):
        return Thinking(thought)
    inside = parts(thought, where + "thinking")
    return Thinking("".join(piece.text for piece in inside if isinstance(piece, Text)))


KINDS: Mapping[str, Callable[[Content, str], Part]] = {
    "text": _text("text"),
    "input_text": _text("text"),
    "output_text": _text("text"),
    "summary_text": _text("text"),
    "reasoning_text": lambda content, where: Thinking(need(content, "text", str, where)),
    "refusal": _text("refusal"),
    "thinking": _thinking,
    "image_url": _linked("image", "image_url"),
    "input_image": _linked("image", "image_url"),
    "video_url": _linked("video", "video_url"),
    "document_url": _linked("document", "document_url"),
    "input_audio": _audio,
    "file": _nested_file,
    "input_file": _file,
}
"""Type of a part -> its reader."""
