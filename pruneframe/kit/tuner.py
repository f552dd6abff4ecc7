"""Tuning with judgement: a score is tuned in pieces where the front falls, and one that does not help is taken back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from ..search.prices import Prices
from ..search.task import Task
from ..search.tuning import Tuning
from .sweep import Curve, Staircase

STEPS, LARGEST = 100, 200  # of a piece, about, and images of a step at most
FALLEN = 0.1  # of the way from the least error to guessing: from there on a front has fallen
DEPTH = 0.25  # of the units at that place: thresholds go so far down
JUDGES = 4  # cuts by which a piece is judged


class Tuner:
    """Tunes scores piece by piece, and records every piece in the table `tuning`.

    Thresholds of a piece go from where the front falls down to a quarter of the units there, where networks guess:
    what is lost lies there, and a network that is hardly pruned has nothing to learn from. A piece is taken where its
    cuts in that region err less on the search images than those before. `rate`: how far a piece would move ranks, from
    0 to 1, if gradients were noise and the rate stayed; the n-th begins at 1 / sqrt(n) of it.
    """

    def __init__(self, task: Task, stairs: Staircase, rate: float) -> None:
        self._task = task
        self._stairs = stairs
        self._rate = rate
        self._rows: list[dict[str, Any]] = []

    def piece(self, curve: Curve, passes: float) -> Curve:
        """The score after a piece of about so many passes; the one before where it errs more or cannot be paid."""
        judging = JUDGES * self._task.prices.evaluation
        images = int(min(passes, self._task.budget.left - judging) * self._task.search_images / Prices.tuned)
        if images < 2:
            return curve
        batch = min(LARGEST, max(2, images // STEPS))
        least, most = self.region()
        rate = self._rate / math.sqrt(len(self._rows) + 1)
        tuning = Tuning(images, batch, rate / math.sqrt(max(1.0, images / batch)), least=least, most=most)
        tuned = Curve(self._task.tune(curve.scores, tuning), self._task.layout, self._stairs)
        kept = np.unique(np.rint(np.geomspace(least, most, JUDGES + 2)[1:-1] * self._task.layout.total).astype(int))
        before, after = curve.errors(kept).mean(), tuned.cut(kept).mean()
        taken = bool(after < before)
        row = {"least": least, "most": most, "images": images, "rate": rate, "before": before, "after": after}
        self._rows.append(row | {"taken": taken})
        self._task.record("tuning", pd.DataFrame(self._rows))
        return tuned if taken else curve

    def region(self) -> tuple[float, float]:
        """Shares kept, from where the front has fallen to where it begins to."""
        counts, _, errors = self._stairs.steps()
        alive = counts[errors <= errors[-1] + FALLEN * (1 - errors[-1])]
        most = min(1.0, max(1, int(alive.min())) / self._task.layout.total)
        return DEPTH * most, most
