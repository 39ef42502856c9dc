"""What every family does alike with media: sizes from heads, guesses where there is none, bounds for the unseen."""

from __future__ import annotations

from collections.abc import Iterable

from weighbridge.core.counting import clips
from weighbridge.core.counting.data import unseen
from weighbridge.core.counting.files import Size, image_size, pdf_pages
from weighbridge.core.counting.scale import Scale
from weighbridge.core.model import Media, Part, Text, Unseen

GUESSED_SIZE: Size = (1024, 1024)
"""An image whose head says nothing: the usual size of a generated one."""
BYTES_PER_PAGE = 50_000
"""A PDF that hides its pages."""
SOUND_BYTES_PER_SECOND = {"wav": 32_000, "mp3": 8_000, "mpeg": 8_000, "ogg": 6_000, "opus": 6_000, "aac": 12_000}
FILM_BYTES_PER_SECOND = 250_000
CHARACTERS_PER_PAGE = 2_000
"""Text on a PDF page where it cannot be read."""


def reference(scale: Scale, part: Media | Unseen, image: int = unseen.IMAGE) -> None:
    """Content that is elsewhere: named and bounded; it adds nothing to the best guess.  `image`: what a
    large one costs this model."""
    kind = part.what.split(" ", 1)[0] if isinstance(part, Unseen) else part.kind
    what = part.what if isinstance(part, Unseen) else f"{part.kind} by address"
    scale.hide(what, image if kind == "image" else unseen.BY_WORD.get(kind, unseen.OTHER))


def size(part: Media) -> Size:
    """Pixels of an image."""
    return image_size(part.data) or GUESSED_SIZE


def pages(part: Media) -> int:
    """Pages of a PDF, counted or guessed from its length."""
    return pdf_pages(part.data) or max(1, round(len(part.data) * 3 / 4 / BYTES_PER_PAGE))


def seconds(part: Media) -> float:
    """Length of a sound or a film, read or guessed from its length in bytes."""
    form = part.mime.rsplit("/", 1)[-1].removeprefix("x-")
    rate = FILM_BYTES_PER_SECOND if part.kind == "video" else SOUND_BYTES_PER_SECOND.get(form, 16_000)
    return clips.seconds(part.data) or len(part.data) * 3 / 4 / rate


def is_text(part: Media) -> bool:
    """Whether a document is given as its text."""
    return part.kind == "document" and (part.mime.startswith("text/") or part.mime == "application/json")


def texts(parts: Iterable[Part]) -> str:
    """The text parts, run together."""
    return "".join([part.text for part in parts if isinstance(part, Text)])
