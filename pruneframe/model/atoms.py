"""Atoms: places along parameters' dimensions, united where they must go together; those that must stay, with why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

FIXED = 0  # the atom of everything that is not there to be removed


class Atoms:
    """A union-find over consecutive numbers from 1; 0 is `FIXED`, which is united with nothing."""

    def __init__(self) -> None:
        self._parent = np.zeros(1, dtype=np.int64)
        self._stays: dict[int, str] = {}
        self.unions = 0  # so far

    def make(self, n: int) -> Ids:
        """New atoms, int64[n]."""
        first = len(self._parent)
        made = np.arange(first, first + n)
        self._parent = np.concatenate([self._parent, made])
        return made

    def find(self, ids: Ids) -> Ids:
        """What stands for each one's class, of the same shape."""
        while True:
            found = self._parent[ids]
            if np.array_equal(found, ids):
                return found
            ids = found

    def unite(self, one: Ids, other: Ids) -> None:
        """Each of one with its counterpart, of the same shape; one that meets what is fixed must stay."""
        pairs = np.stack([self.find(one).ravel(), self.find(other).ravel()], axis=1)
        for a, b in np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0).tolist():
            if FIXED in (a, b):
                self.stay(np.array([a, b]), "they meet something that stays")
                continue
            a, b = self._root(a), self._root(b)
            if a != b:
                self._parent[max(a, b)] = min(a, b)
                self.unions += 1

    def _root(self, one: int) -> int:
        while (above := int(self._parent[one])) != one:
            self._parent[one] = one = int(self._parent[above])
        return one

    def stay(self, ids: Ids, why: str) -> None:
        """Keep these, and all that are or will be united with them."""
        for one in np.unique(ids[ids != FIXED]).tolist():
            self._stays.setdefault(one, why)

    def forget_stays(self) -> None:
        """Take back all that `stay` was told: it is told again, by what unions make possible."""
        self._stays.clear()

    def staying(self) -> dict[int, str]:
        """The classes that must stay, by what stands for them, and why."""
        found: dict[int, str] = {}
        for one, why in self._stays.items():
            found.setdefault(self._root(one), why)
        return found
