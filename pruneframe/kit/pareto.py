"""Masks of which none dominates another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..front import non_dominated
from ..mask import Layout, Masks


class ParetoSet:
    """Masks of which none dominates another by some values float64[n, width], in the order they came."""

    def __init__(self, layout: Layout, width: int) -> None:
        self.masks = layout.full()[:0]
        self.values: NDArray[np.float64] = np.empty((0, width))

    def add(self, masks: Masks, values: NDArray[np.float64]) -> None:
        """Take in what nothing dominates, and drop what it dominates."""
        both = np.vstack([self.values, values])
        stays = non_dominated(both)
        if stays[: len(self.values)].all() and not stays[len(self.values) :].any():
            return  # the masks need not be copied, which are large
        self.masks, self.values = Masks.join([self.masks, masks])[stays], both[stays]
