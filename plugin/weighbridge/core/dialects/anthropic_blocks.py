"""Content blocks of Anthropic's Messages API, in the words all dialects share.

A block type this table does not know is counted as its own JSON text: providers add types faster
than anybody can follow, and an over-count is safer than a crash or a free ride.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from weighbridge.core.dialects.body import compact, expect, malformed, need, want
from weighbridge.core.model import Json, Media, Part, Text, Thinking, ToolCall, ToolResult, Unseen

Block = Mapping[str, Any]
Parts = tuple[Part, ...]


def content(value: Json, where: str) -> Parts:
    """The parts of a `content` or `system` value: a string, or an array of blocks."""
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, list):
        malformed(f"{where}: Input should be a valid string or an array of content blocks", where)
    return tuple(part for i, item in enumerate(value) for part in block(item, f"{where}.{i}"))


def block(value: Json, where: str) -> Parts:
    """The parts of one content block."""
    item = expect(value, dict, where)
    kind = need(item, "type", str, where + ".")
    read = _BLOCKS.get(kind, _server_block(kind))
    return tuple(read(item, where + "."))


def _text(item: Block, where: str) -> Iterator[Part]:
    yield Text(need(item, "text", str, where))


def _image(item: Block, where: str) -> Iterator[Part]:
    source = need(item, "source", dict, where)
    yield _source("image", source, where + "source.")


def _document(item: Block, where: str) -> Iterator[Part]:
    for key in ("title", "context"):
        if words := want(item, key, str, "", where):
            yield Text(words)
    source = need(item, "source", dict, where)
    if need(source, "type", str, where + "source.") == "content":
        yield from content(source.get("content"), where + "source.content")
    else:
        yield _source("document", source, where + "source.")


def _source(kind: Any, source: Block, where: str) -> Part:
    form = need(source, "type", str, where)
    mime = want(source, "media_type", str, "", where)
    if form == "text":
        words = need(source, "data", str, where)
        return Media(kind, mime or "text/plain", data=base64.b64encode(words.encode("utf-8", "replace")).decode())
    if form == "base64":
        return Media(kind, mime, data=need(source, "data", str, where))
    if form == "url":
        return Media(kind, mime, url=need(source, "url", str, where))
    if form == "file":
        return Unseen(f"{kind} file {need(source, 'file_id', str, where)}")
    malformed(f"{where}type: Input should be 'base64', 'text', 'content', 'url' or 'file'", where + "type")


def _tool_use(item: Block, where: str) -> Iterator[Part]:
    arguments = compact(need(item, "input", dict, where))
    yield ToolCall(need(item, "name", str, where), arguments, want(item, "id", str, "", where))


def _tool_result(item: Block, where: str) -> Iterator[Part]:
    value = item.get("content")
    parts = () if value is None else content(value, where + "content")
    want(item, "is_error", bool, False, where)
    yield ToolResult(parts, id=need(item, "tool_use_id", str, where))


def _thinking(item: Block, where: str) -> Iterator[Part]:
    yield Thinking(need(item, "thinking", str, where), want(item, "signature", str, "", where))


def _redacted(item: Block, where: str) -> Iterator[Part]:
    yield Thinking(signature=need(item, "data", str, where))


def _search_result(item: Block, where: str) -> Iterator[Part]:
    yield Text(need(item, "source", str, where))
    yield Text(need(item, "title", str, where))
    yield from content(item.get("content"), where + "content")


def _upload(item: Block, where: str) -> Iterator[Part]:
    yield Unseen(f"container file {need(item, 'file_id', str, where)}")


def _compaction(item: Block, where: str) -> Iterator[Part]:
    yield Text(want(item, "content", str, "", where))


def _tool_reference(item: Block, where: str) -> Iterator[Part]:
    yield Text(need(item, "tool_name", str, where))


def _server_result(item: Block, where: str) -> Iterator[Part]:
    """What a tool at the provider answered: its shapes are many, its text is what counts."""
    value = item.get("content")
    parts = () if value is None else (Text(value if isinstance(value, str) else compact(value)),)
    yield ToolResult(parts, id=want(item, "tool_use_id", str, "", where))


def _unknown(item: Block, where: str) -> Iterator[Part]:
    yield Text(compact(item))


_BLOCKS: Mapping[str, Callable[[Block, str], Iterator[Part]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "server_tool_use": _tool_use,
    "mcp_tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "search_result": _search_result,
    "container_upload": _upload,
    "compaction": _compaction,
    "tool_reference": _tool_reference,
}


def _server_block(kind: str) -> Callable[[Block, str], Iterator[Part]]:
    return _server_result if kind.endswith("_tool_result") else _unknown
