"""Claude: its older vocabulary, and what comes beside the text.  Expected counts are recorded or documented bills
of prompts this short; the prompts here are our own where nobody published one."""

from __future__ import annotations

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

SONNET = Model("claude-sonnet-4-5", family="anthropic", tokenizer="claude-2")
SONNET_46 = Model("claude-sonnet-4-6", family="anthropic", tokenizer="claude-2")
OPUS_48 = Model("claude-opus-4-8", family="anthropic", tokenizer="claude-2")


def said(*words: str) -> tuple[Message, ...]:
    """Turns that alternate, the user's first."""
    return tuple(Message(("user", "assistant")[i % 2], (Text(text),)) for i, text in enumerate(words))  # type: ignore[arg-type]


def weighed(*messages: Message, model: Model = SONNET, dialect: str = "anthropic-messages", **fields: Any) -> Estimate:
    return estimate(Call(dialect, model.name, messages, **fields), model, load(model.tokenizer))


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        (("Hello, Claude",), 10),
        (("hello",), 8),
        (("Where is 12?",), 13),
        (("Where is 1234?",), 13),
        (("Hello.", "Hello.", "Hello."), 19),
        (("Finish this:", "Once upon"), 12),
    ],
    ids=["documented", "one word", "digits one by one", "but three as one", "turns", "a begun answer"],
)
def test_text(words: tuple[str, ...], tokens: int) -> None:
    assert weighed(*said(*words)).tokens == tokens


def test_the_documentations_example() -> None:
    """Printed on the token counting page."""
    found = weighed(Message("system", (Text("You are a scientist"),)), *said("Hello, Claude"))
    assert (found.tokens, found.method) == (14, "claude from claude-2")


def test_neighbouring_messages_of_one_speaker_are_one_turn() -> None:
    apart = weighed(*(Message("user", (Text(word),)) for word in ("one", "two")))
    assert apart.tokens == weighed(Message("user", (Text("one"), Text("two")))).tokens


def test_newer_models_have_smaller_tokens() -> None:
    prose = "The lorry stands on the scale and is weighed again before it leaves the yard. " * 20
    assert 1.25 < weighed(*said(prose), model=OPUS_48).tokens / weighed(*said(prose)).tokens < 1.4


def test_a_vocabulary_named_by_the_settings() -> None:
    prose = said("The lorry stands on the scale and is weighed again before it leaves the yard. " * 20)
    other = Model("claude-sonnet-4-5", family="anthropic", tokenizer="o200k_base")
    assert weighed(*prose, model=other).tokens == pytest.approx(weighed(*prose).tokens, rel=0.08)


WEIGH = Tool("weigh", "Weigh a lorry.", {"type": "object", "properties": {"plate": {"type": "string"}}})
SECRET = Tool("open_gate", "Open it.", {"type": "object", "properties": {}})
ASKED = said("Weigh ZH 1.")
CALLED = (*ASKED, Message("assistant", (ToolCall("weigh", '{"plate": "ZH 1"}', "t1"),)))


def answered(*parts: Any) -> Message:
    return Message("user", (ToolResult(tuple(parts), id="t1"),))


def test_tools_bring_a_hidden_prompt() -> None:
    plain, offered = weighed(*ASKED), weighed(*ASKED, tools=(WEIGH,))
    forced = weighed(*ASKED, tools=(WEIGH,), tool_choice="=weigh")
    assert 496 < offered.tokens - plain.tokens < 496 + 70
    assert forced.tokens - offered.tokens == 588 - 496


def test_tools_that_wait_for_a_search_are_not_in_the_prompt() -> None:
    waiting = {"tools": (WEIGH, SECRET), "extra": {"deferred_tools": ["open_gate"]}}
    assert weighed(*ASKED, **waiting) == weighed(*ASKED, tools=(WEIGH,))
    found = (*CALLED, answered(Text("open_gate")))
    assert weighed(*found, **waiting).tokens == weighed(*found, tools=(WEIGH, SECRET)).tokens


def test_arguments_are_written_one_by_one() -> None:
    none = (*ASKED, Message("assistant", (ToolCall("weigh", "{}", "t1"),)))
    broken = (*ASKED, Message("assistant", (ToolCall("weigh", '{"plate', "t1"),)))
    assert 16 < weighed(*CALLED, tools=(WEIGH,)).tokens - weighed(*none, tools=(WEIGH,)).tokens < 24
    assert weighed(*broken, tools=(WEIGH,)).tokens > weighed(*none, tools=(WEIGH,)).tokens


def test_old_thoughts_are_forgotten_by_the_older_models() -> None:
    thought = Message("assistant", (Thinking("The lorry must be weighed first.", "c2ln"), Text("Done.")))
    history = (*ASKED, thought, *said("Thanks."))
    silent = (*ASKED, Message("assistant", (Text("Done."),)), *said("Thanks."))
    assert weighed(*history).tokens == weighed(*silent).tokens
    assert weighed(*history, model=SONNET_46).tokens > weighed(*silent, model=SONNET_46).tokens
    loop = (*ASKED, Message("assistant", (*thought.parts[:1], *CALLED[1].parts)), answered(Text("7 t")))
    assert weighed(*loop).tokens > weighed(*CALLED, answered(Text("7 t"))).tokens


def test_a_schema_in_openais_words_is_a_forced_tool() -> None:
    schema = OutputSchema("answer", WEIGH.schema)
    own, translated = weighed(*ASKED, schema=schema), weighed(*ASKED, schema=schema, dialect="openai-chat")
    assert own.tokens < 150 < 588 < translated.tokens


@pytest.mark.parametrize(
    ("dialect", "name", "least"),
    [("anthropic-messages", "claude-3-7-sonnet", 1608), ("bedrock-converse", "claude-sonnet-4-5", 1608)],
)
def test_a_pdf_is_read_and_looked_at(dialect: str, name: str, least: int) -> None:
    model = Model(name, family="anthropic", tokenizer="claude-2")
    page = Media("document", "application/pdf", "JVBERi0xLjQK")
    found = weighed(Message("user", (page,)), model=model, dialect=dialect)
    assert found.parts.media > least and "text of a PDF" in found.method


def test_bedrock_shows_older_models_the_text_only() -> None:
    model = Model("anthropic.claude-3-7-sonnet", family="anthropic", tokenizer="claude-2")
    page = Media("document", "application/pdf", "JVBERi0xLjQK")
    assert weighed(Message("user", (page,)), model=model, dialect="bedrock-converse").parts.media < 1000


def test_reasoning_asked_for_in_openais_words() -> None:
    asked = [weighed(*ASKED, dialect="openai-chat", extra={"reasoning_effort": e}).tokens for e in ("none", "low")]
    assert asked[1] - asked[0] in (28, 29)
