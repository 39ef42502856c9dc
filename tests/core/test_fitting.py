"""What a fit finds, what it leaves alone, and what its bound promises."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.counting.calibration import Key
from weighbridge.core.fitting import Bill, conformal, fit, parted
from weighbridge.core.model import Estimate

KEY = Key("groq", "llama", tools=True)
SIZES = [20, 25, 40, 55, 80, 120, 200, 350, 500, 800, 1300, 2000]


def bills(billed: Callable[[int], float], sizes: list[int] = SIZES, key: Key = KEY) -> list[Bill]:
    return [Bill(key, Estimate(n, n * 2, "by hand"), round(billed(n)), f"recording {i}") for i, n in enumerate(sizes)]


def odd(n: int) -> float:
    """A constant, with two bills that are far off."""
    return {40: 9000, 500: 3}.get(n, n + 650)


FOUND = {
    "nothing to do": (lambda n: n, 0, 1.0),
    "a constant": (lambda n: n + 650, 650, 1.0),
    "a saving": (lambda n: n - 9, -9, 1.0),
    "a factor": (lambda n: n * 1.4, 0, 1.4),
    "both": (lambda n: n * 1.2 + 300, 300, 1.2),
    "a constant among odd bills": (odd, 650, 1.0),
}


@pytest.mark.parametrize(("billed", "add", "factor"), FOUND.values(), ids=FOUND)
def test_what_is_found(billed: Callable[[int], float], add: int, factor: float) -> None:
    line = fit(bills(billed)).lines[KEY]
    assert line.add == pytest.approx(add, abs=2)
    assert line.factor == pytest.approx(factor, abs=0.02)
    assert line.rows == len(SIZES)


def test_two_bills_are_no_evidence() -> None:
    assert not fit(bills(lambda n: n + 650, SIZES[:2])).lines


def test_three_bills_give_a_constant_and_no_factor() -> None:
    line = fit(bills(lambda n: n + 650, SIZES[:3])).lines[KEY]
    assert (line.add, line.factor) == (650, 1.0)


def test_a_constant_that_would_ruin_many_is_left_alone() -> None:
    """Two thirds of a mixed lot bill 900 more: pictures that were not told from texts."""
    line = fit(bills(lambda n: n + 900 if n % 3 else n, list(range(20, 80)))).lines[KEY]
    assert (line.add, line.factor) == (0, 1.0)


def test_noise_is_left_alone() -> None:
    draw = random.Random(7)
    line = fit(bills(lambda n: n * draw.choice((0.9, 0.95, 1.05, 1.1)), SIZES * 8)).lines[KEY]
    assert abs(line.add) <= 3 and line.factor == pytest.approx(1.0, abs=0.1)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 50_000)), min_size=3, max_size=40))
def test_few_bills_are_all_covered(rows: list[tuple[int, int]]) -> None:
    found = [Bill(KEY, Estimate(n, n + 10, "by hand"), billed, str(i)) for i, (n, billed) in enumerate(rows)]
    line = fit(found).lines[KEY]
    assert all(line.over(bill.estimate).upper >= bill.billed for bill in found)


def test_the_bound_covers_what_was_not_fitted_on() -> None:
    draw = random.Random(11)

    def some(count: int) -> list[Bill]:
        return bills(lambda n: n + 100 + draw.expovariate(0.1), [draw.randint(10, 900) for _ in range(count)])

    line = fit(some(600)).lines[KEY]
    fresh = some(2000)
    covered = sum(line.over(bill.estimate).upper >= bill.billed for bill in fresh) / len(fresh)
    assert covered >= 0.975
    wide = sum(bill.estimate.upper for bill in fresh)
    assert sum(line.over(bill.estimate).upper for bill in fresh) < wide * 1.2


@given(st.lists(st.floats(-10, 10), min_size=99, max_size=300))
def test_conformal_covers_the_share(scores: list[float]) -> None:
    edge = conformal(scores)
    assert sum(score <= edge for score in scores) >= 0.99 * len(scores)


def test_parting_keeps_sources_whole_and_is_the_same_each_time() -> None:
    found = [Bill(KEY, Estimate(1, 1, ""), 1, f"recording {i % 50}") for i in range(500)]
    kept, held = parted(found)
    assert not {bill.source for bill in kept} & {bill.source for bill in held}
    assert 0.1 < len(held) / len(found) < 0.5 and (kept, held) == parted(found)
