"""The table of indicators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf


@dataclass(frozen=True, repr=False)
class Results(pf.Report):
    """Per problem and method, medians and quartiles over seeds of the hypervolume and of the operating points."""

    name = "results"

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure | pf.Table]:
        for number, board in enumerate(study.boards, 1):
            runs = [run for run in study.runs if run["board"] == board.label and run["status"] == "done"]
            yield pf.Table(f"results-{number}", _caption(board), results(runs))


def _caption(board: pf.Board) -> str:
    return (
        f"{board.label}: median over seeds, quartiles in brackets. HV: hypervolume of the final front with test error; "
        "HV search: with search error. Removed at x: share of all parameters removed by the smallest member whose "
        "search error is at most x points above the unpruned network's, and in brackets the points it loses on test."
    )


def results(runs: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row per method, best median hypervolume first."""
    rows = []
    for method in sorted({run["method"] for run in runs}):
        own = [run for run in runs if run["method"] == method]
        values = [run["hypervolume"] for run in own]
        rows.append(
            {
                "order": -float(np.median(values)),
                "method": method,
                "runs": len(own),
                "HV": spread(values),
                "HV search": f"{np.median([run['hypervolume_search'] for run in own]):.4f}",
                **{f"removed at {x:g}": operating_point(own, x) for x in (0.5, 1.0, 2.0)},
            }
        )
    frame = pd.DataFrame(rows)
    return frame.sort_values(["order", "method"]).drop(columns="order").reset_index(drop=True)


def spread(values: Sequence[float]) -> str:
    """Median [lower quartile, upper quartile]; the value alone when there is one."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{median:.4f} [{low:.4f}, {high:.4f}]"


def operating_point(runs: Sequence[dict[str, Any]], drop: float) -> str:
    """Median share removed and median points lost on test; `none` where no run has such a member."""
    found = [run for run in runs if run[f"reduction_at_{drop:g}"] is not None]
    if not found:
        return "none"
    removed = np.median([run[f"reduction_at_{drop:g}"] for run in found])
    lost = np.median([run[f"test_drop_at_{drop:g}"] for run in found])
    return f"{100 * removed:.1f} % ({lost:+.2f})"


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Results]
