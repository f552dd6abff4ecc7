"""Rankings of scores: which are the highest, and where each stands; in as little memory as millions of them need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..encoding import Scores


class Highest:
    """Which of some scores are the highest, asked for one number of them after the other; of equal ones the first."""

    def __init__(self, scores: Scores) -> None:
        self._scores = scores
        self._sorted = np.sort(scores)

    def __call__(self, count: int) -> NDArray[np.bool_]:
        """So many of them, bool[n]; none where `count` is below 1, all where it is above their number."""
        if count < 1:
            return np.zeros(len(self._scores), dtype=bool)
        least = self._sorted[max(0, len(self._sorted) - count)]
        found = self._scores >= least
        surplus = len(self._sorted) - int(np.searchsorted(self._sorted, least)) - count
        if surplus > 0:
            found[np.flatnonzero(self._scores == least)[-surplus:]] = False
        return found


def ranks(scores: Scores) -> Scores:
    """From 0, the least, to 1; of equal ones the first is less."""
    found = np.empty(len(scores), dtype=np.float32)
    found[np.argsort(scores, kind="stable")] = np.arange(len(scores), dtype=np.int32)
    found /= max(1, len(scores) - 1)
    return found
