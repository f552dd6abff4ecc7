"""The archive: the values of everything a search evaluated, and the masks of its Pareto front."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..mask import Bits, Layout, Masks


@dataclass(frozen=True)
class Evaluation:
    """One evaluated candidate; spent and seconds are the search's totals right after it."""

    number: int  # of the question
    mask: str  # digest
    weights: str
    values: tuple[float, ...]
    spent: float
    seconds: float


@dataclass
class Archive:
    """All evaluations in order; the masks of the non-dominated ones alone, since a mask is large."""

    layout: Layout
    evaluations: list[Evaluation] = field(default_factory=list)
    _front: list[int] = field(default_factory=list)
    _bits: list[Bits] = field(default_factory=list)

    def add(self, evaluation: Evaluation, bits: Bits) -> None:
        """Take in one evaluation; its packed mask uint8[bytes] is kept only while nothing dominates it."""
        self.evaluations.append(evaluation)
        values = np.array(evaluation.values)
        front = self.front_values()
        if np.any(np.all(front <= values, axis=1)):
            return  # dominated, or equal to a member that came first
        stays = ~np.all(front >= values, axis=1)
        self._front = [i for i, stay in zip(self._front, stays, strict=True) if stay]
        self._bits = [b for b, stay in zip(self._bits, stays, strict=True) if stay]
        self._front.append(len(self.evaluations) - 1)
        self._bits.append(bits.copy())

    def front_values(self) -> NDArray[np.float64]:
        """Objective values of the front, float64[members, objectives]."""
        if not self._front:
            width = len(self.evaluations[0].values) if self.evaluations else 0
            return np.empty((0, width))
        return np.array([self.evaluations[i].values for i in self._front])

    def front(self) -> tuple[Masks, list[Evaluation]]:
        """The non-dominated members in the order they were found, with their masks."""
        bits = np.array(self._bits, dtype=np.uint8).reshape(len(self._bits), self.layout.width)
        return Masks(bits, self.layout), [self.evaluations[i] for i in self._front]
