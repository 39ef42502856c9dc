"""What Gemini and the hosts of open models add to a prompt."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from weighbridge.core.counting import estimate
from weighbridge.core.model import (
    Call,
    Estimate,
    Media,
    Message,
    Model,
    OutputSchema,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from weighbridge.tokenizers import load

O200K = load("o200k_base")
WEIGH = Tool("weigh", "Weigh a lorry.", {"type": "object", "properties": {"plate": {"type": "string"}}})
LIST = {"type": "array", "items": {"type": "string"}}
ASKED = (Message("user", (Text("Weigh it"),)),)
SIGNATURE = "c2ln" * 250
CALLED = (Message("assistant", (ToolCall("weigh", "{}", "t1"), Thinking(signature=SIGNATURE))),)
ANSWERED = (Message("user", (ToolResult((Text('{"weight":"7 t"}'),), "weigh", "t1"),)),)


def gemini(
    name: str, *messages: Message, host: str = "gemini", dialect: str = "gemini-generate", **more: Any
) -> Estimate:
    return estimate(Call(dialect, name, messages, **more), Model(name, family="gemini"), O200K, host=host)


def other(name: str, *messages: Message, host: str = "", dialect: str = "openai-chat", **more: Any) -> Estimate:
    return estimate(Call(dialect, name, messages, **more), Model(name, family="other"), O200K, host=host)


@pytest.mark.parametrize(
    ("name", "host", "dialect", "frame"),
    [
        ("gemini-2.5-flash", "gemini", "gemini-generate", 2),
        ("gemini-3-flash-preview", "gemini", "gemini-generate", 2),
        ("gemini-2.5-flash", "my-proxy", "gemini-generate", 2),
        ("gemini-2.5-flash", "vertex_ai", "gemini-generate", 0),
        ("gemini-2.0-flash", "gemini", "gemini-generate", 0),
        ("google/gemini-2.5-flash", "openrouter", "openai-chat", 0),
        ("gemini-2.5-flash", "gemini", "openai-chat", 2),
    ],
)
def test_a_message_costs_one_at_the_gemini_api(name: str, host: str, dialect: str, frame: int) -> None:
    messages = (Message("system", (Text("Be brief"),)), *ASKED)
    assert gemini(name, *messages, host=host, dialect=dialect).parts.frame == frame


@pytest.mark.parametrize(("text", "tokens"), [("1234", 4), ("Weigh it.\nNow", 6), ("What is 2+2?", 7)])
def test_digits_stand_alone_and_so_do_line_breaks(text: str, tokens: int) -> None:
    """`Weigh it.`, the line break and `Now`: five for OpenAI, who has one token for a mark and a break."""
    assert gemini("gemini-2.0-flash", Message("user", (Text(text),))).tokens == tokens


def test_signatures_are_billed_in_the_living_turn_and_not_by_vertex() -> None:
    living = (*ASKED, *CALLED, *ANSWERED)
    past = (*living, Message("assistant", (Text("7 t."),)), *ASKED)
    silent = tuple(Message(m.role, tuple(p for p in m.parts if not isinstance(p, Thinking))) for m in living)
    name = "gemini-3-flash-preview"
    assert gemini(name, *living).tokens - gemini(name, *silent).tokens == pytest.approx(204 - 13, abs=2)
    assert gemini(name, *past).tokens < 100 < gemini(name, *living).tokens
    assert gemini(name, *living, host="vertex_ai").tokens < 60


def test_who_is_sent_a_signature_can_think() -> None:
    """An old name that is served by a newer model."""
    history = (*ASKED, *CALLED, *ANSWERED)
    assert gemini("gemini-2.0-flash", *history).tokens == gemini("gemini-3-flash-preview", *history).tokens


def test_functions() -> None:
    bare = Tool("weigh")
    listed = Tool("weigh", "Weigh a lorry.", {"type": "object", "properties": {"plates": LIST}})
    costs = [gemini("gemini-2.5-flash", *ASKED, tools=(tool,)).tokens for tool in (bare, WEIGH, listed)]
    assert costs == sorted(costs) and 10 < costs[1] - costs[0] < 25 and 10 < costs[2] - costs[1] < 20
    there, here = (gemini("gemini-3-pro", *ASKED, tools=(bare,), host=h).tokens for h in ("vertex_ai", "gemini"))
    assert here - there == 14


def test_two_point_oh_bills_no_json_schema() -> None:
    def tokens(name: str, *json_schemas: str) -> int:
        return gemini(name, *ASKED, tools=(WEIGH,), extra={"json_schemas": list(json_schemas)}).tokens

    assert tokens("gemini-2.0-flash", "weigh") < tokens("gemini-2.0-flash", "other") == tokens("gemini-2.0-flash")
    assert tokens("gemini-2.5-flash", "weigh") == tokens("gemini-2.5-flash")


def test_what_is_said_behind_results_ends_the_turn_but_not_for_three_point_six() -> None:
    living = (*ASKED, *CALLED, *ANSWERED)
    added = [gemini(f"gemini-{v}-flash", *living, *ASKED).tokens for v in ("3", "3.6")]
    assert added[1] - added[0] == pytest.approx(204 - 13, abs=2)


def mp4(seconds: int, track: bytes) -> str:
    header = b"\0\0\0\x6cmvhd" + bytes(12) + struct.pack(">II", 1000, 1000 * seconds)
    return base64.b64encode(b"\0\0\0\x18ftypisom" + bytes(80) + b"moov" + header + b"hdlr" + track).decode()


@pytest.mark.parametrize(
    ("name", "track", "tokens"),
    [
        ("gemini-2.0-flash", b"vide", 5 * 258),
        ("gemini-2.5-flash", b"soun", 5 * (263 + 32)),
        ("gemini-3-flash-preview", b"soun", 5 * (66 + 25)),
        ("gemini-3-flash-preview", b"vide", 5 * 66),
    ],
)
def test_films_cost_their_pictures_and_their_sound(name: str, track: bytes, tokens: int) -> None:
    film = Media("video", "video/mp4", mp4(5, track))
    assert gemini(name, Message("user", (film,))).parts.media == tokens


@pytest.mark.parametrize(
    ("name", "host", "frame"),
    [
        ("gpt-oss-120b", "cerebras", 67),
        ("openai/gpt-oss-120b", "groq", 71),
        ("llama-3.3-70b", "cerebras", 35),
        ("llama-3.3-70b-versatile", "groq", 47),
        ("meta.llama3-8b-instruct-v1:0", "bedrock", 14),
        ("us.amazon.nova-micro-v1:0", "bedrock", 0),
        ("command-r7b-12-2024", "cohere", 493),
        ("grok-3-mini", "xai", 7),
        ("deepseek-v4-flash", "deepseek", 82),
        ("a-model-nobody-knows", "nobody", 6),
    ],
)
def test_frames_by_host(name: str, host: str, frame: int) -> None:
    assert other(name, *ASKED, host=host).parts.frame == frame


def test_tools_nobody_may_call_are_left_out() -> None:
    offered = {
        choice: other("llama-4-scout", *ASKED, tools=(WEIGH,), tool_choice=choice) for choice in ("auto", "none")
    }
    assert offered["none"] == other("llama-4-scout", *ASKED)
    assert offered["auto"].tokens > 600


def test_thoughts_that_templates_leave_out() -> None:
    thinking = Message("assistant", (Text("<think>Heavy, by the look of it.</think>7 t."),))
    short = Message("assistant", (Text("7 t."),))
    assert other("deepseek-r1", *ASKED, thinking).tokens == other("deepseek-r1", *ASKED, short).tokens
    assert other("qwen3-32b", *ASKED, thinking).tokens > other("qwen3-32b", *ASKED, short).tokens


def test_bedrock_shows_no_schema() -> None:
    schema = OutputSchema("answer", WEIGH.schema)
    assert other("minimax-m2", *ASKED, schema=schema, dialect="bedrock-converse").parts.schema == 0
    assert other("minimax-m2", *ASKED, schema=schema).parts.schema > 5


def test_images_in_tiles() -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 597, 566)
    image = Message("user", (Media("image", "image/png", base64.b64encode(png).decode()),))
    assert other("llama-4-maverick", image, host="groq").parts.media == 5 * 144
