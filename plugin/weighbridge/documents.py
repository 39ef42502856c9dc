"""The text of PDFs, read with pypdf, which is loaded at the first of them."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice

from weighbridge.core.counting.files import decoded

MOST_CHARACTERS = 48 << 20
"""Base64 characters of a file that is read; providers refuse longer ones."""
MOST_PAGES = 100
"""Pages that are read; the others are taken to be like them."""
REMEMBERED = 64
"""Files whose texts are kept: a chat sends its documents again with every turn."""

log = logging.getLogger(__name__)


class PdfReader:
    """Reads PDFs, and remembers what it read by content.  Threads may share it."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Sequence[str] | None] = {}

    def pages(self, data: str) -> Sequence[str] | None:
        """The text of each page of a PDF (base64); None where it cannot be read.  Never raises."""
        key = (hash(data), len(data))
        if key in self._known:
            return self._known[key]
        found = _pages(data) if len(data) <= MOST_CHARACTERS else None
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = found
        return found


@lru_cache(maxsize=1)
def reader() -> PdfReader | None:
    """This process's reader; None where pypdf is not installed."""
    if find_spec("pypdf") is None:
        return None
    # It warns of every flaw of a file, and files come from clients.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    return PdfReader()


def _pages(data: str) -> Sequence[str] | None:
    import pypdf

    try:
        document = pypdf.PdfReader(io.BytesIO(decoded(data, len(data))))
        count = len(document.pages)
        texts = [page.extract_text() for page in islice(document.pages, MOST_PAGES)]
    except Exception as error:  # a broken file makes a parser raise anything; its text is then guessed
        log.debug("a PDF of %d characters cannot be read: %s", len(data), type(error).__name__)
        return None
    return [texts[i % len(texts)] for i in range(count)]
