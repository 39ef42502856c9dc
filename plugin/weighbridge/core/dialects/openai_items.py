"""Input items of the Responses format: messages, tool calls and their outputs, reasoning, references."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weighbridge.core.dialects.body import compact, expect, malformed, need, objects, want
from weighbridge.core.dialects.openai_parts import parts
from weighbridge.core.model import Json, Message, Part, Role, Text, Thinking, ToolCall, ToolResult, Unseen

Item = Mapping[str, Any]
ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

BRINGS_TOOLS: Mapping[str, Role] = {"additional_tools": "system", "tool_search_output": "tool"}
"""Items that add tools in the middle of a conversation, and whose they are."""


def messages(value: Json) -> tuple[Message, ...]:
    """The turns of `input`: nothing, a string, or an array of items."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (Message("user", (Text(value),)),)
    if not isinstance(value, list):
        malformed("Invalid type for 'input'. Give a string or an array of items.", "input")
    return tuple(_message(expect(item, dict, f"input[{i}]"), f"input[{i}].") for i, item in enumerate(value))


def kept_calls(value: Json) -> frozenset[str]:
    """The calls that carry the provider's own id beside their `call_id`: they are counted as it kept them."""
    items = value if isinstance(value, list) else []
    calls = (item for item in items if isinstance(item, dict) and item.get("type") == "function_call")
    return frozenset(str(item.get("call_id")) for item in calls if item.get("id"))


def _message(item: Item, where: str) -> Message:
    kind = want(item, "type", str, "message", where)
    if kind == "message":
        word = need(item, "role", str, where)
        role = ROLES.get(word)
        if role is None:
            malformed(f"Invalid value for '{where}role'. Use one of {', '.join(ROLES)}.", where + "role")
        return Message(role, parts(item.get("content"), where + "content"))
    if kind in BRINGS_TOOLS:
        # What it says is read as tools of the request.
        return Message(BRINGS_TOOLS[kind], ())
    read = KINDS.get(kind)
    if read is not None:
        return Message("assistant", (read(item, where),))
    output = OUTPUTS.get(kind)
    if output is not None:
        called = want(item, "call_id", str, "", where) or want(item, "id", str, "", where)
        return Message("tool", (ToolResult(_output(item.get(output), where + output), id=called),))
    return Message("assistant", (Text(compact(item)),))


def _output(value: Json, param: str) -> tuple[Part, ...]:
    """A tool's output: text, content parts, or any object of a hosted tool."""
    if isinstance(value, dict):
        return (Text(compact(value)),)
    return parts(value, param)


def _call(name: str, arguments: str) -> Callable[[Item, str], Part]:
    def read(item: Item, where: str) -> Part:
        sent = item.get(arguments)
        text = sent if isinstance(sent, str) else "" if sent is None else compact(sent)
        return ToolCall(want(item, "name", str, name, where), text, want(item, "call_id", str, "", where))

    return read


def _function_call(item: Item, where: str) -> Part:
    need(item, "name", str, where)
    want(item, "arguments", str, "", where)
    return _call("", "arguments")(item, where)


def _reasoning(item: Item, where: str) -> Part:
    pieces = [piece for key in ("summary", "content") for piece in objects(item, key, where)]
    text = "\n".join(want(piece, "text", str, "", where) for piece in pieces)
    return Thinking(text, want(item, "encrypted_content", str, "", where))


def _reference(item: Item, where: str) -> Part:
    return Unseen("item " + need(item, "id", str, where))


def _compaction(item: Item, where: str) -> Part:
    return Thinking(signature=want(item, "encrypted_content", str, "", where))


KINDS: Mapping[str, Callable[[Item, str], Part]] = {
    "function_call": _function_call,
    "custom_tool_call": _call("", "input"),
    "computer_call": _call("computer", "action"),
    "local_shell_call": _call("local_shell", "action"),
    "shell_call": _call("shell", "action"),
    "apply_patch_call": _call("apply_patch", "operation"),
    "web_search_call": _call("web_search", "action"),
    "file_search_call": _call("file_search", "queries"),
    "code_interpreter_call": _call("code_interpreter", "code"),
    "tool_search_call": _call("tool_search", "arguments"),
    "reasoning": _reasoning,
    "compaction": _compaction,
    "item_reference": _reference,
}
"""Type of an item the model wrote -> its reader."""

OUTPUTS: Mapping[str, str] = {
    "function_call_output": "output",
    "custom_tool_call_output": "output",
    "computer_call_output": "output",
    "local_shell_call_output": "output",
    "shell_call_output": "output",
    "apply_patch_call_output": "output",
}
"""Type of an item a tool answered -> where its output stands."""
