from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any

import pytest

from adapters.commands import POLICIES, Run, answer, kept_store, one_line
from weighbridge.adapters.cli import spans, usage
from weighbridge.core.ledger import Charge, Counter, Entry, Hold, Reserve, Settle
from weighbridge.core.policy import shelf
from weighbridge.core.policy.window import bounds
from weighbridge.core.shelves import Fetch
from weighbridge.ledger import Store
from weighbridge.ledger.memory import MemoryStore
from weighbridge.ledger.upkeep import Upkeep
from weighbridge.wiring import clock


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A store that no other test looks at."""
    with kept_store() as found:
        yield found


@pytest.fixture
def traffic(run: Run, store: Store, policies: None) -> Counter:
    """One settled call, one that is under way."""
    found, _ = shelf.read(store.run(Fetch("policies")))
    month = next(policy for policy in found if policy.name == "research-month")
    counter = Counter(month.name, "nano_usd", "month", (("team", "research"),), *bounds(month.window, clock()))
    id = f"call{clock()}"
    entry = Entry(
        id, team="research", model="gpt-4o", provider="openai", tags={"run": id}, ending="reported",
        input=20, output=5, cached=4, reasoning=2, nano_usd=70, overrun_nano_usd=10,
    )  # fmt: skip
    store.run(Reserve(id, (Hold(counter, 10**9, 60),)))
    store.run(Settle(id, (Charge(counter, 70),), entry))
    store.run(Reserve(f"{id}-open", (Hold(counter, 10**9, 1000),)))
    return counter


def test_budget_shows_spent_held_and_left(run: Run, traffic: Counter) -> None:
    found = answer(run("budget", "show", "research-month", "--json"))
    assert list(found) == ["policy", "mode", "unit", "limit", "counters"]
    assert (found["policy"], found["mode"], found["unit"], found["limit"]) == (
        "research-month", "enforce", "nano_usd", 10**9,
    )  # fmt: skip
    [counter] = found["counters"]
    assert list(counter) == ["scope", "window_start", "resets_at", "limit", "spent", "held", "remaining"]
    assert counter["scope"] == {"team": "research"}
    assert counter["spent"] >= 70 and counter["held"] >= 1000
    assert counter["remaining"] == 10**9 - counter["spent"] - counter["held"]
    assert counter["window_start"].endswith("-01T00:00:00Z") and counter["resets_at"].endswith("-01T00:00:00Z")


def test_budget_list_has_one_a_limit(run: Run, traffic: Counter) -> None:
    found = {budget["policy"]: budget for budget in answer(run("budget", "list", "--json"))}
    assert found.keys() == {"research-month", "tight", "at-once"}
    assert found["at-once"]["unit"] == "calls" and found["at-once"]["counters"] == []
    assert "team research" in run("budget", "list").stdout


def test_a_changed_window_starts_its_own_counters(run: Run, traffic: Counter, file: Callable[..., str]) -> None:
    run("policy", "apply", "-f", file(POLICIES.replace("window: month", "window: day")))
    assert answer(run("budget", "show", "research-month", "--json"))["counters"] == []


def test_usage_adds_up_the_journal(run: Run, store: Store, traffic: Counter) -> None:
    id = f"cut{clock()}"
    for n in range(3):
        store.run(
            Settle(f"{id}-{n}", (), Entry(f"{id}-{n}", model="m", tags={"run": id}, ending="cut off: x", nano_usd=1))
        )
    rows = [row for row in answer(run("usage", "--by", "tag.run,model", "--json")) if row["tag.run"] == id]
    assert rows == [
        {
            "tag.run": id, "model": "m", "requests": 3, "input_tokens": 0, "output_tokens": 0, "cached_tokens": 0,
            "reasoning_tokens": 0, "nano_usd": 3, "overrun_nano_usd": 0, "estimated_requests": 3,
        }
    ]  # fmt: skip
    by_team = {row["team"]: row for row in answer(run("usage", "--by", "team", "--format", "json"))}
    research = by_team["research"]
    calls = research["requests"]
    assert (research["input_tokens"], research["output_tokens"]) == (20 * calls, 5 * calls)
    assert (research["cached_tokens"], research["reasoning_tokens"]) == (4 * calls, 2 * calls)
    assert (research["nano_usd"], research["overrun_nano_usd"]) == (70 * calls, 10 * calls)
    assert research["estimated_requests"] == 0


def test_usage_pages_through_the_journal(run: Run, store: Store) -> None:
    id = f"many{clock()}"
    for n in range(1203):
        store.run(Settle(f"{id}-{n}", (), Entry(f"{id}-{n}", user=id, ending="reported", nano_usd=1)))
    rows = answer(run("usage", "--by", "user", "--json"))
    assert next(row for row in rows if row["user"] == id)["requests"] == 1203


def test_usage_tells_what_shadow_policies_would_have_refused(run: Run, store: Store) -> None:
    id = f"shadow{clock()}"
    store.run(Settle(id, (), Entry(id, decision="admit", shadow=f"models,{id}", ending="reported", nano_usd=5)))
    rows = answer(run("usage", "--by", "decision,shadow", "--json"))
    assert [row["nano_usd"] for row in rows if row["shadow"] == f"models,{id}" and row["decision"] == "admit"] == [5]


def test_usage_as_csv_and_table(run: Run, traffic: Counter) -> None:
    rows = list(csv.DictReader(io.StringIO(run("usage", "--by", "day,model", "--format", "csv").stdout)))
    assert {"day", "model", "requests", "estimated_requests"} <= rows[0].keys()
    assert "total" in run("usage").stdout


def test_usage_since(run: Run, traffic: Counter) -> None:
    assert answer(run("usage", "--since", "2100-01-01", "--json")) == []
    assert answer(run("usage", "--since", "2020-01-01", "--json"))


def at(store: Store, when: str, **fields: Any) -> None:
    """An entry settled at that time."""
    now = int(datetime.fromisoformat(when).timestamp() * 1000)
    id = f"at {when} {fields}"
    store.run(Settle(id, (), Entry(id, ending="reported", **fields), now=now))


def test_usage_of_a_month(run: Run, store: Store) -> None:
    """In a store of its own: a journal only ever goes forward."""
    url = ("--store", "memory://")
    assert answer(run("usage", "--month", "2026-10", "--json", *url)) == []
    for more in (
        ("--month", "october"),
        ("--month", "2026-13"),
        ("--month", "0000-01"),
        ("--month", "2026-10", "--since", "1d"),
    ):
        one_line(run("usage", *more, *url), "--month")
    one_line(run("usage", "--timezone", "Mars", *url), "Europe/Zurich")
    one_line(run("usage", "--since", "1h", "--until", "2h", *url), "--until")
    one_line(run("usage", "--where", "team", *url), "--where team=research")
    one_line(run("usage", "--where", "colour=red", *url), "tag.NAME")


def test_usage_between_times_and_of_one_team(opened: Store) -> None:
    for when, team, nano in (
        ("2026-09-30T21:59:59Z", "research", 1),
        ("2026-09-30T22:00:00Z", "research", 2),
        ("2026-10-31T22:59:59Z", "research", 4),
        ("2026-10-31T23:00:00Z", "research", 8),
        ("2026-10-31T23:00:00Z", "support", 16),
    ):
        at(opened, when, team=team, nano_usd=nano)
    zurich = spans.zone("Europe/Zurich")

    def spent(*time: str | None, where: tzinfo = UTC) -> int:
        start, end = spans.between(*time, where, 1793700000000)  # type: ignore[arg-type]
        return sum(entry.nano_usd for entry in usage.journal(opened, start, end))

    assert spent(None, None, "2026-10", where=zurich) == 2 + 4
    assert spent(None, None, "2026-10") == 4 + 8 + 16
    assert spent("2026-09-30", "2026-10-01", None) == 1 + 2
    assert spent("2026-10-01", None, None) == 4 + 8 + 16


def test_usage_where_and_by_month(run: Run, store: Store, traffic: Counter) -> None:
    only = answer(run("usage", "--by", "month,decision", "--where", "team=res*", "--where", "model=gpt-4o", "--json"))
    assert [list(row)[:2] for row in only] == [["month", "decision"]] and only[0]["nano_usd"] >= 70
    assert answer(run("usage", "--where", "team=nobody", "--json")) == []


def test_usage_says_where_the_journal_begins(opened: Store) -> None:
    counter = Counter("p", "requests", "lifetime", ())
    for n in range(6):
        opened.run(Settle(f"{n}", (Charge(counter, 1),), Entry(f"{n}"), now=1000 * n))
    assert usage._begins(opened, 0) is not None
    assert usage._begins(opened, 5000) is None


@pytest.fixture
def opened() -> Store:
    return MemoryStore(lambda: 0, Upkeep(journal_cap=5))
