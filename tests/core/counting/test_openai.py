"""What OpenAI bills beside text: calls, channels, instructions, hosts, images, documents, reasoning."""

from __future__ import annotations

import pytest
from prompts import GPT, GPT5, WEATHER, user, weighed

from weighbridge.core.counting import estimate, openai
from weighbridge.core.model import Call, Media, Message, Model, OutputSchema, Text, Thinking, ToolCall, ToolResult
from weighbridge.tokenizers import load

CITIES = ("Rome", "Oslo")
CALLS = [ToolCall("get_weather", f'{{"city":"{city}"}}', city) for city in CITIES]
RESULTS = [Message("tool", (ToolResult((Text("dry"),), id=city),)) for city in CITIES]


def test_calls_at_once_are_wrapped_in_chat_only() -> None:
    both = (user("?"), Message("assistant", tuple(CALLS)), *RESULTS)
    apart = (user("?"), *(Message("assistant", (call,)) for call in CALLS), *RESULTS)
    found = [weighed(GPT, *turns, dialect="openai-responses").tokens for turns in (both, apart)]
    assert found[0] == found[1] < weighed(GPT, *both).tokens


def test_calls_with_the_providers_own_id_cost_more() -> None:
    seen = (user("?"), Message("assistant", (CALLS[0],)), RESULTS[0])
    plain = weighed(GPT, *seen, dialect="openai-responses").tokens
    assert weighed(GPT, *seen, dialect="openai-responses", extra={"kept_calls": ("Rome",)}).tokens - plain == 3


@pytest.mark.parametrize(
    ("name", "dialect", "more"),
    [
        ("gpt-4o", "openai-responses", 216),
        ("o3-mini", "openai-responses", 59),
        ("computer-use-preview", "openai-responses", 0),
        ("gpt-4o", "openai-chat", 4),
    ],
)
def test_empty_instructions_are_the_providers_own(name: str, dialect: str, more: int) -> None:
    model = Model(name, name, "openai")
    empty = weighed(model, Message("system", (Text(""),)), user("hi"), dialect=dialect)
    assert empty.tokens - weighed(model, user("hi"), dialect=dialect).tokens == more


def test_one_required_tool_is_a_named_one_in_responses() -> None:
    asked = [
        weighed(GPT, user("?"), dialect="openai-responses", tools=(WEATHER,), tool_choice=choice).tokens
        for choice in ("required", "=get_weather", "auto")
    ]
    assert asked[0] == asked[1] == asked[2] + 7 + 2


def test_a_name_that_says_the_role_costs_its_own_token() -> None:
    named = [weighed(GPT, Message("user", (Text("hi"),), name)).tokens for name in ("user", "critic", "")]
    assert named == [named[2] + 1, named[2] + 2, named[2]]


@pytest.mark.parametrize(
    ("model", "schema", "more"), [(GPT, False, 0), (GPT, True, 4), (GPT5, False, 2)], ids=["plain", "schema", "gpt-5"]
)
def test_an_answer_in_the_history_has_a_channel(model: Model, schema: bool, more: int) -> None:
    wanted = OutputSchema("answer", {"type": "object"}) if schema else None
    spoken = weighed(model, user("hi"), Message("assistant", (Text("A boat."),)), schema=wanted)
    assert spoken.tokens - weighed(model, user("hi"), schema=wanted).tokens == 4 + 3 + more


@pytest.mark.parametrize(
    ("host", "dialect", "more"),
    [("", "openai-chat", 82), ("openrouter", "openai-chat", 0), ("bedrock", "openai-responses", 6)],
)
def test_the_host_adds_to_tools(host: str, dialect: str, more: int) -> None:
    plain = Call("openai-responses", GPT5.name, (user("hi"),), (WEATHER,))
    sent = Call(dialect, GPT5.name, (user("hi"),), (WEATHER,))
    found = [estimate(call, GPT5, load("o200k_base"), host=at).tokens for call, at in ((plain, ""), (sent, host))]
    assert found[1] - found[0] == more


@pytest.mark.parametrize(
    ("name", "detail", "tokens"),
    [
        ("gpt-4o", "", 765),
        ("gpt-4o", "low", 85),
        ("gpt-4o-mini", "auto", 25_501),
        ("gpt-4.1-mini", "low", 1660),
        ("gpt-5-mini", "", 1231),
        ("gpt-5.2", "", 1229),
        ("gpt-5.4", "low", 1229),
        ("gpt-5.5", "low", 308),
        ("gpt-5.6-sol", "high", 1229),
        ("o1", "high", 675),
    ],
)
def test_images_by_model_and_detail(name: str, detail: str, tokens: int) -> None:
    assert openai.image((1024, 1024), detail, openai.rules_for(name)) == tokens


def test_a_large_image_keeps_its_size_where_the_model_can_see_it() -> None:
    found = [openai.image((4096, 4096), "", openai.rules_for(name)) for name in ("gpt-5.4", "gpt-5.5", "gpt-5.6")]
    assert found == [3000, 12_000, 19_661]


class Pages:
    """A reader that knows one text a page."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def pages(self, data: str) -> tuple[str, ...]:
        return self._texts


def test_a_pdf_is_its_text_and_its_pages() -> None:
    call = Call("openai-chat", GPT.name, (user("hi", Media("document", "application/pdf", "JVBERi0xLjQ=")),))
    pages = Pages("hello world", "hello")
    read = [estimate(call, GPT, load("o200k_base"), reader=pages, host=at).parts.media for at in ("", "openrouter")]
    assert read == [2 * 216 + 2 + 1, 10 + 2 + 1]
    assert estimate(call, GPT, load("o200k_base")).parts.media == 216


@pytest.mark.parametrize(
    ("signature", "again"),
    [("gAAAAA" + "x" * 1054, 0), ("rsn_" + "x" * 796, 17)],
    ids=["openai", "bedrock"],
)
def test_encrypted_reasoning(signature: str, again: int) -> None:
    thought = Message("assistant", (Thinking(signature=signature),))
    plain, during, later = (
        weighed(GPT, *turns, dialect="openai-responses").tokens
        for turns in ((user("a"), user("b")), (user("a"), user("b"), thought), (user("a"), thought, user("b")))
    )
    assert during - plain == (36 if again == 0 else 17)
    assert later - plain == again
