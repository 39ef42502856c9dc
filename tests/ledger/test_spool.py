"""Unsettled calls on disk: what one process leaves, the next one finds, whatever became of the file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.ledger import Charge, Counter, Entry, Settle
from weighbridge.ledger import slips, spool
from weighbridge.ledger.spool import Spool, left_behind

DAY = Counter("day", "nano_usd", "day", (("team", "a|b&c=d"),), 86_400_000, 172_800_000)
ROLLING = Counter("hours", "tokens", "rolling 5h", (), 300_000, 600_000, 18_000_000)
PLUGIN = Path(spool.__file__).parents[2]


def verb(id: str, amount: int = 7) -> Settle:
    charges = (Charge(DAY, amount), Charge(ROLLING, 3))
    entry = Entry(id, team="a", tags={"run": "ü\n"}, model="m", ending="reported", nano_usd=amount,
                  charges=tuple((charge.counter.field, charge.amount) for charge in charges))  # fmt: skip
    return Settle(id, charges, entry, output=5, histories=("h|x",))


VERBS = {
    "a settlement": verb("1"),
    "a release": Settle("2"),
    "a cut": Settle("3", (Charge(DAY, 1),), Entry("3", charges=((DAY.field, 1),))),
    "an odd id": verb('x"\n\\é'),
}


@pytest.mark.parametrize("written", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize("kind", ["open", "owed"])
def test_a_line_says_the_settlement_again(kind: slips.Kind, written: Settle) -> None:
    line = slips.unsettled(kind, written)
    assert line.count(b"\n") == 1
    assert slips.read(line) == slips.Left({written.id: written}, int(kind == "owed"))


LINES = {
    "nothing": (b"", [], 0),
    "open": (slips.unsettled("open", verb("1")), [("1", 7)], 0),
    "noted twice": (slips.unsettled("open", verb("1")) + slips.unsettled("open", verb("1", 9)), [("1", 9)], 0),
    "settled": (slips.unsettled("open", verb("1")) + slips.over("1"), [], 0),
    "owed": (slips.unsettled("open", verb("1")) + slips.unsettled("owed", verb("1", 4)), [("1", 4)], 0),
    "owed and settled": (slips.unsettled("owed", verb("1")) + slips.over("1"), [], 0),
    "over unheard of": (slips.over("9") + slips.unsettled("open", verb("1")), [("1", 7)], 0),
    "two": (slips.unsettled("open", verb("1")) + slips.unsettled("open", verb("2")) + slips.over("1"), [("2", 7)], 0),
    "torn end": (slips.unsettled("open", verb("1")) + slips.unsettled("open", verb("2"))[:-9], [("1", 7)], 1),
    "torn middle": (slips.unsettled("open", verb("1"))[:40] + b"\n" + slips.over("3"), [], 1),
    "another version": (slips._line(["later", "1", {}]), [], 1),
    "not a counter": (slips._line(["open", "1", [["x", 1]], None, None, []]), [], 1),
    "zeros": (bytes(4096), [], 1),
}


@pytest.mark.parametrize(("text", "unsettled", "torn"), LINES.values(), ids=LINES)
def test_lines_come_to(text: bytes, unsettled: list[tuple[str, int]], torn: int) -> None:
    left = slips.read(text)
    assert [(id, found.charges[0].amount) for id, found in left.unsettled.items()] == unsettled
    assert len(left.torn) == torn


TEXT = b"".join(slips.unsettled("open", verb(str(n))) for n in range(5)) + slips.over("0") + slips.over("3")
WHOLE = slips.read(TEXT).unsettled
EVERY = {str(n): verb(str(n)) for n in range(5)}


@given(st.integers(0, len(TEXT)))
def test_a_file_cut_anywhere_says_what_was_whole_in_it(at: int) -> None:
    left = slips.read(TEXT[:at])
    assert len(left.torn) <= 1
    assert left.unsettled == slips.read(TEXT[: TEXT[:at].rfind(b"\n") + 1]).unsettled or not left.torn


@given(st.lists(st.tuples(st.integers(0, len(TEXT) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bits_never_change_an_amount(flips: list[tuple[int, int]]) -> None:
    text = bytearray(TEXT)
    for at, mask in flips:
        text[at] ^= mask
    left = slips.read(bytes(text))
    assert all(EVERY.get(id) == found for id, found in left.unsettled.items())


@given(st.binary(max_size=400))
def test_any_bytes_can_be_read(noise: bytes) -> None:
    left = slips.read(noise)
    assert not left.unsettled


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "a"


@pytest.fixture
def mine(place: Path) -> Iterator[Spool]:
    made = Spool(place)
    yield made
    made.close()


def files(place: Path) -> list[str]:
    return sorted(path.suffix for path in place.glob("*"))


def test_nothing_is_written_for_nothing(place: Path) -> None:
    idle = Spool(place)
    idle.over("1")
    idle.sync()
    assert idle.inherit().unsettled == {}
    idle.close()
    assert not place.exists()


def test_what_is_settled_is_left_to_nobody(place: Path, mine: Spool) -> None:
    before = Spool(place)
    for id in "123":
        before.opened(verb(id))
        before.over(id)
    before.close()
    assert files(place) == [] and not mine.inherit().unsettled


def test_what_is_unsettled_is_inherited_once(place: Path, mine: Spool) -> None:
    before, other = Spool(place), Spool(place)
    before.opened(verb("1"))
    before.owe(verb("2", 9))
    assert mine.inherit() == spool.NOTHING, "its process still lives"
    before.close()
    assert mine.inherit().unsettled == {"1": verb("1"), "2": verb("2", 9)}
    assert other.inherit() == spool.NOTHING
    [(_, running, left)] = left_behind(place)
    assert running and left.owed == 2
    mine.close()
    assert other.inherit().unsettled.keys() == {"1", "2"}, "nobody settled them, so they go on"
    other.over("1")
    other.over("2")
    other.close()
    assert files(place) == []


def test_only_this_user_may_read_it(place: Path, mine: Spool) -> None:
    mine.opened(verb("1"))
    assert [path.stat().st_mode & 0o777 for path in (place, *place.iterdir())] == [0o700, 0o600]


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from weighbridge.core.ledger import Settle
from weighbridge.ledger.spool import Spool
mine = Spool(Path(sys.argv[2]))
for n in range(int(sys.argv[3])):
    mine.opened(Settle(str(n)))
    if n % 2: mine.over(str(n))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_what_it_wrote(place: Path, mine: Spool) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(PLUGIN), str(place), "1000"], check=False)
    assert len(mine.inherit().unsettled) == 500


def test_torn_lines_are_set_aside(place: Path, mine: Spool, caplog: pytest.LogCaptureFixture) -> None:
    place.mkdir(parents=True)
    torn = slips.unsettled("owed", verb("2"))[:-5]
    (place / "1-x.jsonl").write_bytes(slips.unsettled("owed", verb("1")) + torn)
    assert mine.inherit().unsettled.keys() == {"1"}
    assert (place / "1-x.torn").read_bytes() == torn + b"\n"
    assert "cannot be read" in caplog.text


def test_a_file_stays_small(place: Path, mine: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SMALLEST", 2000)
    mine._full = 2000
    mine.opened(verb("stays"))
    for n in range(200):
        mine.opened(verb(str(n)))
        mine.over(str(n))
    [path] = place.iterdir()
    assert path.stat().st_size < 3000
    mine.close()
    assert Spool(place).inherit().unsettled.keys() == {"stays"}


def test_a_full_disk_stops_no_call(place: Path, mine: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    write, full = os.write, threading.Event()

    def failing(file: int, text: bytes) -> int:
        if full.is_set():
            if len(text) > 10:
                write(file, text[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, text)

    monkeypatch.setattr(os, "write", failing)
    monkeypatch.setattr(spool, "RETRY_SECONDS", 0.0)
    mine.opened(verb("1"))
    full.set()
    mine.opened(verb("2"))
    mine.over("1")
    full.clear()
    mine.opened(verb("3"))
    mine.close()
    [(_, _, left)] = left_behind(place)
    assert left.unsettled.keys() == {"2", "3"} and not left.torn


def test_a_directory_nobody_may_write_stops_no_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "taken").write_text("")
    mine = Spool(tmp_path / "taken" / "spool")
    mine.opened(verb("1"))
    mine.over("1")
    mine.close()
    assert caplog.text.count("in memory only") == 1


def test_what_is_spilled_is_inherited_again(place: Path, mine: Spool) -> None:
    mine.owe(verb("1"))
    mine.owe(verb("2"))
    mine.spill([verb("1")])
    assert mine.inherit().unsettled.keys() == {"1"}
    mine.close()
    assert Spool(place).inherit().unsettled.keys() == {"1", "2"}


def test_what_no_store_will_take_is_set_aside(place: Path, mine: Spool) -> None:
    mine.owe(verb("1"))
    mine.set_aside(verb("1"), "the amount is negative")
    mine.close()
    assert files(place) == [".torn"]
    assert slips.read(next(place.iterdir()).read_bytes()).unsettled == {"1": verb("1")}


def test_a_forked_process_writes_its_own_file(place: Path, mine: Spool) -> None:
    mine.opened(verb("parent"))
    child = os.fork()
    if child == 0:
        mine.opened(verb("child"))
        os._exit(0)
    os.waitpid(child, 0)
    assert len(files(place)) == 2
    assert mine.inherit().unsettled.keys() == {"child"}
