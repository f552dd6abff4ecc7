"""The archive: the values of everything a search evaluated, and the masks of its Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..mask import Bits, Layout, Masks
from .pile import Pile


@dataclass(frozen=True)
class Evaluation:
    """One evaluated candidate; spent, seconds, own and processor are the search's totals right after it.

    Seconds are those of answers, `own` those of the method's work between them, `processor` those that processors
    worked for both.
    """

    number: int  # of the question
    mask: str  # digest
    weights: str
    values: tuple[float, ...]
    spent: float
    seconds: float
    own: float = 0.0
    processor: float = 0.0


class Archive:
    """All evaluations in order; the masks of the non-dominated ones alone, since a mask is large.

    Many large ones are kept in a file in `folder`, without a name. The task alone adds to it.
    """

    def __init__(self, layout: Layout, folder: Path | None = None) -> None:
        self._layout = layout
        self._pile = Pile(layout.width, folder)
        self._evaluations: list[Evaluation] = []
        self._told: tuple[Evaluation, ...] = ()  # which nobody can change
        self._front: list[int] = []

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """All so far, in the order of their questions."""
        if len(self._told) < len(self._evaluations):
            self._told = tuple(self._evaluations)
        return self._told

    def _add(self, evaluation: Evaluation, bits: Bits) -> None:
        """Take in one evaluation; its packed mask uint8[bytes] is kept only while nothing dominates it."""
        self._evaluations.append(evaluation)
        values = np.array(evaluation.values)
        front = self.front_values()
        if np.any(np.all(front <= values, axis=1)):
            return  # dominated, or equal to a member that came first
        goes = np.all(front >= values, axis=1)
        for row in np.flatnonzero(goes):
            self._pile.drop(self._front[row])
        self._front = [i for i, gone in zip(self._front, goes, strict=True) if not gone]
        self._front.append(len(self._evaluations) - 1)
        self._pile.put(self._front[-1], bits)

    def front_values(self) -> NDArray[np.float64]:
        """Objective values of the front, float64[members, objectives]."""
        if not self._front:
            width = len(self._evaluations[0].values) if self._evaluations else 0
            return np.empty((0, width))
        return np.array([self._evaluations[i].values for i in self._front])

    @property
    def members(self) -> list[Evaluation]:
        """The non-dominated evaluations in the order they were found."""
        return [self._evaluations[i] for i in self._front]

    def masks(self, rows: Sequence[int] | NDArray[np.integer]) -> Masks:
        """Masks of some members, by their places among `members`."""
        bits = np.empty((len(rows), self._layout.width), dtype=np.uint8)
        for at, row in enumerate(rows):
            bits[at] = self._pile.take(self._front[row])
        return Masks(bits, self._layout)

    def front(self) -> tuple[Masks, list[Evaluation]]:
        """All members with their masks; of millions of units ask for those of a few with `masks`."""
        return self.masks(range(len(self._front))), self.members
