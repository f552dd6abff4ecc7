"""What methods take in seconds, for which kinds of questions, and where their order differs from that by compute."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.anytime import Curves, curves_of


@dataclass(frozen=True, repr=False)
class Seconds(pf.Report):
    """Per problem, each method's seconds: in all, a pass, its own work, and by kind of question."""

    name = "seconds"
    place = 23

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Table | pf.Remark]:
        for number, board in enumerate(study.boards, 1):
            runs = study.done(board)
            data = _medians(pf.best_first(runs), runs)
            if data.empty:
                continue
            yield pf.Table(
                f"seconds-{number}",
                f"{board.label}: seconds of a search, median over {board.over}: that its process worked, and by the "
                "clock in all, for each pass of compute, the method's own work, and the answers to each kind of "
                "question. Seconds depend on the machine, those by the clock on what else ran on it as well.",
                data.apply(lambda column: column if column.name == "method" else column.map(_printed)),
                board.hash,
                data=data,
            )
            yield from _flips(board, curves_of(table, board, runs), runs)


def _medians(order: Sequence[str], runs: Sequence[pf.RunSummary]) -> pd.DataFrame:
    """One row per method, in this order."""
    rows = []
    for run in runs:
        total = run.seconds + run.own_seconds
        head = {
            "method": run.method,
            "processor": run.processor_seconds,
            "in all": total,
            "a pass": total / run.passes_spent if run.passes_spent else np.nan,
        }
        rows.append(head | {"own work": run.own_seconds} | run.seconds_by_kind)
    if not rows:
        return pd.DataFrame()
    found = pd.DataFrame(rows)
    kinds = sorted({kind for run in runs for kind in run.seconds_by_kind})
    found[kinds] = found[kinds].fillna(0.0)  # a run that never asked
    return found.groupby("method").median().loc[list(order)].reset_index()


def _printed(value: float) -> str:
    return "" if np.isnan(value) or value == 0 else f"{value:.3g}"


def _flips(board: pf.Board, curves: Curves, runs: Sequence[pf.RunSummary]) -> Iterable[pf.Remark]:
    """A warning where methods stand in another order at equal seconds than at equal compute."""
    methods = sorted({run.method for run in runs})
    if len(methods) < 2 or not curves:
        return
    ends = {m: float(np.median([curves[run.key].end("seconds") for run in runs if run.method == m])) for m in methods}
    least = min(ends.values())
    reached = {
        "compute": {m: [curves[run.key].last for run in runs if run.method == m] for m in methods},
        "seconds": {
            m: [float(curves[run.key].at(least, "seconds")) for run in runs if run.method == m] for m in methods
        },
    }
    orders = {over: sorted(methods, key=lambda m: (-float(np.median(found[m])), m)) for over, found in reached.items()}
    if orders["compute"] != orders["seconds"]:
        told = {
            over: ", ".join(f"{m} {np.median(reached[over][m]):.4f}" for m in order) for over, order in orders.items()
        }
        yield pf.Remark(
            f"{board.label}: Warning: the order of methods is another at equal seconds. Median hypervolume on search "
            f"images at the end: {told['compute']}; after {least:.3g} seconds, which the quickest takes in all: "
            f"{told['seconds']}.",
            board.hash,
        )


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Seconds]
