"""`weighbridge doctor` on calls that the store does not know the end of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.commands import Run, answer
from weighbridge.core.ledger import Settle
from weighbridge.ledger.spool import Spool
from weighbridge.settings import load
from weighbridge.wiring import spool_directory


@pytest.fixture
def place(run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEIGHBRIDGE_DATA_DIR", str(tmp_path))
    found = spool_directory(load(store=url))
    assert found is not None
    return found


@pytest.fixture
def mine(place: Path) -> Iterator[Spool]:
    made = Spool(place)
    yield made
    made.close()


def told(run: Run, status: int = 0) -> list[tuple[str, str]]:
    findings = answer(run("doctor", "--json"), status)["findings"]
    return [(found["status"], found["detail"]) for found in findings if found["check"] == "unsettled"]


def test_nothing_is_unsettled(run: Run, place: Path) -> None:
    assert told(run) == [("ok", "calls running: 0")]


def test_calls_that_run_are_no_trouble(run: Run, mine: Spool) -> None:
    mine.opened(Settle("1"))
    assert told(run) == [("ok", "calls running: 1")]


def test_an_outage_is_told(run: Run, mine: Spool) -> None:
    mine.owe(Settle("1"))
    assert told(run)[1] == ("note", "1 calls ended, and the store did not take their settlement")


def test_what_was_left_behind_is_told(run: Run, mine: Spool) -> None:
    mine.opened(Settle("1"))
    mine.owe(Settle("2"))
    mine.close()
    assert told(run)[1] == ("note", "2 calls were left by a process that ended")


def test_what_was_set_aside_is_wrong(run: Run, mine: Spool, place: Path) -> None:
    mine.set_aside(Settle("1"), "it is no settlement")
    [(status, detail)] = told(run, status=1)[1:]
    assert status == "wrong" and ".torn holds settlements" in detail


def test_stores_do_not_share(url: str) -> None:
    places = [spool_directory(load(store=store)) for store in (url, "redis://a/0", "redis://a/1", "redis://u:p@a/0")]
    assert len(set(places)) == 3 and places[1] == places[3], "a password may change"
    assert spool_directory(load(store="memory://")) is None
