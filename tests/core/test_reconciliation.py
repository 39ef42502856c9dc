"""The journal beside invoices: what agrees, what does not, and by how much."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.invoices import ALL, FORMATS, Invoice, Line, read
from weighbridge.core.ledger import Entry
from weighbridge.core.policy.window import zone
from weighbridge.core.reconciliation import FIGURES, Match, Reconciliation

DAY = 86_400_000
OCT_1 = 1_790_812_800_000
EXACT = Fraction(0)
CALL = Entry(
    "1", model="gpt-4o", provider="openai", dialect="openai-chat", ending="reported", input=100, output=10,
    cached=40, nano_usd=500_000, at=OCT_1 + 1,
)  # fmt: skip
BILLED = Line(OCT_1, OCT_1 + DAY, "gpt-4o-2024-08-06", 2, 200, 20, 80, 1_000_000)


def invoice(*lines: Line, name: str = "OpenAI usage", start: int = OCT_1, end: int = OCT_1 + DAY) -> Invoice:
    found = next(format for format in FORMATS if format.name == name)
    return Invoice(found, zone(found.zone), lines, start, end)


def held(bill: Invoice | list[Invoice], *entries: Entry, **options: object) -> list[Match]:
    found = Reconciliation(bill if isinstance(bill, list) else [bill], **options)  # type: ignore[arg-type]
    found.settle(entries)
    return found.matches()


def test_the_same_on_both_sides_agrees_whatever_the_model_s_date() -> None:
    (match,) = held(invoice(BILLED), CALL, replace(CALL, id="2", model="openai/gpt-4o"))
    assert (match.model, match.days(), match.beyond(EXACT)) == ("gpt-4o", "2026-10-01", ())
    assert match.journal.names == {"gpt-4o", "openai/gpt-4o"}
    assert match.differences() == dict.fromkeys(FIGURES, 0)


DIFFERENT = {
    "a call the journal lacks": ((CALL,), dict.fromkeys(FIGURES)),
    "a call too many": ((CALL,) * 3, dict.fromkeys(FIGURES)),
    "tokens": ((CALL, replace(CALL, input=99)), {"input": 1}),
    "cost": ((CALL, replace(CALL, nano_usd=400_000)), {"nano_usd": 100_000}),
}


@pytest.mark.parametrize(("entries", "differs"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_is_named(entries: tuple[Entry, ...], differs: dict[str, int]) -> None:
    (match,) = held(invoice(BILLED), *entries)
    assert set(match.beyond(EXACT)) == set(differs)
    assert {f: n for f, n in match.differences().items() if n} == {
        f: n if n is not None else match.differences()[f] for f, n in differs.items()
    }
    assert match.beyond(Fraction(1)) == ()


def test_a_tolerance_is_a_share_of_the_larger_side() -> None:
    (match,) = held(invoice(replace(BILLED, input=202)), CALL, CALL)
    assert match.beyond(Fraction(2, 202)) == ()
    assert match.beyond(Fraction(2, 203)) == ("input",)


def test_a_provider_s_rounding_is_no_difference() -> None:
    bill = replace(BILLED, nano_usd=10_000_000, slack=9_000_000)
    (match,) = held(invoice(bill), CALL, CALL)
    assert match.beyond(EXACT) == ()


def test_one_side_only() -> None:
    only_billed, only_kept = held(invoice(replace(BILLED, model="gpt-5")), replace(CALL, model="o3"))
    assert (only_billed.model, only_billed.beyond(EXACT)) == ("gpt-5", FIGURES)
    assert (only_kept.model, only_kept.beyond(EXACT)) == ("o3", FIGURES)
    assert only_kept.differences()["input"] == -100


def test_figures_an_export_lacks_are_not_compared() -> None:
    (match,) = held(invoice(replace(BILLED, requests=None, nano_usd=None)), CALL, CALL)
    assert set(match.differences()) == {"input", "output", "cached"}


def test_usage_and_costs_are_added_and_costs_may_lack_the_model() -> None:
    usage = invoice(replace(BILLED, nano_usd=None))
    costs = invoice(Line(OCT_1, OCT_1 + DAY, ALL, nano_usd=1_000_000), name="OpenAI costs")
    every, one = held([usage, costs], CALL, CALL)
    assert (every.model, every.differences()) == (ALL, {"nano_usd": 0})
    assert (one.model, one.differences()["input"]) == ("gpt-4o", 0)
    (alone,) = held(costs, CALL, CALL, replace(CALL, model="o3"))
    assert alone.differences() == {"nano_usd": -500_000}


OTHERS = {
    "another provider": replace(CALL, provider="azure"),
    "another dialect, no provider": replace(CALL, provider="", dialect="anthropic-messages"),
    "the day before": replace(CALL, at=OCT_1 - 1),
    "the day after": replace(CALL, at=OCT_1 + DAY),
}


@pytest.mark.parametrize("entry", OTHERS.values(), ids=OTHERS)
def test_what_the_invoice_is_not_for_is_left_alone(entry: Entry) -> None:
    (match,) = held(invoice(BILLED), CALL, CALL, entry)
    assert match.beyond(EXACT) == ()


def test_another_seller_and_another_name() -> None:
    mine = replace(CALL, provider="azure", model="my-deployment")
    (match,) = held(invoice(BILLED), mine, mine, CALL, aliases={"my-deployment": "gpt-4o"}, sellers=("azure",))
    assert match.beyond(EXACT) == ()


def test_days_are_the_invoice_s_and_longer_spans_are_compared_whole() -> None:
    pacific = OCT_1 + 7 * 3_600_000
    name = "Google Cloud Billing report or cost table"
    bill = Line(pacific, pacific + 31 * DAY, "gemini-2.5-pro", None, 200, 20, 80)
    call = replace(CALL, provider="gemini", model="gemini-2.5-pro", at=pacific)
    (match,) = held(
        invoice(bill, name=name, start=bill.start, end=bill.end), call, replace(call, at=bill.end - 1),
        replace(call, at=pacific - 1),
    )  # fmt: skip
    assert (match.days(), match.beyond(EXACT)) == ("2026-10-01..2026-10-31", ())


def test_what_was_estimated_is_told() -> None:
    (match,) = held(invoice(BILLED), CALL, replace(CALL, ending="cut off: the client left"))
    assert match.journal.estimated == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["gpt-4o", "o3", "gpt-5"]), st.integers(1, 10**9))))
def test_an_invoice_made_of_the_journal_always_agrees(calls: list[tuple[int, str, int]]) -> None:
    entries = [replace(CALL, at=OCT_1 + day * DAY + 5, model=model, input=size) for day, model, size in calls]
    rows = [
        {"start_time": e.at // DAY * DAY // 1000, "end_time": e.at // DAY * DAY // 1000 + 86400, "results": [
            {"model": f"{e.model}-2026-01-01", "num_model_requests": 1, "input_tokens": e.input,
             "output_tokens": e.output, "input_cached_tokens": e.cached}]}
        for e in entries
    ]  # fmt: skip
    if rows:
        matches = held(read(json.dumps({"data": rows})), *entries)
        assert [match.beyond(EXACT) for match in matches] == [()] * len(matches)
        assert sum(match.invoice.figures["input"] or 0 for match in matches) == sum(size for _, _, size in calls)
