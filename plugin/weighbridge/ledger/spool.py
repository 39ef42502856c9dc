"""Calls the store has not settled yet, on disk: what a process that ends leaves to the next one.

    spool.opened(verb)   should this process die now, the ledger is to be told this
    spool.owe(verb)      the ledger is to be told this, and did not answer
    spool.over(id)       the ledger knows
    spool.inherit()      what processes that are gone left behind; now kept here

Each process appends to a file of its own (see slips.py) and holds a lock on it, which ends with the
process whatever its end: a file nobody holds is left behind, and whoever locks it first inherits it.
Settlements have ids, so one that is made twice is charged once.

What was written survives the process at once, and the machine after `sync`.  A disk that fails is
told to the log and never to the call: its settlements are then kept in memory only, until it works.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from weighbridge.core.ledger import Settle
from weighbridge.ledger import slips
from weighbridge.ledger.slips import Left

log = logging.getLogger("weighbridge")
FILES: Final = "*.jsonl"
TORN: Final = ".torn"
"""Ending of the files that hold lines nobody could read or settle."""
SMALLEST: Final = 4 * 1024 * 1024
"""Bytes a file may grow to before it is written anew, with what is unsettled only."""
RETRY_SECONDS: Final = 1.0
"""How long a disk that failed is left alone."""
NOTHING: Final = Left({})


class Spool:
    """One process's file in a directory that others share.  The file appears with the first line."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.RLock()
        self._file = -1
        self._full = SMALLEST
        self._begin()

    def opened(self, verb: Settle) -> None:
        """A call goes on: what is to be charged should nobody live to say more.  The last word counts."""
        self._write(verb.id, slips.unsettled("open", verb))

    def owe(self, verb: Settle) -> None:
        """A call has ended, and the store does not know."""
        self._write(verb.id, slips.unsettled("owed", verb))

    def over(self, id: str) -> None:
        """The store knows."""
        with self._lock:
            if self._live.pop(id, None) is not None:
                self._append(slips.over(id))

    def sync(self) -> None:
        """Wait until what was written would survive a power cut."""
        with self._lock:
            file = os.dup(self._file) if self._file >= 0 else -1
        if file >= 0:
            try:
                os.fsync(file)
            except OSError as error:
                self._failed(error)
            finally:
                os.close(file)

    def spill(self, verbs: Iterable[Settle]) -> None:
        """Leave settlements to be inherited later, by whoever has time for them.  Raises OSError."""
        verbs = tuple(verbs)
        with self._lock:
            path = self._directory / f"{os.getpid()}-{uuid.uuid4().hex[:12]}.jsonl"
            os.close(_written(path, b"".join(slips.unsettled("owed", verb) for verb in verbs)))
            for verb in verbs:
                self.over(verb.id)

    def inherit(self) -> Left:
        """What one process that is gone left unsettled, now kept here; nothing where there is none."""
        try:
            for path, file in _abandoned(self._directory, self._path):
                try:
                    left = self._take_over(path, file)
                finally:
                    os.close(file)
                if left.unsettled:
                    return left
        except OSError as error:
            self._failed(error)
        return NOTHING

    def set_aside(self, verb: Settle, why: str) -> None:
        """The store will never take this settlement: keep it where somebody may look."""
        log.error("settlement %s was set aside in %s: %s", verb.id, self._directory, why)
        try:
            with self._lock:
                _aside(self._path, (slips.unsettled("owed", verb).rstrip(),))
                self.over(verb.id)
        except OSError as error:
            self._failed(error)

    def close(self) -> None:
        """Let go of the file; whatever is unsettled in it is left behind."""
        self.sync()
        with self._lock:
            if self._file < 0:
                return
            if not self._live and self._pid == os.getpid():
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _begin(self) -> None:
        """A file of this process's own: one that was forked must not write to its parent's."""
        if self._file >= 0:
            os.close(self._file)
        self._pid = os.getpid()
        self._path = self._directory / f"{self._pid}-{uuid.uuid4().hex[:12]}.jsonl"
        self._file, self._size = -1, 0
        self._live: dict[str, bytes] = {}
        self._failed_at: float | None = None

    def _write(self, id: str, line: bytes) -> None:
        with self._lock:
            if self._pid != os.getpid():
                self._begin()
            self._live[id] = line
            self._append(line)

    def _append(self, line: bytes) -> None:
        if self._failed_at is not None and monotonic() - self._failed_at < RETRY_SECONDS:
            return
        try:
            if self._file < 0 or self._failed_at is not None or self._size > self._full:
                return self._renew()
            if os.write(self._file, line) < len(line):
                raise OSError("no space left for a whole line")
            self._size += len(line)
        except OSError as error:
            self._failed(error)

    def _renew(self) -> None:
        """The file anew, with all that is unsettled and no more.  Raises OSError."""
        text = b"".join(self._live.values())
        file = _written(self._path, text)
        if self._file >= 0:
            os.close(self._file)
        if self._failed_at is not None:
            log.warning("unsettled calls are written to %s again", self._directory)
        self._file, self._size, self._failed_at = file, len(text), None
        self._full = max(SMALLEST, 2 * len(text))

    def _take_over(self, path: Path, file: int) -> Left:
        left = slips.read(_content(file))
        if left.torn:
            log.error("%d lines of %s cannot be read and are set aside", len(left.torn), path)
            _aside(path, left.torn)
        if left.unsettled:
            lines = {id: slips.unsettled("owed", verb) for id, verb in left.unsettled.items()}
            with self._lock:
                self._live.update(lines)
                self._renew()
            self.sync()
        path.unlink()
        return left

    def _failed(self, error: OSError) -> None:
        if self._failed_at is None:
            log.error("unsettled calls cannot be written to %s and are kept in memory only: %s", self._directory, error)
        self._failed_at = monotonic()


def left_behind(directory: Path) -> Iterator[tuple[Path, bool, Left]]:
    """Every file as it stands: (its path, whether a process still writes to it, what it leaves).
    Raises OSError."""
    for path in sorted(directory.glob(FILES)):
        with suppress(FileNotFoundError):
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield path, not _locked(file, shared=True), slips.read(_content(file))
            finally:
                os.close(file)


def _abandoned(directory: Path, own: Path) -> Iterator[tuple[Path, int]]:
    """Files nobody writes to any more, locked; to be closed by the caller."""
    for path in sorted(directory.glob(FILES)):
        if path == own:
            continue
        with suppress(FileNotFoundError):
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if _locked(file) and _still_there(file, path):
                yield path, file
            else:
                os.close(file)


def _written(path: Path, text: bytes) -> int:
    """A new file in that place, whole or not at all; the descriptor, locked.  Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(file):
            raise OSError(f"{new} is in use")
        while text:
            text = text[os.write(file, text) :]
        new.rename(path)
    except BaseException:
        os.close(file)
        new.unlink(missing_ok=True)
        raise
    return file


def _aside(path: Path, lines: tuple[bytes, ...]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path.with_suffix(TORN), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, b"".join(line + b"\n" for line in lines))
        os.fsync(file)
    finally:
        os.close(file)


def _locked(file: int, *, shared: bool = False) -> bool:
    import fcntl  # not on Windows, where the package is imported and no spool is made

    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_there(file: int, path: Path) -> bool:
    """Whether it is this file that has the name, and not a new one that took its place."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _content(file: int) -> bytes:
    with os.fdopen(os.dup(file), "rb") as reader:
        return reader.read()
