"""Sweeps: thresholds on one score for all units, what they cost on training images, and which of many to evaluate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..encoding import Scores
from ..mask import Layout, Masks
from ..search.task import Task
from .ranking import Highest

TRIED = np.geomspace(0.05, 0.8, 9)  # shares kept, to find where pruning is felt
UNFELT, DESTROYED = 0.002, 0.5  # distortions in nats
GAPS = 4  # that are split at a time


def best(scores: Scores, layout: Layout, kept: Sequence[int] | NDArray[np.integer]) -> Masks:
    """One mask per entry of `kept`, of so many of the highest scores; of equal ones the first units."""
    highest = Highest(scores)
    masks = Masks(np.zeros((len(kept), layout.width), dtype=np.uint8), layout)
    for row, count in zip(masks.bits, kept, strict=True):
        row[:] = np.packbits(highest(int(count)))
    return masks


class Sweep:
    """What thresholds on a score cost: their distortion and error on so many training images.

    Shares are of the units that a threshold keeps.
    """

    def __init__(self, task: Task, count: int) -> None:
        self._task = task
        self._count = count
        self.price = task.prices.outputs(count)  # of one threshold

    def region(self, scores: Scores) -> tuple[float, float]:
        """The shares kept between which pruning is felt and does not destroy; of those tried."""
        distortions, ends = self._measured(scores, TRIED)[:, 0], TRIED[[0, -1]]
        felt, alive = TRIED[distortions > UNFELT], TRIED[distortions < DESTROYED]
        least, most = alive.min(initial=ends[1]), felt.max(initial=ends[0])
        return (float(least), float(most)) if least < most else (float(ends[0]), float(ends[1]))

    def damage(self, scores: Scores, shares: NDArray[np.float64]) -> float:
        """Geometric mean of the distortion over some shares kept, times their mean error and one more wrong image.

        The distortion sees what no error shows yet, but alone it prefers a network that is sure to one that is right.
        """
        distortions, errors = self._measured(scores, shares).T
        logs = np.log(np.maximum(distortions, 1e-9))
        return float(np.exp(logs.mean()) * (errors.mean() + 1 / self._count))

    def _measured(self, scores: Scores, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distortion and error of each threshold, float64[thresholds, 2]."""
        layout = self._task.layout
        masks = best(scores, layout, np.rint(shares * layout.total).astype(int))
        return self._task.probe(("distortion", "error"), masks, count=self._count)


def fill(task: Task, masks: Masks, most: int) -> None:
    """Evaluate masks ordered by size, about `most`: those first that split the largest gap in the front.

    A gap is the rectangle between two neighbours that have been evaluated: the hypervolume that might lie between them.
    """
    errors = np.full(len(masks), np.nan)
    sizes = task.network.params(masks) / task.network.total_params
    rows = np.unique([0, len(masks) - 1]) if len(masks) else np.empty(0, dtype=int)
    while len(rows) and np.count_nonzero(~np.isnan(errors)) < most:
        errors[rows] = task.evaluate(masks[rows])[:, task.objectives.index("error")]
        done = np.flatnonzero(~np.isnan(errors))
        areas = np.abs(np.diff(errors[done]) * np.diff(sizes[done]))
        inside = np.flatnonzero(np.diff(done) > 1)
        widest = inside[np.argsort(-areas[inside], kind="stable")[:GAPS]]
        rows = (done[widest] + done[widest + 1]) // 2
