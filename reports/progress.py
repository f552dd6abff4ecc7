"""How the hypervolume grows with the compute spent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.front import hypervolume_curve
from pruneframe.report import normalised

from .style import legend_below, looks, panels

STEPS = 200  # points along a curve


@dataclass(frozen=True, repr=False)
class Progress(pf.Report):
    """Per problem, the search hypervolume of everything evaluated so far, against units of compute."""

    name = "progress"

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure | pf.Table]:
        for number, board in enumerate(study.boards, 1):
            rows = table[(table.board == board.label) & (table.kind == "evaluation")]
            if len(rows):
                caption = (
                    f"{board.label}: hypervolume on the search split against compute; one unit is one dense pass over "
                    "the search set. Lines: median over seeds; bands: quartiles."
                )
                yield pf.Figure(f"progress-{number}", caption, _figure(rows, board, sorted(set(table.method))))


def _figure(rows: pd.DataFrame, board: pf.Board, methods: Sequence[str]) -> Any:
    figure, (axis,) = panels(1)
    style = looks(methods)
    grid = np.linspace(0, board.budget, STEPS)
    for method, found in rows.groupby("method"):
        curves = np.array([_curve(run, board, grid) for _, run in found.groupby("seed")])
        low, median, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
        colour = style[str(method)]["color"]
        axis.plot(grid, median, color=colour, label=method)
        axis.fill_between(grid, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.set_xlabel("units of compute")
    axis.set_ylabel("hypervolume (search)")
    axis.margins(x=0)
    legend_below(figure, axis)
    return figure


def _curve(run: pd.DataFrame, board: pf.Board, grid: np.ndarray) -> np.ndarray:
    """One run's hypervolume at the grid's units: what it had reached by then, 0 before its first answer."""
    run = run.sort_values("number")
    reached = np.concatenate([[0.0], hypervolume_curve(normalised(run, board))])
    return reached[np.searchsorted(run.units_spent.to_numpy(), grid + 1e-9, side="right")]


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Progress]
