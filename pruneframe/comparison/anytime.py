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
from ..report import Board, RunKey, RunSummary, by_run, normalised

Over = Literal["passes", "seconds"]

PROCESSOR, CLOCK = "processor seconds", "seconds by the clock"
WIDEST, NARROWEST, TARGETS = 0.3, 0.001, 51  # gaps between the best run and the first and the last target
GAPS = np.geomspace(WIDEST, NARROWEST, TARGETS)

NOTHING = pd.Series([np.nan])  # in place of a column that there is not

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """One run: hypervolume float64[n] on the search split, after spending float64[n], which ascends, of each kind.

    Seconds are those of answers and of the method's own work, which takes time as well, and no compute that is charged.
    """

    spent: Mapping[Over, Values]
    reached: Values
    clock: str = CLOCK  # or PROCESSOR: what its seconds are

    @classmethod
    def of(cls, rows: pd.DataFrame, board: Board) -> Curve:
        """Of a run's rows of the long table, of kind `evaluation`.

        Seconds that a process had to wait for others are no method's own: on a processor those count that it worked. On
        a GPU, where the processor waits, and where nothing else was written down, those by the clock.
        """
        rows = rows.sort_values("number")
        worked = board.rules.get("device", "cpu") == "cpu" and rows.get("processor_seconds", NOTHING).notna().all()
        columns = ["processor_seconds"] if worked else ["seconds", "own_seconds"]
        seconds = rows[columns].to_numpy(np.float64).sum(axis=1)
        spent: dict[Over, Values] = {"passes": rows["passes_spent"].to_numpy(np.float64), "seconds": seconds}
        return cls(spent, hypervolume_curve(normalised(rows, board)), PROCESSOR if worked else CLOCK)

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


Curves = Mapping[RunKey, Curve]  # of the runs of a board


def curves_of(table: pd.DataFrame, board: Board, runs: Sequence[RunSummary]) -> Curves:
    """One for each of a board's runs, also for those without any evaluation; none where no run has one."""
    rows = table[(table.board == board.hash) & (table.kind == "evaluation")] if len(table) else table
    if rows.empty:
        return {}
    own = by_run(rows)
    return {run.key: Curve.of(own.get(run.key, rows[:0]), board) for run in runs}


def running_time(curves: Sequence[Curve], targets: Sequence[float], over: Over) -> tuple[float, int]:
    """The expected running time to each run's own target, and how many runs reached it.

    All that was spent until it was reached, or until the end where it was not, divided by how many reached it: what a
    method takes on average that is started again until it succeeds. Infinite where none did.
    """
    hits = [float(curve.hits([target], over)[0]) for curve, target in zip(curves, targets, strict=True)]
    reached = int(np.isfinite(hits).sum())
    spent = sum(min(hit, curve.end(over)) for curve, hit in zip(curves, hits, strict=True))
    return (spent / reached if reached else math.inf), reached
