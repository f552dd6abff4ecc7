"""The journal: an append-only log of every answer that a search got, and its replay.

One JSON object a line. A line with "session" says under which versions and on which platform the answers that follow
were computed; all others are answers, numbered from 0 within their session. A killed run starts its method again from
the same seed; the journal answers until its end. Under another environment the run starts over in a new session, and
earlier sessions serve as a cache.

Each line ends in the checksum of itself and all lines before it. What stands behind the first line that has another one
is not believed: a run that goes on does so as if it had been killed before that line.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections import deque
from io import FileIO
from pathlib import Path
from typing import Any, Self

from ..errors import InputError, NotDeterministic
from ..files import write_document
from .answer import Answer, Question, read_lines, sealed

SYNC_SECONDS = 1.0  # answers reach the disk at least this often
MEMBER = "member"  # kind of the lines about final members, which no search asked for


class Journal:
    """The answers of one run, at `path`, or in memory alone when there is no path.

    Raises InputError while another process writes the same journal. Use it as a context manager: leaving flushes to
    disk.
    """

    def __init__(self, path: Path | None, environment: dict[str, Any]) -> None:
        self._file: FileIO | None = None
        self._replay: deque[Answer] = deque()
        self._earlier: dict[Question, list[Any]] = {}
        self.continued = False  # whether an earlier session, on another machine or under other versions, goes before
        self._number = 0
        self._seal = b""  # of the latest line
        self._full: OSError | None = None  # why nothing more can be written
        self._path, self._under_way = path, None if path is None else under_way(path)
        self._told = 0.0  # when it was written last; 0 for never
        self._noted = path is not None  # whether it may be there: an earlier process may have left it behind
        self._dirty = threading.Event()
        self._closed = threading.Event()
        if path is not None:
            self._open(path, environment)

    def _open(self, path: Path, environment: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = file = FileIO(path, "ab", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o666))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise InputError(f"{path} is being written by another process; wait until it has ended") from error
        try:
            self._take_up(file, path, environment)
        except BaseException:
            file.close()
            raise
        self._forget()
        self._syncing = threading.Thread(target=self._sync_regularly, daemon=True)
        self._syncing.start()

    def _take_up(self, file: FileIO, path: Path, environment: dict[str, Any]) -> None:
        """Read what is there: the latest session is replayed under its own environment, all else is a cache."""
        found = read_lines(path)
        file.truncate(found.whole)  # a torn last line was never seen by the method
        self._seal = found.seal
        previous = None
        for line in found.lines:
            if isinstance(line, dict):
                self._earlier.update({answer.question: answer.values for answer in self._replay})
                self._replay.clear()
                previous = line["session"]
            else:
                self._replay.append(line)
        if previous != environment:
            self._earlier.update({answer.question: answer.values for answer in self._replay})
            self._replay.clear()
            self._append({"session": environment})
        self.continued = bool(self._earlier)

    def replay(self, question: Question) -> Answer | None:
        """The recorded answer to the next question, or None past the journal's end.

        Raises NotDeterministic when the question differs from the recorded one.
        """
        if not self._replay:
            return None
        answer = self._replay[0]
        if answer.question != question:
            raise NotDeterministic(
                f"on replay, question {answer.number} must be {answer.kind} {answer.question.text}, but the method "
                f"asked {question.kind} {question.text}; it draws randomness outside task.rng, or its code changed "
                "under one version"
            )
        self._number = answer.number + 1
        return self._replay.popleft()

    def earlier(self, question: Question) -> list[Any] | None:
        """The values that an earlier session, under other versions, gave to the same question."""
        return self._earlier.get(question)

    def write(
        self,
        question: Question,
        values: list[Any],
        charge: float,
        seconds: float,
        own: float = 0.0,
        processor: float = 0.0,
    ) -> Answer:
        """Log a new answer before the method sees it."""
        answer = Answer(self._number, question, values, charge, seconds, own, processor)
        self._number += 1
        self._forget()  # first, so that no reader counts it twice
        self._append(answer.line())
        return answer

    def tell(self, what: str, share: float, charge: float, seconds: float) -> None:
        """Say what share of the next answer is computed, which takes long and costs so many passes; for who waits."""
        if self._under_way is None or time.monotonic() - self._told < SYNC_SECONDS:
            return
        told = {"what": what, "share": share, "charge": share * charge, "seconds": seconds}
        with contextlib.suppress(OSError):  # a full disk may not end what could still be answered
            self._noted = True
            write_document(self._under_way, told)
        self._told = time.monotonic()

    def _forget(self) -> None:
        """What was told is over."""
        if self._under_way is not None and self._noted:
            with contextlib.suppress(OSError):
                self._under_way.unlink(missing_ok=True)
        self._noted = False

    @property
    def replaying(self) -> int:
        """Recorded answers that are still to be asked for."""
        return len(self._replay)

    def _append(self, line: dict[str, Any]) -> None:
        if self._file is None:
            return
        if self._full is not None:  # a method may have caught it and asked on
            raise self._full
        whole, seal = sealed(line, self._seal)
        try:
            if self._file.write(whole) != len(whole):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        except OSError as error:
            self._full = error
            raise
        self._seal = seal
        self._dirty.set()

    def _sync_regularly(self) -> None:
        while not self._closed.wait(SYNC_SECONDS):
            if self._dirty.is_set() and self._file is not None:
                self._dirty.clear()
                try:
                    os.fsync(self._file.fileno())
                except OSError as error:
                    self._full = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed.set()
        if self._file is not None:
            self._forget()
            self._syncing.join()
            with self._file, contextlib.nullcontext() if self._full is None else contextlib.suppress(OSError):
                os.fsync(self._file.fileno())


def under_way(path: Path) -> Path:
    """Where a journal at `path` says how far the answer is that it waits for."""
    return path.with_suffix(".underway")
