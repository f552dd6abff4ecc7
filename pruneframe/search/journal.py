"""The journal: an append-only log of every answer that a search got, and its replay.

One JSON object a line. A line with "session" says under which versions and on which platform the answers that follow
were computed; all others are answers, numbered from 0 within their session. A killed run starts its method again from
the same seed; the journal answers until its end. Under another environment the run starts over in a new session, and
earlier sessions serve as a cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from ..errors import InputError, JournalBroken, NotDeterministic
from ..files import write_whole

SYNC_SECONDS = 1.0  # answers reach the disk at least this often
MEMBER = "member"  # kind of the lines about final members, which no search asked for


@dataclass(frozen=True)
class Question:
    """What is asked: its kind, and what it is about, by name; equal questions have equal answers."""

    kind: str
    about: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, kind: str, **about: str) -> Question:
        """As in Question.of("evaluate", mask="3f...", weights="dense")."""
        return cls(kind, tuple(about.items()))

    def __getitem__(self, name: str) -> str:
        return dict(self.about)[name]

    @property
    def text(self) -> str:
        """What it is about in one line, which random numbers are drawn by."""
        return " ".join(value for _, value in self.about)


@dataclass(frozen=True)
class Answer:
    """One answer: its number, the question, the values given, passes charged and seconds taken.

    `own` are the seconds of the method's own work between the answer before and this question; `processor` those that
    this process worked since the answer before, in all its threads, whatever it had to wait for.
    """

    number: int
    question: Question
    values: list[Any]
    charge: float
    seconds: float
    own: float = 0.0
    processor: float = 0.0

    @property
    def kind(self) -> str:
        """That of the question."""
        return self.question.kind

    def line(self) -> dict[str, Any]:
        """As the journal holds it."""
        asked = {"number": self.number, "kind": self.kind, "about": dict(self.question.about)}
        taken = {"seconds": self.seconds, "own": self.own, "processor": self.processor}
        return asked | {"values": self.values, "charge": self.charge} | taken

    @classmethod
    def read(cls, line: dict[str, Any]) -> Answer:
        """From a line of a journal; raises ValueError where it is none."""
        if line.keys() != FIELDS:
            raise ValueError("it is neither a session nor an answer")
        question = Question(line["kind"], tuple(line["about"].items()))
        return cls(line["number"], question, *(line[name] for name in TAKEN))


TAKEN = ("values", "charge", "seconds", "own", "processor")
FIELDS = {"number", "kind", "about", *TAKEN}


class Journal:
    """The answers of one run, at `path`, or in memory alone when there is no path.

    Raises InputError while another process writes the same journal, JournalBroken for a damaged line that is not the
    last one. Use it as a context manager: leaving flushes to disk.
    """

    def __init__(self, path: Path | None, environment: dict[str, Any]) -> None:
        self._file: BinaryIO | None = None
        self._replay: deque[Answer] = deque()
        self._earlier: dict[Question, list[Any]] = {}
        self.continued = False  # whether an earlier session, on another machine or under other versions, goes before
        self._number = 0
        self._under_way: Path | None = None
        self._told = 0.0  # when it was written last; 0 for never
        self._dirty = threading.Event()
        self._closed = threading.Event()
        if path is not None:
            self._open(path, environment)

    def _open(self, path: Path, environment: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = file = path.open("a+b")
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
        self._under_way = under_way(path)
        self._forget()
        self._syncing = threading.Thread(target=self._sync_regularly, daemon=True)
        self._syncing.start()

    def _take_up(self, file: BinaryIO, path: Path, environment: dict[str, Any]) -> None:
        """Read what is there: the latest session is replayed under its own environment, all else is a cache."""
        lines, whole = read_lines(path)
        file.truncate(whole)  # a torn last line was never seen by the method
        previous = None
        for line in lines:
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
            write_whole(self._under_way, lambda file: file.write(json.dumps(told).encode()))
        self._told = time.monotonic()

    def _forget(self) -> None:
        """What was told is over."""
        if self._under_way is not None:
            with contextlib.suppress(OSError):
                self._under_way.unlink(missing_ok=True)

    @property
    def replaying(self) -> int:
        """Recorded answers that are still to be asked for."""
        return len(self._replay)

    def _append(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
            self._dirty.set()

    def _sync_regularly(self) -> None:
        while not self._closed.wait(SYNC_SECONDS):
            if self._dirty.is_set() and self._file is not None:
                self._dirty.clear()
                os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed.set()
        if self._file is not None:
            self._forget()
            self._syncing.join()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def under_way(path: Path) -> Path:
    """Where a journal at `path` says how far the answer is that it waits for."""
    return path.with_suffix(".underway")


def read_lines(path: Path) -> tuple[list[dict[str, Any] | Answer], int]:
    """All whole lines of a journal, sessions as dicts, and how many bytes they take; a torn last line is left out."""
    lines: list[dict[str, Any] | Answer] = []
    whole = 0
    raw = path.read_bytes().splitlines(keepends=True)
    for number, text in enumerate(raw):
        try:
            if not text.endswith(b"\n"):
                raise ValueError("no end of line")
            line = json.loads(text)
            if not isinstance(line, dict):
                raise ValueError("it is neither a session nor an answer")
            lines.append(line if "session" in line else Answer.read(line))
        except (ValueError, AttributeError) as error:
            if number == len(raw) - 1:
                break
            raise JournalBroken(
                f"{path} line {number + 1} cannot be read ({error}); remove the run's folder to start it again"
            ) from error
        whole += len(text)
    return lines, whole
