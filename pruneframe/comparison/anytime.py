"""Anytime behaviour: what a run had reached by when, and which targets it had reached by then.

A target is a hypervolume on the search split: the largest that any run on an instance of a board reached, less a gap.
Gaps are the same everywhere, evenly spread on a log scale. Hansen, Auger, Ros, Mersmann, Tusar and Brockhoff, "COCO: a
platform for comparing continuous optimizers in a black-box setting", Optimization Methods and Software 36, 2021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..front import hypervolume_curve
from ..report import Board, normalised

Over = Literal["passes", "seconds"]

# Of the long table; a method's own work takes time as well, and no compute that is charged.
COLUMNS: dict[Over, list[str]] = {"passes": ["passes_spent"], "seconds": ["seconds", "own_seconds"]}
WIDEST, NARROWEST, TARGETS = 0.3, 0.001, 51  # gaps between the best run and the first and the last target
GAPS = np.geomspace(WIDEST, NARROWEST, TARGETS)

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """One run: hypervolume float64[n] on the search split, after spending float64[n], which ascends, of each kind."""

    spent: Mapping[Over, Values]
    reached: Values

    @classmethod
    def of(cls, rows: pd.DataFrame, board: Board) -> Curve:
        """Of a run's rows of the long table, of kind `evaluation`."""
        rows = rows.sort_values("number")
        spent = {over: rows[columns].to_numpy(np.float64).sum(axis=1) for over, columns in COLUMNS.items()}
        return cls(spent, hypervolume_curve(normalised(rows, board)))

    def end(self, over: Over) -> float:
        """What had been spent when the last answer came; 0 without one."""
        return float(max(self.spent[over], default=0.0))

    @property
    def last(self) -> float:
        """The hypervolume that it reached in the end."""
        return float(max(self.reached, default=0.0))

    def at(self, spent: Values | float, over: Over) -> Values:
        """The hypervolume reached by then, 0 before the first answer."""
        places = np.searchsorted(self.spent[over], np.asarray(spent) + 1e-9, "right")
        return np.concatenate([[0.0], self.reached])[places]

    def hits(self, targets: Values | Sequence[float], over: Over) -> Values:
        """What had been spent when each target was reached; infinite for one that was not."""
        return np.concatenate([self.spent[over], [np.inf]])[np.searchsorted(self.reached, np.asarray(targets) - 1e-12)]


def running_time(curves: Sequence[Curve], targets: Sequence[float], over: Over) -> tuple[float, int]:
    """The expected running time to each run's own target, and how many runs reached it.

    All that was spent until it was reached, or until the end where it was not, divided by how many reached it: what a
    method takes on average that is started again until it succeeds. Infinite where none did.
    """
    hits = [float(curve.hits([target], over)[0]) for curve, target in zip(curves, targets, strict=True)]
    reached = int(np.isfinite(hits).sum())
    spent = sum(min(hit, curve.end(over)) for curve, hit in zip(curves, hits, strict=True))
    return (spent / reached if reached else math.inf), reached
