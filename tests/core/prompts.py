"""Prompts made by hand, and what they weigh, for tests of counting."""

from __future__ import annotations

from weighbridge.core.counting import estimate
from weighbridge.core.model import Call, Estimate, Message, Model, Part, Text, Tool
from weighbridge.tokenizers import load

GPT = Model("gpt-4o", "gpt-4o", "openai", max_input=128_000)
GPT5 = Model("gpt-5-mini", "gpt-5-mini", "openai")
WEATHER = Tool(
    "get_weather",
    "Weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(p) if isinstance(p, str) else p for p in parts))


def weighed(
    model: Model, *messages: Message, dialect: str = "openai-chat", limit: int | None = None, **fields: object
) -> Estimate:
    call = Call(dialect, model.name, messages, **fields)  # type: ignore[arg-type]
    return estimate(call, model, load(model.tokenizer), limit)
