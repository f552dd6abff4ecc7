"""A study's figures as one table: medians over runs, and what is removed at a bounded loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..front import DROPS
from ..report import RUN, Board, RunKey, RunSummary, best_first, by_run, members
from .verdicts import summed_up, verdicts

REMOVED = (0.5, 0.75, 0.875)  # shares of the parameters at which accuracy after training is told


def results(runs: Sequence[RunSummary], control: str | None = None) -> pd.DataFrame:
    """What the summary prints: one row per method, best median hypervolume first, with what may be claimed of it."""
    rows, said = [], summed_up(verdicts(runs, control), control)
    for method in best_first(runs):
        own = [run for run in runs if run.method == method]
        rows.append(
            {
                "method": method,
                "runs": len(own),
                "HV": spread([run.hypervolume for run in own]),
                "HV search": f"{np.median([run.hypervolume_search for run in own]):.4f}",
                **{f"sure at {x:g}": operating_point(own, x) for x in DROPS},
                "verdict": said.get(method, ""),
            }
        )
    frame = pd.DataFrame(rows)
    return frame if said else frame.drop(columns="verdict")  # one method alone is compared with nothing


def spread(values: Sequence[float]) -> str:
    """Median [lower quartile, upper quartile]; the value alone when there is one."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{median:.4f} [{low:.4f}, {high:.4f}]"


def operating_point(runs: Sequence[RunSummary], drop: float) -> str:
    """Median share that a sure member removes, and median points lost on test; `none` where no run has such a one."""
    points = [run.point(drop, sure=True) for run in runs]
    found = [(p.reduction, p.test_drop) for p in points if p.reduction is not None and p.test_drop is not None]
    if not found:
        return "none"
    removed, lost = np.median(found, axis=0)
    return f"{100 * removed:.1f} % ({lost:+.2f})"


def after_training(table: pd.DataFrame, board: Board, runs: Sequence[RunSummary]) -> pd.DataFrame:
    """One row per method: test accuracy in per cent as searched, and after the common fine-tuning that its runs had.

    Of each front the member with the least search error, before and after, among those with at least so much removed;
    medians over runs.
    """
    found = {kind: _with_test(table, board, kind) for kind in ("member", "finetuned")}
    rows = []
    for method in best_first(runs):
        keys = [run.key for run in runs if run.method == method]
        row = {"method": method}
        for share in REMOVED:
            values = [_accuracy([found[kind].get(key) for key in keys], share) for kind in found]
            row[f"at {100 * share:g} % removed"] = " to ".join(values)
        rows.append(row)
    return pd.DataFrame(rows)


def _with_test(table: pd.DataFrame, board: Board, kind: str) -> dict[RunKey, pd.DataFrame]:
    """The members of each run, with their errors on search and `test_error`."""
    own = [*RUN, "number"]
    search, test = members(table, board, "search", kind), members(table, board, "test", kind)
    return by_run(search.merge(test[[*own, "error"]].rename(columns={"error": "test_error"}), on=own))


def _accuracy(fronts: Sequence[pd.DataFrame | None], share: float) -> str:
    """The median over fronts, of those that have such a member."""
    small = [front[front.removed >= share - 1e-12] for front in fronts if front is not None]
    errors = [front.sort_values("error").test_error.iloc[0] for front in small if len(front)]
    return f"{100 * (1 - np.median(errors)):.2f}" if errors else "none"
