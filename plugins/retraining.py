"""Pruning and retraining in turn, from where a front has fallen down to its end.

A retraining after each pruning is Han et al., NeurIPS 2015; that each begins at a high learning rate again, Renda,
Frankle and Carbin, ICLR 2020. Where a descent begins and ends, the cuts between its rounds, and how its rate falls are
ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.kit import Curve, Staircase, shoulder

from .encodings import least
from .iterative_magnitude import pruned

TOP = 0.7  # of the size where the front has fallen, and later where pruning is first felt
LITTLE = 0.008  # hypervolume: a descent ends where no more can lie below
KEPT = (0.65, 0.8, 0.9)  # of the round before: a smaller share where a cut to the one before only guesses
DEAD = 0.9  # of the way to guessing: below such a network there is nothing to lose
PIECE, SHARE = 20, 0.2  # passes of a training in the first descent, and the share of the budget that it takes at most
STEPS, SMALLEST, LARGEST = 100, 16, 128  # of a training, about, and images of a step
ENOUGH = 0.5  # of what a cut has lost: what a training must regain
FALL = 4  # the rate is divided by it where one has not


@dataclass(frozen=True)
class Network:
    """A mask with weights, and the error under them."""

    keep: pf.Masks
    weights: str
    error: float
    intact: float  # error of the network that it was cut from

    @property
    def kept(self) -> int:
        """Units."""
        return int(self.keep.counts()[0])

    @property
    def bound(self) -> float:
        """An error above which its training was in vain; none where nothing was cut."""
        return np.inf if self.error <= self.intact else self.error - ENOUGH * (self.error - self.intact)


class Retraining:
    """Rounds of pruning and retraining, descent by descent, each with rounds twice as long as those of the one before.

    The first begins below the place where the front has fallen, for there hypervolume is lost, and the second higher,
    below the place where pruning is first felt. The third begins half a round above the second, so that its sizes lie
    between those. From then on the second's and the third's are gone down in turn, with the weights that they have.

    After a round, those of the `scorers` that cost nothing compete for the next cut: the one that errs least is made.
    `curves` are theirs, of the rounds' weights. `alpha` is how much a training learns from the unpruned network's
    logits, `rate` the learning rate that it begins with. As long as none has regained half of what its cut has lost,
    each is done once more at a quarter of it; where that errs less, and less than before any training, this is the rate
    from then on. From a new top this is judged anew. Trainings are rows of the table `retraining`.
    """

    def __init__(self, task: pf.Task, stairs: Staircase, rate: float, alpha: float, scorers: Sequence[str]) -> None:
        self.curves: list[Curve] = []
        self._task = task
        self._stairs = stairs
        self._rate = rate
        self._alpha = alpha
        self._serves = False  # whether a training at this rate has regained enough
        self._scorers = [scorer for scorer in scorers if task.price_of_scores(scorer) == 0] or ["magnitude"]
        self._fewest = int(least(task.layout).sum())
        self._descents = 0
        self._tops: dict[int, Network] = {}  # of each ladder, with the latest weights
        self._next: Network | None = None  # with the weights to begin with

    def round(self, ablest: Callable[[int], Curve]) -> None:
        """The next network, trained and evaluated, and cuts of it; nothing where the budget does not pay for it.

        `ablest` says which score the first one is pruned by to so many units.
        """
        if (recipe := self._recipe(self._rate)) is None:
            return
        began = self._next = self._next or self._tops.get(self._ladder) or self._first(ablest)
        reached = self._trained(began, recipe)
        self._serves |= reached.error <= began.bound
        slower = None if self._serves else self._recipe(self._rate / FALL)
        if slower is not None and (again := self._trained(began, slower)).error < reached.error:
            reached = again
            if again.error < began.error:  # otherwise it was not the rate
                self._rate = slower.learning_rate
        if reached.kept == self._tops.setdefault(self._ladder, reached).kept:
            self._tops[self._ladder] = reached
        self._next = self._cut(reached)
        below = reached.kept / self._stairs.total * (1 - reached.error)
        if below < LITTLE or reached.error > DEAD or not self._fewest <= self._next.kept < reached.kept:
            self._descents += 1
            self._next = None
            if self._descents == 1:
                self._serves = False

    @property
    def _ladder(self) -> int:
        """Which of the three series of sizes this descent goes down: the first once, and then the others in turn."""
        return self._descents and 1 + (self._descents - 1) % 2

    def _first(self, ablest: Callable[[int], Curve]) -> Network:
        """What a descent from a new top begins with."""
        if self._ladder == 2:
            kept = min(self._stairs.total, int(self._tops[1].kept / math.sqrt(KEPT[0])))
        else:
            kept = int(TOP * shoulder(self._stairs)[self._ladder] * self._stairs.total)
        curve = ablest(kept)
        (error,) = curve.cut(np.array([kept]))
        return Network(self._pruned(curve, kept), pf.DENSE, error, self._stairs.ends[self._stairs.total])

    def _pruned(self, curve: Curve, kept: int) -> pf.Masks:
        """What a curve keeps at a size, and of every layer what it must."""
        return pruned(curve.scores, self._task.layout.full(), kept / self._stairs.total, "global")

    def _recipe(self, rate: float) -> pf.Recipe | None:
        """A training; None where it would see too few images."""
        task = self._task
        passes = min(PIECE * 2**self._descents, SHARE * task.budget.total, task.budget.left)
        rest = task.prices.new_weights + (1 + len(self._scorers)) * task.prices.evaluation
        visits = int(task.prices.trainable(max(0.0, passes - rest), taught=self._alpha > 0))
        if visits < SMALLEST:
            return None
        epochs = -(-visits // task.train_images)
        batch = min(LARGEST, max(SMALLEST, visits // STEPS))
        return pf.Recipe(epochs, rate, batch=batch, images=visits // epochs)

    def _trained(self, began: Network, recipe: pf.Recipe) -> Network:
        """The same mask under new weights."""
        weights = self._task.train(began.keep, began.weights, recipe, self._alpha)
        (error,) = self._stairs.evaluate(began.keep, weights)
        row = {"descent": self._descents + 1, "kept": began.kept / self._stairs.total, "rate": recipe.learning_rate}
        row |= {"images": recipe.epochs * (recipe.images or 0), "before": began.error, "after": error}
        earlier = self._task.records.get("retraining", pd.DataFrame())
        self._task.record("retraining", pd.concat([earlier, pd.DataFrame([row])], ignore_index=True))
        return Network(began.keep, weights, error, error)

    def _cut(self, reached: Network) -> Network:
        """What the next round begins with."""
        curves = [self._curve(scorer, reached) for scorer in self._scorers]
        for share in KEPT:
            kept = int(share * reached.kept)
            errors = [float(curve.cut(np.array([kept]))[0]) for curve in curves]
            if min(errors) < DEAD:
                break
        curve, error = curves[int(np.argmin(errors))], min(errors)
        self.curves.append(curve)
        return Network(self._pruned(curve, kept), reached.weights, error, reached.error)

    def _curve(self, scorer: str, reached: Network) -> Curve:
        """Cuts of what a mask keeps, the weakest of its units first."""
        scores = self._task.scores(scorer, reached.weights)
        own = np.where(reached.keep.unpack(0), scores, -np.inf).astype(np.float32)
        curve = Curve(own, self._task.layout, self._stairs, reached.weights, reached.kept)
        curve.cut(reached.keep.counts())  # known already, and free
        return curve
