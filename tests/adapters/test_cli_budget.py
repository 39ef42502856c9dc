from __future__ import annotations

import pytest

from adapters.commands import Run, answer, one_line
from weighbridge.core.ledger import Charge, Settle
from weighbridge.core.policy import credit, parse
from weighbridge.core.policy.budget import scoped
from weighbridge.core.shelves import Fetch, Put
from weighbridge.ledger import Store
from weighbridge.wiring import clock

POLICIES = """\
policies:
  - {name: team-day, match: {team: "*"}, limit: {usd: 2}, window: day}
  - {name: ours, match: {team: research, tag.run: "*"}, limit: {tokens: 100}, window: "rolling 5h"}
  - {name: everything, limit: {requests: 10}, window: lifetime}
  - {name: at-once, limit: {concurrent: 3}}
"""
SCOPE = (("team", "research"), ("tag.run", "7"))
ROLLING = parse.policy(
    {"name": "ours", "match": {"team": "research", "tag.run": "*"}, "limit": {"tokens": 100}, "window": "rolling 5h"}
)


@pytest.fixture
def budgets(run: Run) -> None:
    assert run("policy", "apply", "-f", "-", stdin=POLICIES).exit_code == 0


def test_the_buckets_of_a_rolling_window_are_one_row(run: Run, store: Store, budgets: None) -> None:
    bucket = scoped(ROLLING, SCOPE, clock())
    kept = bucket.buckets()
    gone = scoped(ROLLING, SCOPE, bucket.start - bucket.span - 2 * (bucket.end - bucket.start))
    for number, (counter, amount) in enumerate([(kept[0], 1), (kept[1], 2), (kept[-2], 4), (gone, 8)]):
        store.run(Settle(f"rolling-{number}-{bucket.start}", (Charge(counter, amount),)))
    [row] = answer(run("budget", "show", "ours", "--json"))["counters"]
    assert row["scope"] == dict(SCOPE)
    assert (row["spent"], row["remaining"], row["limit"]) == (7, 93, 100)
    assert row["window_start"] < row["resets_at"] and "." not in row["resets_at"]
    assert run("budget", "list").stdout.count("tag.run 7") == 1


def test_a_credit_raises_the_limit_and_nothing_else(run: Run, store: Store, budgets: None) -> None:
    given = answer(run("budget", "credit", "team-day", "1.50", "--why", "a demo", "--team", "research", "--json"))
    assert list(given) == ["policy", "scope", "unit", "amount", "why", "limit", "resets_at"]
    assert (given["amount"], given["limit"], given["scope"]) == (1_500_000_000, 3_500_000_000, {"team": "research"})
    again = run("budget", "credit", "team-day", "1", "--why", "another", "--team", "research")
    assert "team research credited $1.00; the limit is $4.50" in again.stdout
    [row] = answer(run("budget", "show", "team-day", "--json"))["counters"]
    assert (row["limit"], row["spent"], row["remaining"]) == (4_500_000_000, 0, 4_500_000_000)
    assert "$4.50" in run("budget", "list").stdout
    assert len(store.run(Fetch("credits"))) == 2


def test_a_credit_in_a_rolling_window_and_one_for_all(run: Run, budgets: None) -> None:
    answer(run("budget", "credit", "ours", "50", "--why", "x", "--tag", "run=7", "--json"))
    [row] = answer(run("budget", "show", "ours", "--json"))["counters"]
    assert (row["scope"], row["limit"]) == (dict(SCOPE), 150)
    assert "everyone credited 5 requests" in run("budget", "credit", "everything", "5", "--why", "x").stdout


def test_credits_whose_window_is_over_are_dropped_when_one_is_written(run: Run, store: Store, budgets: None) -> None:
    day = parse.policy({"name": "team-day", "match": {"team": "*"}, "limit": {"usd": 2}, "window": "day"})
    over = scoped(day, (("team", "research"),), clock() - 3 * 86_400_000)
    store.run(Put("credits", {"old": credit.document(over, 5, "x", 0), "odd": {"counter": "no counter"}}))
    run("budget", "credit", "everything", "5", "--why", "x")
    [document] = store.run(Fetch("credits")).values()
    assert (document["policy"], document["amount"], document["why"]) == ("everything", 5, "x")


WRONG = [
    (("team-day", "1", "--why", "x"), "keeps a counter for each team: say which, --team NAME"),
    (("ours", "1", "--why", "x"), "--tag run=VALUE"),
    (("ours", "1", "--why", "x", "--team", "sales", "--tag", "run=1"), "is for team 'research', which 'sales' is not"),
    (("team-day", "1", "--why", "x", "--team", "a", "--user", "u"), "counts per team: drop --user NAME"),
    (("everything", "1", "--why", "x", "--team", "a"), "counts everything together: drop --team NAME"),
    (("team-day", "-1", "--why", "x", "--team", "a"), "lower the limit"),
    (("team-day", "0", "--why", "x", "--team", "a"), "more than 0"),
    (("team-day", "NaN", "--why", "x", "--team", "a"), "must be a number"),
    (("team-day", "1e12", "--why", "x", "--team", "a"), "at most 9007199"),
    (("ours", "1.5", "--why", "x", "--tag", "run=1"), "no decimals"),
    (("at-once", "1", "--why", "x"), "raise its limit instead"),
    (("team-dya", "1", "--why", "x"), "did you mean 'team-day'?"),
    (("everything", "1", "--why", " "), "needs a reason"),
    (("everything", "1"), "--why"),
]


@pytest.mark.parametrize(("words", "fix"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_wrong_credit_is_refused_with_the_fix(
    run: Run, store: Store, budgets: None, words: tuple[str, ...], fix: str
) -> None:
    one_line(run("budget", "credit", *words), fix)
    assert store.run(Fetch("credits")) == {}
