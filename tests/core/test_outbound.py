"""An answer on its way out: what passes, what is asked for, and where it ends."""

from __future__ import annotations

import json

import pytest
from calls import planned, rules, weighed

from weighbridge.core.admission import Ticket, admit
from weighbridge.core.ledger import Granted, Short, State
from weighbridge.core.model import CutOff, Reported
from weighbridge.core.outbound import EXHAUSTED, Outbound

COVERED = 40
STATE = (State(0, 0),)
SSE = {"content-type": "text/event-stream"}
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"abc"}}]}\n\n'
"""One token, by the evidence."""
REPORT = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":50}}\n\n'
NO_ROOM = Short(STATE, (0,), COVERED, 0)


def ticket(on_exhausted: str = "cut", covered: int = COVERED) -> Ticket:
    limit = {"limit": {"usd": 25}, "window": "day", "hold": "observed", "on_exhausted": on_exhausted}
    return admit(planned(weighed(stream=True), rules(limit)), Granted(1000, STATE, 0, covered))


def refused_more(headers: dict[str, str] = SSE, on_exhausted: str = "cut") -> Outbound:
    """A stream that asked for more once, in vain."""
    out = Outbound(ticket(on_exhausted), headers)
    while out.due() is None:
        assert out.feed(WORD) == WORD and out.stop() is None
    out.answered(NO_ROOM)
    return out


def filled(out: Outbound) -> bytes | None:
    """Fed as long as it goes on; its last words."""
    while (last := out.stop()) is None and not out.ended:
        assert out.feed(WORD) == WORD
    return last


def test_it_ends_within_what_is_held_and_says_so_itself() -> None:
    out = refused_more()
    last = filled(out) or b""
    assert out.ended and out.told and out.written <= COVERED
    events = last.split(b"\n\n")
    assert json.loads(events[0].removeprefix(b"data: "))["choices"][0]["finish_reason"] == "length"
    assert events[-2:] == [b"data: [DONE]", b""]
    assert (out.feed(WORD), out.finish(), out.due(), out.stop()) == (b"", b"", None, None)
    ending = out.ending("whatever the provider makes of it")
    assert isinstance(ending, CutOff) and ending.reason == EXHAUSTED


def test_an_event_at_hand_is_passed_to_its_end_first() -> None:
    out = refused_more()
    while out.written < COVERED:
        out.feed(WORD)
    assert out.feed(WORD[:20]) == WORD[:20]
    assert out.stop() is None and out.exhausted and not out.ended
    rest = out.feed(WORD[20:] + WORD)
    assert rest.startswith(WORD[20:]) and rest.count(b"abc") == 1 and rest.endswith(b"[DONE]\n\n")
    assert out.ended


@pytest.mark.parametrize("headers", [{**SSE, "content-encoding": "gzip"}, {"content-type": "application/json"}])
def test_where_nothing_can_be_added_it_has_no_last_words(headers: dict[str, str]) -> None:
    out = Outbound(ticket(), headers)
    assert out.stop() is None and not out.ended and not out.told


def test_one_that_may_finish_goes_on() -> None:
    out = refused_more(on_exhausted="finish")
    for _ in range(2 * COVERED):
        assert out.feed(WORD) == WORD and out.stop() is None
    assert not out.exhausted


def test_what_is_extended_is_settled_with_what_it_covers_by_then() -> None:
    out = Outbound(ticket(), SSE)
    while out.due() is None:
        out.feed(WORD)
    out.answered(Granted(1000, STATE, 0, 500))
    assert out.ticket.covered == 500
    out.feed(REPORT)
    out.finish()
    assert isinstance(out.ending(), Reported)


def test_what_is_held_for_whole_is_not_watched() -> None:
    out = Outbound(ticket(covered=1000), SSE)
    for _ in range(2000):
        out.feed(WORD)
    assert (out.due(), out.stop(), out.exhausted) == (None, None, False)
