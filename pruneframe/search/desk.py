"""The desk: where questions are answered one after the other, each replayed or computed, and then charged.

A question that this run has asked before is answered from memory: it is neither charged nor journalled again.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import NotDeterministic
from .answer import Answer, Question
from .journal import Journal
from .ledger import ROUNDING, BudgetSpent, Ledger, OnlyRepeats

Compute = Callable[[], list[Any]]

REPEATS = 10_000  # questions on end that were asked before: nothing new will come, and the search ends


@dataclass(frozen=True)
class Account:
    """What a search took beside passes; of what is replayed seconds are those of the first time."""

    seconds: float  # that all answers took to compute
    seconds_by_kind: dict[str, float]  # evaluate, probe, scores, tune, train, part, features, head, fit, assemble
    own_seconds: float  # of the method's own work, between answers
    processor_seconds: float  # that this process worked for both, in all its threads, whatever it had to wait for
    repeats: int  # questions that were asked before, and cost nothing


class Desk:
    """The journal and the ledger of one search, and what it knows already."""

    def __init__(self, journal: Journal, ledger: Ledger, seed: tuple[int, int]) -> None:
        self.journal = journal
        self.ledger = ledger
        self.seed = seed
        self._before = ledger.spent  # all of it, where a method is only asked whether it can run
        self._known: dict[Question, Answer] = {}
        self._on_end = 0  # repeats since something new was asked
        self._told = time.perf_counter()  # when the latest answer was given
        self._worked = time.process_time()  # until then
        self._repeats = 0
        self._seconds: dict[str, float] = {}  # that answers took, by the kind of question
        self.own = 0.0  # seconds of the method's work until the latest answer
        self.processor = 0.0  # seconds that the process worked until then

    @property
    def untouched(self) -> bool:
        """Whether nothing has been paid for here yet."""
        return self.ledger.spent == self._before

    def rng(self, text: str) -> np.random.Generator:
        """The random numbers behind one answer: the same for the same seed, problem and text."""
        return np.random.default_rng([*self.seed, zlib.crc32(text.encode())])

    def seed_of(self, question: Question) -> int:
        """The same as one number, for torch."""
        return zlib.crc32(f"{self.seed} {question.text}".encode())

    def ask(self, question: Question, price: float, compute: Compute) -> Answer:
        """One question: known, and free; or replayed or computed, and then charged and journalled.

        Raises BudgetSpent where it does not fit, OnlyRepeats after a long series of questions that were asked before.
        """
        if question in self._known:
            return self._repeated(question)
        if not self.ledger.affords(price):
            raise BudgetSpent(price)
        answer = self.journal.replay(question)
        if answer is None:
            start = time.perf_counter()
            values = self.journal.earlier(question) or compute()
            took, worked = time.perf_counter() - start, time.process_time() - self._worked
            answer = self.journal.write(question, values, price, took, start - self._told, worked)
        if abs(answer.charge - price) > ROUNDING:
            raise NotDeterministic(
                f"on replay, answer {answer.number}, {question.kind} {question.text}, costs {price:g} passes, but was "
                f"charged as {answer.charge:g}"
            )
        self._known[question] = answer
        self._on_end = 0
        self.ledger.charge(answer.charge, answer.seconds)
        self._seconds[answer.kind] = self._seconds.get(answer.kind, 0.0) + answer.seconds
        self.own += answer.own
        self.processor += answer.processor
        self._told, self._worked = time.perf_counter(), time.process_time()
        return answer

    def _repeated(self, question: Question) -> Answer:
        self._on_end += 1
        if self._on_end > REPEATS:
            raise OnlyRepeats
        self._repeats += 1
        return self._known[question]

    @property
    def account(self) -> Account:
        """Of all until now."""
        own = self.own + time.perf_counter() - self._told
        processor = self.processor + time.process_time() - self._worked
        return Account(self.ledger.seconds, dict(self._seconds), own, processor, self._repeats)

    def knows(self, question: Question) -> bool:
        """Whether this run has asked it before."""
        return question in self._known

    def fitting(self, questions: Sequence[Question], price: float) -> int:
        """How many of some questions the budget answers, in their order, at `price` for each that is new."""
        left, new = self.ledger.affordable(price, len(questions)), self._new(questions)
        return len(questions) if len(new) <= left else new[left]

    def to_compute(self, questions: Sequence[Question]) -> list[int]:
        """Which of some questions must be computed: those neither known nor replayed, each once."""
        new = self._new(questions)[self.journal.replaying :]
        return [row for row in new if self.journal.earlier(questions[row]) is None]

    def _new(self, questions: Sequence[Question]) -> list[int]:
        """Rows of questions that were not asked before, nor in an earlier row."""
        first = {question: row for row, question in reversed(list(enumerate(questions)))}
        return sorted(row for question, row in first.items() if question not in self._known)

    def teller(self, what: str, price: float) -> Callable[[float], None]:
        """A function that is told how far a long computation is, as a share of it, and notes that in the journal."""
        start = time.perf_counter()
        return lambda share: self.journal.tell(what, share, price, time.perf_counter() - start)
