"""Tuning with judgement: a score is tuned in pieces, and a piece that does not help is taken back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from ..encoding import Scores
from ..search.prices import Prices
from ..search.task import Task
from ..search.tuning import Tuning
from .sweep import Sweep

PIECE, WORK = 40, 4  # passes of a piece, about, and how many times the passes that judge it at least
STEPS, LARGEST = 100, 200  # of a piece, about, and images of a step at most
SLOWER = 0.5  # what the rate is multiplied with after a piece that did not help
JUDGED = 3  # thresholds by which a tuned score is judged
BEYOND = 0.7  # times the least share kept: steps go so far, since what they seldom see gets worse


class Tuner:
    """Tunes scores within shares of the budget, and records every piece in the table `tuning`.

    `rate`: how far a piece would move ranks, from 0 to 1, if gradients were noise and the rate stayed. It falls to 0 in
    every piece, since what still moves cannot be judged; it begins the n-th at 1 / sqrt(n) of `rate`, halved for good
    after each that did not help. `sweep` judges.
    """

    def __init__(self, task: Task, sweep: Sweep, rate: float) -> None:
        self._task = task
        self._sweep = sweep
        self._rate = rate
        self._pieces = 0
        self._rows: list[dict[str, Any]] = []

    def tuned(self, scores: Scores, least: float, most: float) -> Scores:
        """The score for thresholds that keep `least` to `most` of the units; spends what the current share has left."""
        passes, judging = self._task.budget.left, self._sweep.price * JUDGED
        pieces = math.ceil(passes / max(PIECE, (1 + WORK) * judging))
        images = int(((passes - judging) / max(1, pieces) - judging) * self._task.search_images / Prices.tuned)
        if images < 2:
            return scores
        batch = min(LARGEST, max(2, images // STEPS))
        steps = max(1.0, images / batch)
        shares = np.geomspace(least, most, JUDGED)
        judged = self._sweep.damage(scores, shares)
        self._record(least, most, 0, 0.0, judged, True)
        for _ in range(pieces):
            self._pieces += 1
            rate = self._rate / math.sqrt(steps * self._pieces)
            tuned = self._task.tune(scores, Tuning(images, batch, rate, least=BEYOND * least, most=most))
            found = self._sweep.damage(tuned, shares)
            self._record(least, most, images, rate, found, found < judged)
            if found < judged:
                scores, judged = tuned, found
            else:
                self._rate *= SLOWER
        return scores

    def _record(self, least: float, most: float, images: int, rate: float, damage: float, taken: bool) -> None:
        row = {"least": least, "most": most, "images": images, "rate": rate, "damage": damage, "taken": taken}
        self._rows.append(row)
        self._task.record("tuning", pd.DataFrame(self._rows))
