"""Answers: what a search asked and was told, and the lines of a journal that hold them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import Damaged
from ..files import MOST, digest, open_plain

SEALED = 16  # hex digits of a line's checksum
OPENING, CLOSING = b',"checksum":"', b'"}\n'  # what stands around it


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


@dataclass
class Lines:
    """What a journal holds: its good lines, sessions as dicts, how many bytes they take, and the seal of the last.

    `damage` is the number of the first line that is not as it was written; a torn last line, whose end was never
    written, is none, and left out. Bytes and `number`, how many lines there are, count what was read earlier, too.
    """

    lines: list[dict[str, Any] | Answer]
    whole: int = 0
    seal: bytes = b""
    number: int = 0
    damage: int | None = None

    def check(self, path: Path) -> None:
        """Raise Damaged where there is damage."""
        if self.damage is not None:
            raise Damaged(f"{path} is damaged or was changed in line {self.damage}; bench computes anew what follows")


def read_lines(path: Path, behind: Lines | None = None) -> Lines:
    """All lines of a journal, or those behind what was read earlier, up to the first that is not as it was written.

    Raises InputError for no plain file.
    """
    found = Lines([], behind.whole, behind.seal, behind.number) if behind else Lines([])
    with open_plain(path, follow=False) as file:
        file.seek(found.whole)
        while True:
            text = file.readline(MOST)
            line = _read(text, found.seal)
            if line is None:
                torn = not text.endswith(b"\n") and len(text) < MOST and _read(text[:-1] + b"\n", found.seal) is None
                found.damage = None if torn else found.number + 1
                return found
            found.lines.append(line)
            found.number += 1
            found.whole += len(text)
            found.seal = text[-SEALED - len(CLOSING) : -len(CLOSING)]


class Follower:
    """Reads a journal while another process writes it; keeps no line that it has told."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = Lines([])

    def news(self) -> list[dict[str, Any] | Answer]:
        """The lines since it was last asked; all of them, from the first session on, where the journal is another.

        Raises Damaged where a line is not as it was written, and InputError for no plain file.
        """
        if not self._path.exists():
            return []
        found = read_lines(self._path, self._read)
        if found.damage is not None or self._path.stat().st_size < found.whole:
            found = read_lines(self._path)
        found.check(self._path)
        self._read = replace(found, lines=[])
        return found.lines


def _read(text: bytes, before: bytes) -> dict[str, Any] | Answer | None:
    """What a line says, `before` being the seal of the line before it; None where it is not as it was written."""
    body, seal = text[: -SEALED - len(CLOSING)].removesuffix(OPENING), text[-SEALED - len(CLOSING) : -len(CLOSING)]
    if text != body + OPENING + seal + CLOSING or seal != _seal(body, before):
        return None
    try:
        line = json.loads(body + b"}")
        return line if "session" in line else Answer.read(line)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def sealed(line: dict[str, Any], before: bytes) -> tuple[bytes, bytes]:
    """A line as a journal holds it, behind one with the seal `before`, and its own seal."""
    body = json.dumps(line, separators=(",", ":")).encode().removesuffix(b"}")
    seal = _seal(body, before)
    return body + OPENING + seal + CLOSING, seal


def _seal(body: bytes, before: bytes) -> bytes:
    """The checksum of a line and all before it, which their seal stands for."""
    return digest(before, body)[:SEALED].encode()
