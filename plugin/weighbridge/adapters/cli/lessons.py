"""`weighbridge accuracy --live`: what settlements have taught the estimates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from weighbridge import wiring
from weighbridge.adapters.cli import show
from weighbridge.adapters.cli.session import ledger, settings
from weighbridge.core.counting.calibration import document
from weighbridge.core.counting.learner import Learner, Lesson, calibration
from weighbridge.core.counting.lesson import Topic
from weighbridge.core.lessons import Learn
from weighbridge.ledger import Store

COLUMNS: Final = ("host", "model", "content", ">bills", ">add", ">factor", ">slack", ">median error", ">covered")


def tell(export: Path | None, as_json: bool) -> None:
    """The lessons of the store; with `export`, also as a calibration's document."""
    with ledger() as store:
        lessons = learnt(store)
    if export is not None:
        _export(export, lessons)
    if as_json:
        return show.document({"live": settings().counting.live, "lessons": [_document(lesson) for lesson in lessons]})
    if settings().counting.live != "on":
        show.line(f"counting.live is {settings().counting.live}: nothing new is learnt.", "bold")
    if not lessons:
        return show.line("Nothing was learnt yet: a lesson is a settled call whose usage the provider reported.")
    show.table(COLUMNS, map(_cells, lessons))
    if export is not None:
        show.line()
        show.line(f"Written to {export}: use it with `counting: {{calibration: {export}}}` in the configuration.")


def learnt(store: Store) -> Sequence[Lesson]:
    """Every lesson in a store."""
    learner = Learner()
    while (told := store.run(Learn(since=learner.version))).records:
        learner.take(told)
    return learner.lessons()


def _export(file: Path, lessons: Sequence[Lesson]) -> None:
    today = datetime.fromtimestamp(wiring.clock() / 1000, UTC).date().isoformat()
    made = calibration(lessons, wiring.calibration(settings()), today)
    text = json.dumps(document(made, {"learnt": {"topics": len(lessons)}}), indent=1, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def _document(lesson: Lesson) -> dict[str, Any]:
    topic, line = lesson.topic, lesson.line
    return {
        **topic._asdict(),
        "bills": lesson.count,
        "add": line.add,
        "factor": round(line.factor, 6),
        "slack": round(_slack(lesson), 6),
        "median_error": round(lesson.error, 6),
        "coverage": round(lesson.coverage, 6),
    }


def _slack(lesson: Lesson) -> float:
    """The bound's distance, over the built-in one's."""
    return lesson.line.above(lesson.width) / max(1, lesson.width)


def _cells(lesson: Lesson) -> tuple[str, ...]:
    topic, line = lesson.topic, lesson.line
    figures = (f"{lesson.count:,}", f"{line.add:+,}", f"{line.factor:.3f}", f"{_slack(lesson):.2f}")
    return (topic.host, topic.model, _content(topic), *figures, f"{lesson.error:.1%}", f"{lesson.coverage:.0%}")


def _content(topic: Topic) -> str:
    tools = f"tools ({topic.choice})" if topic.tools else ""
    return " and ".join(word for word in ("media" if topic.media else "", tools) if word) or "text"
