"""A restricted Boltzmann machine: a few hidden bits that stand for many visible ones.

Hinton, "Training Products of Experts by Minimizing Contrastive Divergence", Neural Computation 14(8), 2002.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Rows = NDArray[np.bool_]  # bool[n, bits]

BATCH = 8  # rows between two steps
DEVIATION = 0.1  # of the first weights


class Boltzmann:
    """Visible and hidden bits, each of which is drawn by the others' weights; draws from `rng` alone."""

    def __init__(self, visible: int, hidden: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._weights = DEVIATION * rng.standard_normal((visible, hidden), dtype=np.float32)
        self._visible = np.zeros(visible, dtype=np.float32)
        self._hidden = np.zeros(hidden, dtype=np.float32)

    def learn(self, rows: Rows, epochs: int, rate: float, momentum: float) -> None:
        """One step of contrastive divergence for each few rows of visible bits, so many times over all of them."""
        weights, visible, hidden = (np.zeros_like(one) for one in (self._weights, self._visible, self._hidden))
        for _ in range(epochs):
            order = self._rng.permutation(len(rows))
            for first in range(0, len(rows), BATCH):
                seen = rows[order[first : first + BATCH]].astype(np.float32)
                felt = self._felt(seen)
                dreamt = self._shown(self._drawn(felt).astype(np.float32))
                again, step = self._felt(dreamt), rate / len(seen)
                weights = momentum * weights + step * (seen.T @ felt - dreamt.T @ again)
                visible = momentum * visible + step * (seen - dreamt).sum(axis=0)
                hidden = momentum * hidden + step * (felt - again).sum(axis=0)
                self._weights += weights
                self._visible += visible
                self._hidden += hidden

    def reduce(self, rows: Rows) -> Rows:
        """Hidden bits, drawn for visible ones."""
        return self._drawn(self._felt(rows.astype(np.float32)))

    def recover(self, rows: Rows) -> Rows:
        """Visible bits, drawn for hidden ones."""
        return self._drawn(self._shown(rows.astype(np.float32)))

    def _felt(self, visible: NDArray[np.float32]) -> NDArray[np.float32]:
        """Chances of hidden bits."""
        return expit(visible @ self._weights + self._hidden)

    def _shown(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """Chances of visible bits."""
        return expit(hidden @ self._weights.T + self._visible)

    def _drawn(self, chances: NDArray[np.float32]) -> Rows:
        return self._rng.random(chances.shape, dtype=np.float32) < chances
