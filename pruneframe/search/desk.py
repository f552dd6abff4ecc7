"""The desk: where questions are answered one after the other, each replayed, known or computed, and then charged."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .journal import Answer, Journal, Question
from .ledger import BudgetSpent, Ledger

Compute = Callable[[], list[Any]]


class Desk:
    """The journal and the ledger of one search, and what it knows already."""

    def __init__(self, journal: Journal, ledger: Ledger, seed: tuple[int, int]) -> None:
        self.journal = journal
        self.ledger = ledger
        self.seed = seed
        self._before = ledger.spent  # all of it, where a method is only asked whether it can run
        self._known: dict[Question, list[Any]] = {}

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
        """One question: replayed, or else answered from what is known, or computed; then journalled and charged."""
        if not self.ledger.affords(price):
            raise BudgetSpent(price)
        answer = self.journal.replay(question)
        if answer is None:
            start = time.perf_counter()
            values = self._old(question) or compute()
            answer = self.journal.write(question, values, price, time.perf_counter() - start)
        self._known[question] = answer.values
        self.ledger.charge(answer.charge, answer.seconds)
        return answer

    def to_compute(self, questions: Sequence[Question]) -> list[int]:
        """Which of some questions must be computed: those neither replayed nor known, each once."""
        seen = set(questions[: self.journal.replaying])
        rows = []
        for row, question in enumerate(questions):
            if question not in seen and self._old(question) is None:
                rows.append(row)
            seen.add(question)
        return rows

    def teller(self, what: str, price: float) -> Callable[[float], None]:
        """Passes on what share of an answer is computed, which starts now and takes long."""
        start = time.perf_counter()
        return lambda share: self.journal.tell(what, share, price, time.perf_counter() - start)

    def _old(self, question: Question) -> list[Any] | None:
        """The answer to the same question earlier in this run, or in a session under other versions."""
        return self._known.get(question) or self.journal.earlier(question)
