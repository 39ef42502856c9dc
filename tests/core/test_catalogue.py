"""Names find their model, windows follow their family, and no price is guessed."""

from __future__ import annotations

import pytest

from weighbridge.core.catalogue import REMEMBERED, Catalogue, family, prices, tokenizer

FLASH = {
    "input_cost_per_token": 3e-07,
    "output_cost_per_token": 2.5e-06,
    "cache_read_input_token_cost": 3e-08,
    "input_cost_per_audio_token": 1e-06,
    "input_cost_per_token_above_200k_tokens": 6e-07,
    "input_cost_per_token_batches": 1.5e-07,
    "output_cost_per_token_batches": 1.25e-06,
    "max_input_tokens": 1_048_576,
    "max_output_tokens": 65_536,
}
ROWS = {
    "gpt-4o": {
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "max_input_tokens": 128_000,
        "max_output_tokens": 16_384,
    },
    "azure/gpt-4o": {"input_cost_per_token": 2.75e-06, "output_cost_per_token": 1.1e-05, "max_input_tokens": 128_000},
    "gpt-3.5-turbo": {"input_cost_per_token": 5e-07, "output_cost_per_token": 1.5e-06, "max_input_tokens": 16_385},
    "gpt-5": {
        "input_cost_per_token": 1.25e-06,
        "output_cost_per_token": 1e-05,
        "max_input_tokens": 272_000,
        "max_output_tokens": 128_000,
    },
    "gpt-5.4": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1.5e-05, "max_input_tokens": 1_050_000},
    "claude-sonnet-4-5": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "max_input_tokens": 200_000},
    "claude-haiku-4-5-20251001": {
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 5e-06,
        "max_input_tokens": 200_000,
    },
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0": {
        "input_cost_per_token": 3.3e-06,
        "output_cost_per_token": 1.65e-05,
    },
    "gemini-2.5-flash": {"input_cost_per_token": 9e-07, "output_cost_per_token": 9e-06, "max_input_tokens": 1_048_576},
    "gemini/gemini-2.5-flash": FLASH,
    "groq/llama-3.3-70b-versatile": {
        "input_cost_per_token": 5.9e-07,
        "output_cost_per_token": 7.9e-07,
        "max_input_tokens": 128_000,
    },
    "xai/grok-4": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05},
    "ft:gpt-4o-2024-08-06": {"input_cost_per_token": 3.75e-06, "output_cost_per_token": 1.5e-05},
    "dall-e-3": {"input_cost_per_image": 0.04},
}
CATALOGUE = Catalogue(ROWS)

FOUND = [
    ("gpt-4o", "openai", "gpt-4o", True),
    ("gpt-4o", "azure", "azure/gpt-4o", True),
    ("azure/gpt-4o", "", "azure/gpt-4o", True),
    ("openai/gpt-4o", "", "gpt-4o", True),
    ("openrouter/openai/gpt-4o", "", "gpt-4o", True),
    ("someone/gpt-4o", "", "gpt-4o", False),
    ("gpt-4o-2024-11-20", "openai", "gpt-4o", True),
    ("gpt-4o-tuned-by-hand", "openai", "gpt-4o", False),
    ("gpt-35-turbo", "azure", "gpt-3.5-turbo", True),
    ("claude-sonnet-4-5-20250929", "anthropic", "claude-sonnet-4-5", True),
    ("claude-sonnet-4-5-latest", "anthropic", "claude-sonnet-4-5", True),
    ("claude-haiku-4-5", "anthropic", "claude-haiku-4-5-20251001", True),
    ("vertex_ai/claude-sonnet-4-5@20250929", "", "claude-sonnet-4-5", True),
    ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", True),
    ("sa.anthropic.claude-sonnet-4-5-20250929-v1:0", "", "", False),
    ("jp.anthropic.claude-sonnet-4-5-20250929-v1:0", "", "claude-sonnet-4-5", False),
    ("gemini-2.5-flash", "gemini", "gemini/gemini-2.5-flash", True),
    ("models/gemini-2.5-flash", "gemini", "gemini/gemini-2.5-flash", True),
    ("gemini-2.5-flash-preview-05-20", "gemini", "gemini/gemini-2.5-flash", True),
    ("llama-3.3-70b-versatile", "groq", "groq/llama-3.3-70b-versatile", True),
    ("grok-4", "", "xai/grok-4", True),
    ("ft:gpt-4o-2024-08-06:acme::abc", "openai", "ft:gpt-4o-2024-08-06", True),
    ("dall-e-3", "openai", "dall-e-3", False),
    ("nobody-knows-me", "openai", "", False),
    ("", "", "", False),
]


