"""Tuning with judgement: a score is tuned in pieces, and a piece that does not help is taken back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from .encoding import Scores
from .sweep import Sweep
from .task import Task
from .tuning import Tuning

PIECE, WORK = 25, 4  # units of a piece, about, and how many times the units that judge it at least
STEPS, LARGEST = 50, 200  # of a piece, about, and images of a step at most
FASTER, SLOWER = 1.25, 0.5  # what the rate is multiplied with after a piece that helped, and one that did not
JUDGED = 3  # cuts by which a tuned score is judged


class Tuner:
    """Tunes scores within shares of the budget, and records every piece in the table `tuning`.

    `rate`: how far a tuning would move ranks, from 0 to 1, if gradients were noise and the rate stayed; it falls along
    a cosine, and success moves it; what was too fast is not tried again by the next call. `sweep` judges.
    """

    def __init__(self, task: Task, sweep: Sweep, rate: float) -> None:
        self._task = task
        self._sweep = sweep
        self._rate = rate
        self._pace = 1.0
        self._rows: list[dict[str, Any]] = []

    def tuned(self, scores: Scores, least: float, most: float) -> Scores:
        """The score for cuts that keep `least` to `most` of the units; spends what the current share has left."""
        units, judging = self._task.budget.left, 2 * self._sweep.price * JUDGED  # error and distortion
        pieces = math.ceil(units / max(PIECE, (1 + WORK) * judging))
        images = int(((units - judging) / max(1, pieces) - judging) * self._task.search_images / Tuning.passes)
        if images < 2:
            return scores
        batch = min(LARGEST, max(2, images // STEPS))
        rate = self._rate / math.sqrt(max(1.0, pieces * images / batch))
        cuts = np.geomspace(least, most, JUDGED)
        judged = self._sweep.damage(scores, cuts)
        self._record(least, most, 0, 0.0, judged, True)
        for piece in range(pieces):
            now, then = (rate * self._pace * cosine((piece + end) / pieces) for end in (0, 1))
            tuned = self._task.tune(scores, Tuning(images, batch, now, then, least=least, most=most))
            found = self._sweep.damage(tuned, cuts)
            self._record(least, most, images, now, found, found < judged)
            self._pace *= FASTER if found < judged else SLOWER
            if found < judged:
                scores, judged = tuned, found
        self._pace = min(1.0, self._pace)  # it was raised against a rate that falls
        return scores

    def _record(self, least: float, most: float, images: int, rate: float, damage: float, taken: bool) -> None:
        row = {"least": least, "most": most, "images": images, "rate": rate, "damage": damage, "taken": taken}
        self._rows.append(row)
        self._task.record("tuning", pd.DataFrame(self._rows))


def cosine(done: float) -> float:
    """From 1 down to 0 as `done` goes from 0 to 1."""
    return (1 + math.cos(math.pi * done)) / 2
