"""How the hypervolume grows with the compute spent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.anytime import Curves, curves_of
from pruneframe.comparison.style import Look, legend_below, looks, panels

SWEEPS = (
    " A method that goes through sizes one by one, and is the same under every seed, does not improve on its way: its "
    "curve shows how many sizes it has been through, and only its end is a result."
)
STEPS = 200  # points along a curve


@dataclass(frozen=True, repr=False)
class Progress(pf.Report):
    """Per problem, the search hypervolume of everything evaluated so far, against the compute spent."""

    name = "progress"
    place = 14
    over: Literal["passes", "seconds"] = pf.setting("passes", "what the horizontal axis counts")

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure]:
        for number, board in enumerate(study.boards, 1):
            curves = curves_of(table, board, study.done(board))
            if curves:
                clocks = " or ".join(sorted({curve.clock for curve in curves.values()}))
                counted = (
                    "compute; one pass is one dense forward pass over the search images"
                    if self.over == "passes"
                    else f"{clocks}, which depend on the machine"
                )
                swept = any(run.deterministic for run in study.done(board))
                caption = (
                    f"{board.label}: hypervolume on the search split against {counted}. Lines: median over "
                    f"{board.over}; bands: quartiles.{SWEEPS if swept else ''}"
                )
                style = looks(study.methods, study.highlight)
                yield pf.Figure(f"progress-{number}", caption, self._figure(curves, board, style), board.hash)

    def _figure(self, curves: Curves, board: pf.Board, style: dict[str, Look]) -> Any:
        figure, (axis,) = panels(1)
        end = board.budget if self.over == "passes" else max(curve.end("seconds") for curve in curves.values())
        grid = np.linspace(0, end, STEPS)
        for method in sorted({name for name, _, _ in curves}):
            reached = np.array([curve.at(grid, self.over) for (name, _, _), curve in curves.items() if name == method])
            low, median, high = np.quantile(reached, [0.25, 0.5, 0.75], axis=0)
            look = style[method]
            axis.plot(grid, median, label=method, **look.line)
            axis.fill_between(grid, low, high, color=look.color, alpha=0.2 * look.alpha, linewidth=0)
        axis.set_xlabel("compute (passes)" if self.over == "passes" else "seconds")
        axis.set_ylabel("hypervolume (search)")
        axis.margins(x=0)
        legend_below(figure, axis)
        return figure


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Progress]
