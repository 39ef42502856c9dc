from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.accuracy import ALL, Score, accuracy, quantile, table
from weighbridge.core.model import Estimate


def score(tokens: int, billed: int, upper: int | None = None, group: str = "g", kind: str = "text") -> Score:
    return Score(group, kind, Estimate(tokens, tokens if upper is None else upper, "by hand"), billed)


def test_the_figures() -> None:
    found = accuracy([score(10, 10), score(9, 10, 10), score(30, 20), score(5, 10, 9)])
    assert (found.n, found.exact, found.median, found.p95) == (4, 0.25, 0.3, 0.5)
    assert found.mean == pytest.approx(0.275)
    assert found.sum == 54 / 50
    assert (found.coverage, found.upper) == (0.75, 59 / 50)
    assert list(found.document()) == ["n", "exact", "median", "mean", "p95", "sum", "coverage", "upper"]


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([7.0], 0.95, 7.0), (list(range(1, 21)), 0.95, 19), (list(range(1, 101)), 0.95, 95), ([1, 2], 0.5, 1)],
)
def test_quantile(values: list[float], share: float, expected: float) -> None:
    assert quantile(values, share) == expected


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(1, 999), st.integers(0, 999)), min_size=1))
def test_figures_stay_in_their_bounds(rows: list[tuple[int, int, int]]) -> None:
    found = accuracy([score(tokens, billed, tokens + more) for tokens, billed, more in rows])
    assert 0 <= found.exact <= found.coverage <= 1
    assert 0 <= found.median <= found.p95
    assert 0 <= found.sum <= found.upper


def test_the_table_sums_up() -> None:
    found = table([score(1, 1, group="b"), score(1, 2, group="a", kind="tools"), score(1, 2, group="a")])
    assert list(found) == [
        ("a", "text"), ("a", "tools"), ("a", ALL), ("b", "text"), ("b", ALL), (ALL, "text"), (ALL, "tools"), (ALL, ALL),
    ]  # fmt: skip
    assert [line.n for line in found.values()] == [1, 1, 2, 1, 1, 2, 1, 3]
