"""Tuning with judgement: a score is tuned in pieces where the front falls, and one that does not help is taken back."""

from __future__ import annotations

import math

import pandas as pd

from ..search.prices import Prices
from ..search.task import Task
from ..search.tuning import Tuning
from .sweep import Curve, Staircase, middles

STEPS, LARGEST = 100, 200  # of a piece, about, and images of a step at most
FELT, FALLEN = 0.01, 0.1  # of the way from the least error to guessing: pruning is felt, and the front has fallen
DEPTH = 0.25  # of the units where the front has fallen: thresholds go so far down
EDGE = 0.9  # of the share that is kept where pruning is felt
JUDGES = 4  # cuts by which a piece is judged


class Tuner:
    """Tunes a score piece by piece, and adds every piece to the table `tuning`.

    A piece is taken where its cuts in its region err less on the search images than those before. `rate`: how far a
    piece would move ranks, from 0 to 1, if gradients were noise and the rate stayed; the n-th begins at 1 / sqrt(n) of
    it.
    """

    def __init__(self, task: Task, stairs: Staircase, rate: float) -> None:
        self._task = task
        self._stairs = stairs
        self._rate = rate
        self._pieces = 0

    def piece(self, curve: Curve, passes: float, least: float, most: float) -> Curve:
        """The score after a piece of about so many passes, by thresholds that keep `least` to `most` of the units.

        The one before where it errs more, or where the piece cannot be paid.
        """
        judging = JUDGES * self._task.prices.evaluation
        images = int(min(passes, self._task.budget.left - judging) * self._task.search_images / Prices.tuned)
        if images < 2:
            return curve
        batch = min(LARGEST, max(2, images // STEPS))
        self._pieces += 1
        rate = self._rate / math.sqrt(self._pieces)
        tuning = Tuning(images, batch, rate / math.sqrt(max(1.0, images / batch)), least=least, most=most)
        tuned = Curve(self._task.tune(curve.scores, tuning), self._task.layout, self._stairs)
        kept = middles(least, most, JUDGES, self._task.layout.total)
        before, after = curve.errors(kept).mean(), tuned.cut(kept).mean()
        taken = bool(after < before)
        row = {"least": least, "most": most, "images": images, "rate": rate, "before": before, "after": after}
        earlier = self._task.records.get("tuning", pd.DataFrame())
        self._task.record("tuning", pd.concat([earlier, pd.DataFrame([row | {"taken": taken}])], ignore_index=True))
        return tuned if taken else curve


def slope(stairs: Staircase) -> tuple[float, float]:
    """Shares kept from deep below the place where a front has fallen up to it.

    What hypervolume is lost lies there. Networks that are hardly pruned have little to teach.
    """
    most = _reached(stairs, FALLEN)
    return DEPTH * most, most


def shoulder(stairs: Staircase) -> tuple[float, float]:
    """Shares kept from the place where a front has fallen up to where pruning is first felt."""
    return _reached(stairs, FALLEN), _reached(stairs, FELT)


def edge(stairs: Staircase) -> tuple[float, float]:
    """Shares kept from below the place where pruning is first felt up to the least that errs as little as any."""
    return EDGE * _reached(stairs, FELT), _reached(stairs, 0)


def _reached(stairs: Staircase, way: float) -> float:
    """The smallest share kept with an error so little of the way from the least to guessing."""
    counts, _, errors = stairs.steps(trained=False)
    alive = counts[errors <= errors[-1] + way * (1 - errors[-1])]
    return min(1.0, max(1, int(alive.min())) / stairs.total)