@pytest.mark.parametrize(
    ("name", "provider", "entry", "priced"), FOUND, ids=[f"{n} at {p or 'any'}" for n, p, _, _ in FOUND]
)
def test_lookup(name: str, provider: str, entry: str, priced: bool) -> None:
    model = CATALOGUE.model(name, provider)
    assert (model.name, model.entry, bool(model.prices)) == (name, entry, priced)


@pytest.mark.parametrize(
    ("name", "max_input", "window"),
    [
        ("gpt-4o", 128_000, 128_000),
        ("gpt-5", 272_000, None),
        ("gpt-5.4", 1_050_000, 1_050_000),
        ("claude-sonnet-4-5", 200_000, 200_000),
        ("gemini/gemini-2.5-flash", 1_048_576, None),
        ("nobody-knows-me", None, None),
    ],
)
def test_window(name: str, max_input: int | None, window: int | None) -> None:
    model = CATALOGUE.model(name)
    assert (model.max_input, model.window) == (max_input, window)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-4o", ("openai", "o200k_base")),
        ("gpt-4.1-mini", ("openai", "o200k_base")),
        ("gpt-4.5-preview", ("openai", "o200k_base")),
        ("gpt-4-0613", ("openai", "cl100k_base")),
        ("gpt-4", ("openai", "cl100k_base")),
        ("gpt-3.5-turbo-1106", ("openai", "cl100k_base")),
        ("o3-mini", ("openai", "o200k_base")),
        ("openai.gpt-5.6-luna", ("openai", "o200k_base")),
        ("text-embedding-3-small", ("openai", "cl100k_base")),
        ("openai/gpt-oss-120b", ("other", "o200k_base")),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", ("anthropic", "claude-2")),
        ("google/gemini-2.5-pro", ("gemini", "o200k_base")),
        ("mistral-large-latest", ("other", "o200k_base")),
    ],
)
def test_family_and_tokenizer(name: str, expected: tuple[str, str]) -> None:
    assert (family(name), tokenizer(name)) == expected


def test_rates_are_exact_and_silent_ones_follow() -> None:
    table = prices(FLASH)
    (first, low), (above, high) = table[""].steps
    assert (first, above) == (0, 200_000)
    assert (low.input, low.output, low.cache_read) == (300_000_000, 2_500_000_000, 30_000_000)
    assert (low.cache_write, low.cache_write_1h, low.reasoning) == (low.input, low.input, low.output)
    assert (high.input, high.audio_input, high.cache_read, high.output) == (
        600_000_000,
        2 * 10**9,
        60_000_000,
        low.output,
    )
    assert set(table) == {"", "batch"}
    (_, batch), (_, batch_high) = table["batch"].steps
    assert (batch.input, batch.audio_input, batch.cache_read) == (150_000_000, 500_000_000, 15_000_000)
    assert (batch_high.input, batch_high.output) == (300_000_000, 1_250_000_000)


@pytest.mark.parametrize("rate", [float("nan"), -1e-6, "0.1", None, True])
def test_a_rate_that_is_none_leaves_the_model_unpriced(rate: object) -> None:
    assert prices({"input_cost_per_token": rate, "output_cost_per_token": 1e-06}) == {}


def test_a_fraction_of_a_nano_dollar_is_rounded_up() -> None:
    assert prices({"input_cost_per_token": 1e-16, "output_cost_per_token": 0})[""].steps[0][1].input == 1


def test_overrides_lie_over_the_row() -> None:
    laid = {
        "my-finetune": {
            "max_input_tokens": 32_000,
            "max_output_tokens": 4096,
            "input_usd_per_mtok": 1.2,
            "output_usd_per_mtok": 4.8,
        },
        "gpt-4o": {"max_output_tokens": 100},
    }
    catalogue = Catalogue(ROWS, laid)
    mine, known = catalogue.model("my-finetune", "openai"), catalogue.model("gpt-4o", "openai")
    assert (mine.entry, mine.window, mine.max_output) == ("my-finetune", 32_000, 4096)
    assert (mine.prices[""].steps[0][1].input, mine.prices[""].steps[0][1].cache_read) == (1_200_000_000, 1_200_000_000)
    assert (known.max_output, known.max_input, known.prices) == (
        100,
        128_000,
        CATALOGUE.model("gpt-4o", "openai").prices,
    )


def test_a_name_as_long_as_a_book_is_unknown() -> None:
    assert CATALOGUE.model("a/" * 1_000_000).entry == ""


def test_names_from_clients_do_not_pile_up() -> None:
    catalogue = Catalogue(ROWS)
    for i in range(REMEMBERED + 10):
        catalogue.model(f"made-up-{i}")
    assert len(catalogue._known) <= REMEMBERED
