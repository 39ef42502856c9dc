"""Content blocks of Bedrock's Converse API: objects with one member, which says what they are.

A block nobody knows is counted as its own JSON text: an over-count is safer than a free ride.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from weighbridge.core.dialects.body import compact, expect, need, objects, want
from weighbridge.core.model import Json, Media, MediaKind, Part, Text, Thinking, ToolCall, ToolResult

Value = Mapping[str, Any]
MIMES: Mapping[str, str] = {
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "csv": "text/csv",
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""Format of a document -> its type; other media are KIND/FORMAT."""


def content(items: Json, where: str) -> tuple[Part, ...]:
    """The parts of an array of blocks."""
    found = expect(items, list, where)
    return tuple(part for i, item in enumerate(found) for part in _block(item, f"{where}[{i}]"))


def _block(item: Json, where: str) -> Iterator[Part]:
    block = expect(item, dict, where)
    known = [key for key in block if key in _BLOCKS and block[key] is not None]
    if not known and block:
        yield Text(compact(block))
    for key in known:
        yield from _BLOCKS[key](block[key], f"{where}.{key}")


def _text(value: Json, where: str) -> Iterator[Part]:
    yield Text(expect(value, str, where))


def _json(value: Json, where: str) -> Iterator[Part]:
    yield Text(compact(value))


def _nothing(value: Json, where: str) -> Iterator[Part]:
    yield from ()


def _media(kind: MediaKind) -> Callable[[Json, str], Iterator[Part]]:
    def read(value: Json, where: str) -> Iterator[Part]:
        item = expect(value, dict, where)
        where += "."
        if context := want(item, "context", str, "", where):
            yield Text(context)
        source = need(item, "source", dict, where)
        where += "source."
        if source.get("content") is not None:
            yield from content(source["content"], where + "content")
        elif source.get("text") is not None:
            yield Text(need(source, "text", str, where))
        else:
            yield _file(kind, item, source, where)

    return read


def _file(kind: MediaKind, item: Value, source: Value, where: str) -> Part:
    form = want(item, "format", str, "", where)
    mime = form if "/" in form else MIMES.get(form, f"{kind}/{form}")
    name = want(item, "name", str, "", where)
    if source.get("bytes") is not None:
        return Media(kind, mime, need(source, "bytes", str, where), name=name)
    address = need(need(source, "s3Location", dict, where), "uri", str, where + "s3Location.")
    return Media(kind, mime, url=address, name=name)


def _tool_use(value: Json, where: str) -> Iterator[Part]:
    item = expect(value, dict, where)
    where += "."
    arguments = item.get("input")
    yield ToolCall(
        need(item, "name", str, where),
        compact({} if arguments is None else arguments),
        want(item, "toolUseId", str, "", where),
    )


def _tool_result(value: Json, where: str) -> Iterator[Part]:
    item = expect(value, dict, where)
    parts = content(want(item, "content", list, [], where + "."), where + ".content")
    yield ToolResult(parts, id=need(item, "toolUseId", str, where + "."))


def _reasoning(value: Json, where: str) -> Iterator[Part]:
    item = expect(value, dict, where)
    where += "."
    if item.get("redactedContent") is not None:
        yield Thinking(signature=need(item, "redactedContent", str, where))
    else:
        said = need(item, "reasoningText", dict, where)
        where += "reasoningText."
        yield Thinking(want(said, "text", str, "", where), want(said, "signature", str, "", where))


def _guarded(value: Json, where: str) -> Iterator[Part]:
    item = expect(value, dict, where)
    where += "."
    if item.get("image") is not None:
        yield from _media("image")(item["image"], where + "image")
    else:
        yield Text(need(need(item, "text", dict, where), "text", str, where + "text."))


def _cited(value: Json, where: str) -> Iterator[Part]:
    yield from content(want(expect(value, dict, where), "content", list, [], where + "."), where + ".content")


def _found(value: Json, where: str) -> Iterator[Part]:
    item = expect(value, dict, where)
    where += "."
    for key in ("source", "title"):
        if words := want(item, key, str, "", where):
            yield Text(words)
    for i, piece in enumerate(objects(item, "content", where)):
        yield Text(need(piece, "text", str, f"{where}content[{i}]."))


_BLOCKS: Mapping[str, Callable[[Json, str], Iterator[Part]]] = {
    "text": _text,
    "json": _json,
    "cachePoint": _nothing,
    "image": _media("image"),
    "document": _media("document"),
    "video": _media("video"),
    "audio": _media("audio"),
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    "reasoningContent": _reasoning,
    "guardContent": _guarded,
    "citationsContent": _cited,
    "searchResult": _found,
}
