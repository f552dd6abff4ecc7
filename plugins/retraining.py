"""Pruning and retraining in turn, from where a front has fallen down to its end.

A retraining after each pruning is Han et al., NeurIPS 2015; that each begins at a high learning rate again, Renda,
Frankle and Carbin, ICLR 2020. Where a descent begins and ends, and the cuts between its rounds, are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.kit import Curve, Staircase, middles, slope

from .encodings import least
from .iterative_magnitude import pruned

TOP, KEPT, FINAL = 0.7, 0.7, 0.02  # of the size where the front has fallen, of the round before, and of all at the end
DEAD = 0.9  # of the way to guessing: below such a network there is nothing to lose
BETWEEN = 2  # cuts of a round's weights, at sizes down to the next round's
PIECE, SHARE = 20, 0.2  # passes of a round in the first descent, and the share of the budget that it takes at most
STEPS, SMALLEST, LARGEST = 100, 16, 128  # of a training, about, and images of a step


@dataclass(frozen=True)
class Trained:
    """A mask, and the weights that were trained under it, or are to be."""

    keep: pf.Masks
    weights: str


class Retraining:
    """Rounds of pruning and retraining; a descent that has ended begins again at its top, with rounds twice as long.

    `curves` are those of the rounds' weights, by their magnitudes, and `rate` is the learning rate that each round
    begins with. Rounds are rows of the table `retraining`.
    """

    def __init__(self, task: pf.Task, stairs: Staircase, rate: float) -> None:
        self.curves: list[Curve] = []
        self._task = task
        self._stairs = stairs
        self._rate = rate
        self._fewest = int(least(task.layout).sum())
        self._descents = 0
        self._top: Trained | None = None  # with the latest weights
        self._next: Trained | None = None  # with the weights to begin with

    def round(self, ablest: Callable[[int], Curve]) -> None:
        """The next network, trained and evaluated, and a few cuts of it; nothing where the budget does not pay for it.

        `ablest` says which score the first one is pruned by to so many units.
        """
        began = self._next or self._first(ablest)
        if (recipe := self._recipe()) is None:
            return
        reached = Trained(began.keep, self._task.train(began.keep, began.weights, recipe))
        curve = self._curve(reached)
        (error,) = curve.cut(reached.keep.counts())
        self._record(reached, recipe, error)
        self.curves.append(curve)
        if self._top is None or reached.keep.counts()[0] == self._top.keep.counts()[0]:
            self._top = reached
        self._next = Trained(self._pruned(curve, KEPT * curve.most), reached.weights)
        if error > DEAD or KEPT * curve.most < max(FINAL * self._stairs.total, self._fewest):
            self._descents, self._next = self._descents + 1, self._top
        share = curve.most / self._stairs.total
        curve.cut(middles(KEPT * share, share, BETWEEN, self._stairs.total))

    def _first(self, ablest: Callable[[int], Curve]) -> Trained:
        """The mask that the first descent begins with."""
        count = TOP * slope(self._stairs)[1] * self._stairs.total
        return Trained(self._pruned(ablest(int(count)), count), pf.DENSE)

    def _pruned(self, curve: Curve, count: float) -> pf.Masks:
        """What a curve keeps at a size, and of every layer what it must."""
        return pruned(curve.scores, self._task.layout.full(), count / self._stairs.total, "global")

    def _recipe(self) -> pf.Recipe | None:
        """The training of a round; None where it would see too few images."""
        task = self._task
        passes = min(PIECE * 2**self._descents, SHARE * task.budget.total, task.budget.left)
        rest = task.prices.new_weights + (1 + BETWEEN) * task.prices.evaluation
        visits = int(task.prices.trainable(max(0.0, passes - rest)))
        if visits < SMALLEST:
            return None
        epochs = -(-visits // task.train_images)
        batch = min(LARGEST, max(SMALLEST, visits // STEPS))
        return pf.Recipe(epochs, self._rate, batch=batch, images=visits // epochs)

    def _curve(self, trained: Trained) -> Curve:
        """Cuts of what a mask keeps, the weakest of its weights first."""
        scores = self._task.scores("magnitude", trained.weights)
        own = np.where(trained.keep.unpack(0), scores, -np.inf).astype(np.float32)
        return Curve(own, self._task.layout, self._stairs, trained.weights, int(trained.keep.counts()[0]))

    def _record(self, trained: Trained, recipe: pf.Recipe, error: float) -> None:
        kept = int(trained.keep.counts()[0]) / self._stairs.total
        row = {"descent": self._descents + 1, "kept": kept, "images": recipe.epochs * (recipe.images or 0)}
        earlier = self._task.records.get("retraining", pd.DataFrame())
        added = pd.DataFrame([row | {"rate": self._rate, "error": error}])
        self._task.record("retraining", pd.concat([earlier, added], ignore_index=True))
