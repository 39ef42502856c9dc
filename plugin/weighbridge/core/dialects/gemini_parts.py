"""Contents and parts of Gemini's API, in the words all dialects share.

Every member may be spelled in camelCase or in snake_case, and where an array is due the API takes a
single object too.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from weighbridge.core.dialects.body import compact, expect, malformed, need, want
from weighbridge.core.model import Json, Media, MediaKind, Message, Part, Role, Text, Thinking, ToolCall, ToolResult

Body = Mapping[str, Any]
_HUMP = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


def members(value: Json, where: str) -> dict[str, Any]:
    """An object with its keys in camelCase.  Refused where one member is given in both spellings."""
    found: dict[str, Any] = {}
    for key, member in expect(value, dict, where).items():
        name = _HUMP.sub(lambda hump: hump.group(1).upper(), key)
        if name in found:
            malformed(
                f"'{name}' is given twice, in camelCase and in snake_case. Send it once.", f"{where}.{name}".lstrip(".")
            )
        found[name] = member
    return found


def member(body: Body, key: str, where: str = "") -> dict[str, Any]:
    """The object `body[key]`, its keys in camelCase; {} where it is absent or null."""
    value = body.get(key)
    return {} if value is None else members(value, where + key)


def several(body: Body, key: str, where: str = "") -> list[dict[str, Any]]:
    """The objects of the array `body[key]`, or the single one that stands in its place."""
    value = body.get(key)
    if value is None:
        return []
    items = [value] if isinstance(value, dict) else expect(value, list, where + key)
    return [members(item, f"{where}{key}[{i}]") for i, item in enumerate(items)]


_ROLES: Mapping[str, Role] = {"": "user", "user": "user", "model": "assistant", "function": "tool"}


def message(content: Body, where: str) -> Message:
    """One item of `contents`, its keys in camelCase."""
    role = _ROLES.get(want(content, "role", str, "", where))
    if role is None:
        malformed("Please use a valid role: user, model.", where + "role")
    return Message(role, parts(content, where))


def parts(content: Body, where: str) -> tuple[Part, ...]:
    """The parts of a content object, its keys in camelCase."""
    items = enumerate(several(content, "parts", where))
    return tuple(found for i, item in items for found in _part(item, f"{where}parts[{i}]."))


def _part(item: Body, where: str) -> Iterator[Part]:
    signature = want(item, "thoughtSignature", str, "", where)
    if want(item, "thought", bool, False, where):
        yield Thinking(want(item, "text", str, "", where), signature)
        return
    known = [key for key in _PARTS if item.get(key) is not None]
    if len(known) > 1:
        malformed(f"Part holds {known[0]} and {known[1]}. Send them as two parts.", where + known[1])
    yield from _PARTS[known[0]](item, where) if known else _unknown(item)
    if signature:
        yield Thinking(signature=signature)


def _text(item: Body, where: str) -> Iterator[Part]:
    yield Text(need(item, "text", str, where))


def _inline(item: Body, where: str) -> Iterator[Part]:
    blob = member(item, "inlineData", where)
    where += "inlineData."
    mime = want(blob, "mimeType", str, "", where)
    # Both base64 alphabets are in use; one is enough for those who decode.
    data = need(blob, "data", str, where).replace("-", "+").replace("_", "/")
    words = _plain_text(data) if mime.startswith("text/") else None
    if words is not None:
        yield Text(words)
    else:
        name = want(blob, "displayName", str, "", where)
        yield Media(_kind(mime), mime, data=data, detail=_detail(item, where), name=name)


def _plain_text(data: str) -> str | None:
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4)).decode("utf-8")
    except (binascii.Error, ValueError):
        return None


def _file(item: Body, where: str) -> Iterator[Part]:
    reference = member(item, "fileData", where)
    where += "fileData."
    mime = want(reference, "mimeType", str, "", where)
    uri = need(reference, "fileUri", str, where)
    yield Media(_kind(mime), mime, url=uri, detail=_detail(item, where))


def _kind(mime: str) -> MediaKind:
    return _KINDS.get(mime.partition("/")[0].lower(), "document")


_KINDS: Mapping[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}


def _detail(item: Body, where: str) -> str:
    return want(member(item, "mediaResolution", where), "level", str, "", where)


def _function_call(item: Body, where: str) -> Iterator[Part]:
    call = member(item, "functionCall", where)
    where += "functionCall."
    arguments = compact(want(call, "args", dict, {}, where))
    yield ToolCall(need(call, "name", str, where), arguments, want(call, "id", str, "", where))


def _function_response(item: Body, where: str) -> Iterator[Part]:
    answer = member(item, "functionResponse", where)
    where += "functionResponse."
    words = Text(compact(want(answer, "response", dict, {}, where)))
    name, ident = need(answer, "name", str, where), want(answer, "id", str, "", where)
    yield ToolResult((words, *parts(answer, where)), name, ident)


def _server_call(item: Body, where: str) -> Iterator[Part]:
    call = member(item, "toolCall", where)
    where += "toolCall."
    arguments = compact(want(call, "args", dict, {}, where))
    yield ToolCall(want(call, "toolType", str, "", where), arguments, want(call, "id", str, "", where))


def _server_response(item: Body, where: str) -> Iterator[Part]:
    answer = member(item, "toolResponse", where)
    where += "toolResponse."
    words = Text(compact(want(answer, "response", dict, {}, where)))
    yield ToolResult((words,), want(answer, "toolType", str, "", where), want(answer, "id", str, "", where))


def _code(item: Body, where: str) -> Iterator[Part]:
    yield Text(want(member(item, "executableCode", where), "code", str, "", where + "executableCode."))


def _code_result(item: Body, where: str) -> Iterator[Part]:
    output = want(member(item, "codeExecutionResult", where), "output", str, "", where + "codeExecutionResult.")
    yield ToolResult((Text(output),), name="codeExecution")


def _unknown(item: Body) -> Iterator[Part]:
    """A kind of part that came later than this file is counted as its own JSON text."""
    rest = {key: value for key, value in item.items() if key not in _BESIDE and value is not None}
    if rest:
        yield Text(compact(rest))


_BESIDE = frozenset({"thought", "thoughtSignature", "partMetadata", "videoMetadata", "mediaResolution"})
"""Members that stand beside a part's content and are not content."""

_PARTS: Mapping[str, Callable[[Body, str], Iterator[Part]]] = {
    "text": _text,
    "inlineData": _inline,
    "fileData": _file,
    "functionCall": _function_call,
    "functionResponse": _function_response,
    "toolCall": _server_call,
    "toolResponse": _server_response,
    "executableCode": _code,
    "codeExecutionResult": _code_result,
}
