"""Rows of recorded traffic: what they become, what is left out of the score and why."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.errors import Refused
from weighbridge.core.exchanges import Exchange, features, read
from weighbridge.core.model import Call, Media, Message, Text, Thinking, ToolCall, ToolResult
from weighbridge.core.recordings import RECORDED

HELLO = [{"role": "user", "content": "Hello"}]
CLAUDE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": HELLO}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}


def row(dialect: str, request: Any, **more: Any) -> dict[str, Any]:
    return {"id": "1", "dialect": dialect, "model": "m", "request": request, "input_tokens": 7, **more}


def parsed(exchange: Exchange) -> Call:
    dialect = DIALECTS[exchange.raw.dialect]
    return (dialect.parse_count or dialect.parse)(exchange.raw)


FORMS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "completions": ("completions", {"prompt": "Hello"}, "openai-completions", "Hello"),
    "embeddings": ("embeddings", {"input": "Hello"}, "openai-embeddings", "Hello"),
    "embeddings of cohere": ("embeddings", {"texts": ["a", "b"]}, "openai-embeddings", "ab"),
    "embeddings of vertex": ("embeddings", {"instances": [{"content": "a"}]}, "openai-embeddings", "a"),
    "embeddings of gemini": (
        "embeddings",
        {"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}}]},
        "openai-embeddings",
        "ab",
    ),
    "one embedding": ("embeddings", {"content": {"parts": [{"text": "a"}]}}, "openai-embeddings", "a"),
    "writer": ("writer-chat", {"messages": HELLO}, "openai-chat", "Hello"),
    "responses count": ("openai-responses-count", {"input": "Hello"}, "openai-responses", "Hello"),
    "anthropic count": ("anthropic-count", {"messages": HELLO}, "anthropic-messages", "Hello"),
    "anthropic complete": ("anthropic-complete", {"prompt": "Human: Hello"}, "openai-completions", "Human: Hello"),
    "gemini count": ("gemini-count", {"contents": [{"parts": [{"text": "Hello"}]}]}, "gemini-generate", "Hello"),
    "interactions": ("gemini-interactions", {"input": "Hello"}, "gemini-generate", "Hello"),
    "claude on bedrock": ("bedrock-invoke", CLAUDE, "anthropic-messages", "Hello"),
    "nova on bedrock": ("bedrock-invoke", CONVERSE, "bedrock-converse", "Hello"),
    "titan on bedrock": (
        "bedrock-invoke",
        {"inputText": "Hello", "textGenerationConfig": {}},
        "openai-completions",
        "Hello",
    ),
    "titan's embeddings": ("bedrock-invoke", {"inputText": "Hello"}, "openai-embeddings", "Hello"),
    "nova's embeddings": (
        "bedrock-invoke",
        {"singleEmbeddingParams": {"text": {"value": "Hello"}}},
        "openai-embeddings",
        "Hello",
    ),
    "command on bedrock": ("bedrock-invoke", {"message": "Hello"}, "openai-chat", "Hello"),
    "llama on bedrock": ("bedrock-invoke", {"prompt": "Hello"}, "openai-completions", "Hello"),
    "bedrock count": (
        "bedrock-count",
        {"input": {"invokeModel": {"body": b64encode(json.dumps(CLAUDE).encode()).decode()}}},
        "anthropic-messages",
        "Hello",
    ),
    "bedrock count of converse": ("bedrock-count", {"input": {"converse": CONVERSE}}, "bedrock-converse", "Hello"),
    "cohere": ("cohere", {"messages": HELLO, "tool_choice": "REQUIRED"}, "openai-chat", "Hello"),
    "cohere, version 1": (
        "cohere",
        {"preamble": "Be brief. ", "chat_history": [{"role": "CHATBOT", "message": "Hi. "}], "message": "Hello"},
        "openai-chat",
        "Be brief. Hi. Hello",
    ),
    "ollama": ("ollama", {"messages": HELLO}, "openai-chat", "Hello"),
    "ollama generate": ("ollama", {"prompt": "Hello", "system": "Be brief. "}, "openai-chat", "Be brief. Hello"),
    "ollama raw": ("ollama", {"prompt": "Hello", "raw": True}, "openai-completions", "Hello"),
    "xai": (
        "xai-grpc",
        {"messages": [{"role": "ROLE_USER", "content": [{"text": "Hello"}]}]},
        "openai-chat",
        "Hello",
    ),
    "nothing said": ("", {"messages": HELLO, "n": 1}, "openai-chat", "Hello"),
}


@pytest.mark.parametrize(("name", "request_", "dialect", "words"), FORMS.values(), ids=FORMS)
def test_formats(name: str, request_: dict[str, Any], dialect: str, words: str) -> None:
    exchange = read(row(name, request_))
    assert exchange.raw.dialect == dialect
    call = parsed(exchange)
    assert "".join(part.text for m in call.messages for part in m.parts if isinstance(part, Text)) == words
    assert call.model == "m"


def test_every_recorded_format_is_tried() -> None:
    assert RECORDED.keys() - {name for name, *_ in FORMS.values()} == {"openai-responses-compact"}


def test_xai_tools_and_calls() -> None:
    call = parsed(
        read(
            row(
                "xai-grpc",
                {
                    "messages": [
                        {"role": "ROLE_USER", "content": [{"image_url": {"image_url": "data:image/png;base64,QQ=="}}]},
                        {"role": "ROLE_ASSISTANT", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
                        {"role": "ROLE_TOOL", "content": [{"text": "x"}]},
                    ],
                    "tools": [
                        {"function": {"name": "f", "parameters": '{"type": "object"}'}},
                        {"web_search": {}},
                    ],
                },
            )
        )
    )
    assert [type(part) for m in call.messages for part in m.parts] == [Media, ToolCall, ToolResult]
    assert [(tool.name, tool.server) for tool in call.tools] == [("f", ""), ("web_search", "web_search")]


REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "countable": ({}, ""),
    "no bill": ({"input_tokens": None}, "no bill"),
    "a bill of nothing": ({"input_tokens": 0}, "no bill"),
    "files": ({"features": ["text", "file_reference"]}, "file reference"),
    "server tools": ({"features": ["server_tools"]}, "server tools"),
    "context management": ({"features": ["context_management"]}, "context management"),
    "flagged": ({"flags": ["handwritten"]}, "flagged"),
    "synthetic": ({"synthetic": True}, "synthetic"),
    "a file without features": (
        {"request": {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}},
        "file reference",
    ),
}


@pytest.mark.parametrize(("more", "why"), REASONS.values(), ids=REASONS)
def test_left_out(more: dict[str, Any], why: str) -> None:
    exchange = read({**row("openai-chat", {"messages": HELLO}), **more})
    assert exchange.left_out(parsed(exchange)) == why


KINDS: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "text"),
    "text": (["text", "system", "streaming"], "text"),
    "documents first": (["tools", "image", "document_pdf"], "documents"),
    "tools before schemas": (["structured_output", "tools"], "tools"),
    "hidden before tools": (["tools", "encrypted_reasoning"], "hidden reasoning"),
    "thinking last": (["thinking", "structured_output"], "structured output"),
    "sound": (["audio"], "audio and video"),
}


@pytest.mark.parametrize(("words", "kind"), KINDS.values(), ids=KINDS)
def test_kinds(words: list[str], kind: str) -> None:
    exchange = read(row("openai-chat", {"messages": HELLO}, features=words))
    assert exchange.kind(parsed(exchange)) == kind


def test_features_are_seen_where_nobody_wrote_them() -> None:
    png = Media("image", "image/png", "QQ==")
    parts = (Text("x"), ToolResult((png,)), Thinking(signature="s"), Media("document", "application/pdf", "QQ=="))
    call = Call("openai-chat", "m", (Message("user", parts),), extra={"thinking": "enabled"})
    assert features(call) == {"image", "thinking", "encrypted_reasoning", "document_pdf"}
    assert "file_reference" in features(Call("openai-chat", "m", (Message("user", (Media("image", url="u"),)),)))


def test_the_host_tells_the_provider() -> None:
    request = {"messages": HELLO}
    assert read(row("openai-chat", request, host="api.groq.com", model="llama")).where == "groq"
    assert read(row("openai-chat", request, model="gpt-4o")).raw.provider == "openai"


BAD: list[Any] = [
    None, 7, {}, {"request": "x"}, row("morse", {}), row("bedrock-count", {"input": {"invokeModel": {"body": "?"}}}),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_bad_rows(bad: Any) -> None:
    with pytest.raises(Refused):
        read(bad)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("messages", "content", "role", "input", "text", "function", "parts")), inner)
    ),
    max_leaves=8,
)
FIELDS = (
    "messages", "input", "texts", "instances", "requests", "content", "prompt", "message", "chat_history", "tools",
    "inputText", "system", "singleEmbeddingParams", "tool_choice",
)  # fmt: skip


@example(dialect="bedrock-invoke", request_={"texts": 1})
@given(st.sampled_from(sorted(RECORDED)), st.dictionaries(st.sampled_from(FIELDS), values, max_size=4))
def test_any_row_is_read_or_refused(dialect: str, request_: dict[str, Any]) -> None:
    try:
        exchange = read(row(dialect, request_))
        assert isinstance(exchange.kind(parsed(exchange)), str)
    except Refused as error:
        assert error.reason == "malformed"
