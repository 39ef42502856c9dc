"""What settlements teach: the line through the last bills, what two must agree on, and what is no lesson."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.counting.calibration import Calibration, Line, document, read
from weighbridge.core.counting.drawing import line
from weighbridge.core.counting.learner import FEW, Learner, calibration
from weighbridge.core.counting.lesson import (
    HIDDEN,
    Seen,
    Taught,
    Topic,
    apply,
    base_of,
    believable,
    named,
    seen,
    topic_of,
)
from weighbridge.core.lessons import KEPT, Learnt, Record
from weighbridge.core.model import Call, Estimate, Media, Message, Text, Tool

TOPIC = Topic("openai", "here", "m")
HELLO = Call("openai-chat", "m", (Message("user", (Text("hello"),)),))
LENGTHS = (40, 55, 70, 90, 120, 160, 210, 300)


def bills(*pairs: tuple[int, int], width: int = 50) -> list[Seen]:
    """Settled calls as (tokens counted, tokens billed), oldest first."""
    return [Seen(f"{n}", tokens, width, billed, tokens, 1) for n, (tokens, billed) in enumerate(pairs)]


LINES: dict[str, tuple[list[Seen], int, int]] = {
    "nothing seen": ([], 100, 100),
    "one bill as counted": (bills((100, 100)), 70, 70),
    "one bill, the bound would have held": (bills((100, 130)), 100, 130),
    "one bill, above the bound": (bills((100, 400)), 100, 100),
    "two far bills agree": (bills((100, 400), (50, 350)), 70, 370),
    "two bills disagree: as much as both say": (bills((100, 110), (100, 140)), 100, 110),
    "two bills disagree on where": (bills((100, 110), (100, 95)), 100, 100),
    "a constant": (bills(*((t, t + 250) for t in LENGTHS)), 1000, 1250),
    "a factor": (bills(*((t, round(t * 1.3)) for t in LENGTHS)), 1000, 1300),
    "a factor and a constant": (bills(*((t, round(t * 0.8) + 500) for t in LENGTHS)), 1000, 1300),
    "one stranger among many": (bills(*((t, t) for t in LENGTHS), (100, 9000)), 100, 100),
    "two strangers who disagree": (bills(*((t, t) for t in LENGTHS), (100, 3000), (100, 900)), 100, 100),
    "a new hidden prompt, said once": (bills(*((t, t + 346) for t in LENGTHS), (100, 596)), 100, 446),
    "a new hidden prompt, said twice": (bills(*((t, t + 346) for t in LENGTHS), (100, 596), (90, 586)), 100, 596),
}
"""What was billed -> (tokens counted, what the line makes of them)."""


@pytest.mark.parametrize(("ring", "tokens", "corrected"), LINES.values(), ids=LINES)
def test_lines(ring: list[Seen], tokens: int, corrected: int) -> None:
    assert abs(line(ring).tokens(tokens) - corrected) <= 2


@given(
    st.lists(st.integers(20, 5000), min_size=8, max_size=KEPT - 1),
    st.integers(0, 600),
    st.integers(20, 5000),
    st.integers(1, 50_000),
    st.data(),
)
def test_one_bill_never_moves_a_line_that_has_settled(
    lengths: list[int], add: int, absurd_tokens: int, absurd: int, data: st.DataObject
) -> None:
    ring = bills(*((t, t + add) for t in lengths))
    place = data.draw(st.integers(0, len(ring)))
    poisoned = [*ring[:place], Seen("x", absurd_tokens, 50, absurd, absurd_tokens, 1), *ring[place:]]
    # At lengths it knows: whether bills of one length show a constant or a factor, nobody can tell.
    for tokens in (min(lengths), max(lengths)):
        honest = line(ring).tokens(tokens)
        assert abs(line(poisoned).tokens(tokens) - honest) <= max(2, 0.01 * honest)


def test_relatives_lend_their_factor() -> None:
    assert line([], 1.25).tokens(100) == 125
    assert line(bills((100, 125)), 1.25).tokens(1000) == 1250, "the bill is what they say: no constant"


BILLS = {
    "as counted": (100, 100, True),
    "nothing": (100, 0, False),
    "a large hidden prompt": (3, 3000, True),
    "more than any host adds": (3, 31 + HIDDEN, False),
    "a thousand times": (10_000, 10_000_000, False),
    "a thousandth": (100_000, 100, False),
}


@pytest.mark.parametrize(("tokens", "billed", "is_one"), BILLS.values(), ids=BILLS)
def test_what_is_believed(tokens: int, billed: int, is_one: bool) -> None:
    assert believable(tokens, billed) is is_one


def test_words() -> None:
    told = bills((100, 130), (0, 7))
    assert list(seen([one.word for one in told])) == told
    assert not list(seen(["", "x", "x:1:2:3:4", "x:1:2:3:4:-5", "x:1:2:3:4:5:6", "x:1:2:3:4:é", "x:1:2:3:4:²"]))


def test_topics() -> None:
    tool = Tool("f")
    assert topic_of("cohere", "h", HELLO) == Topic("other", "h", "m")
    assert topic_of("openai", "h", replace(HELLO, tools=(tool,), tool_choice="=f")).choice == "named"
    assert topic_of("openai", "h", replace(HELLO, tools=(tool,), tool_choice="required")).choice == "required"
    assert topic_of("openai", "h", replace(HELLO, messages=(Message("user", (Media("image"),)),))).media
    assert topic_of("openai", "h", HELLO, Line(3)) != topic_of("openai", "h", HELLO), "another base"
    assert topic_of("openai", "h", HELLO, Line(3)).base == base_of(Line(3, rows=9))
    named_so = Topic("openai", "h", 'm"\né', True, "auto", True, "1a")
    assert named(named_so.name) == named_so and named_so.name.isprintable()
    with pytest.raises(ValueError):
        named("[1, 2]")


UNTEACHABLE = {
    "not all was counted": (HELLO, Estimate(10, 12, "x", whole=False)),
    "not all could be seen": (HELLO, Estimate(10, 99, "x", unseen=50)),
    "the provider runs tools": (replace(HELLO, tools=(Tool("w", server="web_search"),)), Estimate(10, 12, "x")),
    "the provider edits it": (replace(HELLO, extra={"context_edits": True}), Estimate(10, 12, "x")),
}


@pytest.mark.parametrize(("call", "estimate"), UNTEACHABLE.values(), ids=UNTEACHABLE)
def test_what_teaches_nothing_is_corrected_all_the_same(call: Call, estimate: Estimate) -> None:
    corrected, basis = apply(Taught(add=5), TOPIC, call, estimate)
    assert basis is None and corrected.tokens == 15 and corrected.upper == estimate.upper + 5


def test_a_lesson_over_an_estimate() -> None:
    counted = Estimate(100, 150, "by hand")
    corrected, basis = apply(Taught(add=20, factor=1.1, level=2, reach=0.0), TOPIC, HELLO, counted)
    assert (corrected.tokens, corrected.upper, corrected.method) == (130, 130, "learnt by hand")
    assert basis is not None and (basis.tokens, basis.width, basis.predicted, basis.level) == (100, 50, 130, 2)
    assert apply(Taught(), TOPIC, HELLO, counted)[0] is counted


def taught(learner: Learner, topic: Topic, ring: list[Seen], count: int | None = None) -> None:
    """Let it hear a record."""
    record = Record(len(ring) if count is None else count, tuple(one.word for one in ring))
    learner.take(Learnt(learner.version + 1, {topic.name: record}))


def test_a_learner_hears_what_changed() -> None:
    learner = Learner()
    assert learner.line(TOPIC) == Taught()
    taught(learner, TOPIC, bills((100, 400), (50, 350)))
    assert learner.line(TOPIC).add == 300 and learner.version == 1
    taught(learner, TOPIC, bills((100, 100)))
    assert learner.line(TOPIC).add == 0, "a store that began anew"


def test_a_new_topic_goes_by_its_relatives() -> None:
    learner = Learner()
    taught(learner, TOPIC, bills(*((t, round(1.3 * t)) for t in LENGTHS)))
    assert learner.line(TOPIC._replace(tools=True, choice="auto")).factor == pytest.approx(1.3, 0.01)
    assert learner.line(TOPIC._replace(model="other")).factor == pytest.approx(1.3, 0.01), "the host's"
    assert learner.line(TOPIC._replace(host="elsewhere")).factor == 1, "eight bills say nothing of a family"


def test_relatives_of_two_minds_say_nothing() -> None:
    learner = Learner()
    taught(learner, TOPIC, bills(*((t, t * (1 + n % 2)) for n, t in enumerate(LENGTHS))))
    assert learner.line(TOPIC._replace(media=True)).factor == 1


def test_bounds_are_what_errors_were() -> None:
    learner, ring = Learner(), bills(*((t, t) for t in (LENGTHS * 4)[:KEPT]))
    settled = [one._replace(level=2) for one in ring]
    taught(learner, TOPIC, settled)
    counted = Estimate(100, 150, "x")
    assert learner.line(TOPIC).level == 2
    assert apply(learner.line(TOPIC), TOPIC, HELLO, counted)[0].upper == 100, "never wrong so far"
    taught(learner, TOPIC._replace(model="n"), [s._replace(billed=s.billed + 10) for s in settled])
    bound = apply(learner.line(TOPIC), TOPIC, HELLO, counted)[0].upper
    assert 110 <= bound < 120, "of one family"


def test_few_bills_leave_the_bound_as_it_is() -> None:
    learner = Learner()
    taught(learner, TOPIC, bills(*((t, t) for t in (LENGTHS * 4)[: FEW - 1])))
    assert learner.line(TOPIC).reach is None


def test_bills_nobody_expects_draw_no_bounds_unless_they_are_many() -> None:
    def upper(strangers: int) -> int:
        learner = Learner()
        ring = bills(*((t, t) for t in (LENGTHS * 4)[:KEPT]))
        mixed = [s._replace(level=2, billed=s.billed + 500 * (n < strangers)) for n, s in enumerate(ring)]
        taught(learner, TOPIC, mixed)
        return Taught(reach=learner._reach("openai", 2)).above(50)

    assert upper(0) == upper(3) == 0
    assert upper(8) >= 500


def test_lessons_become_a_calibration() -> None:
    learner, below = Learner(), Calibration(lines={TOPIC.key: Line(10, 2.0, 0.5, 7)})
    over = TOPIC._replace(base=base_of(below.lines[TOPIC.key]))
    named_tool = over._replace(tools=True, choice="named", base="")
    taught(learner, TOPIC, bills((100, 400), (50, 350)))
    taught(learner, over, bills((100, 120), (50, 70), (60, 80)))
    taught(learner, named_tool, bills((100, 400), (50, 350)))
    taught(learner, named_tool._replace(choice="auto"), bills((100, 100)))
    made = calibration(learner.lessons(), below, "2026-01-01")
    assert read(document(made, {})) == made
    assert made.lines[TOPIC.key].add == 30 and made.lines[TOPIC.key].factor == 2.0, "one over the other"
    assert made.lines[named_tool.key].add == 300, "the choice with most bills"


def test_lessons_are_told() -> None:
    learner = Learner()
    taught(learner, TOPIC, [s._replace(predicted=s.billed) for s in bills((100, 110), (100, 110), (100, 110))], 40)
    [lesson] = learner.lessons()
    assert (lesson.count, lesson.error, lesson.coverage, lesson.line.tokens(100)) == (40, 0, 1, 110)


def test_bills_of_ones_own_are_heard_at_once_while_few_are_known() -> None:
    learner = Learner()
    for one in bills((100, 400), (50, 350)):
        learner.hear(TOPIC.name, one)
        learner.hear(TOPIC.name, one)
    assert learner.line(TOPIC).tokens(100) == 400 and learner.lessons()[0].line.rows == 2
    taught(learner, TOPIC, bills(*((t, t) for t in (LENGTHS * 4)[:KEPT])))
    for one in bills((100, 400), (50, 350)):
        learner.hear(TOPIC.name, one)
    assert learner.line(TOPIC).tokens(100) == 100, "the store will tell it"


def test_a_record_of_another_version_says_nothing() -> None:
    learner = Learner()
    learner.take(Learnt(7, {"[1]": Record(1, ("1:1:1:1:1:1",)), "{": Record(1, ())}))
    assert learner.version == 7 and not learner.lessons()
