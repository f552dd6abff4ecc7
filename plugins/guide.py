"""A guide: an objective on training images that stands in for the error where evaluations are dear."""

from __future__ import annotations

import numpy as np

import pruneframe as pf
from pruneframe.kit import ParetoSet


class Guide:
    """An objective on training images in the error's place, and the candidates that it found non-dominated.

    The other objectives are replaced by the parameters that remain, which cost nothing to count.
    """

    def __init__(self, task: pf.Task, objective: str, share: float) -> None:
        self._task = task
        self._objective = objective
        self._count = max(1, round(share * task.search_images))
        self.price = task.prices.outputs(self._count)  # of one candidate
        self._found = ParetoSet(task.layout, 2)

    def __call__(self, masks: pf.Masks) -> np.ndarray:
        """The guide and the parameters in the places of the objectives, float64[n, objectives]."""
        guided = self._task.probe(self._objective, masks, count=self._count)
        params = self._task.network.params(masks)
        self._found.add(masks, np.stack([guided, params], axis=1))
        names = self._task.objectives
        return np.stack([guided if name == "error" else params for name in names], axis=1).astype(np.float64)

    def front(self) -> pf.Masks:
        """The non-dominated candidates, the largest first."""
        return self._found.masks[np.argsort(-self._found.values[:, 1])]
