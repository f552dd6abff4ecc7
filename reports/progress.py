"""How the hypervolume grows with the compute spent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.anytime import Curve
from pruneframe.comparison.style import Look, legend_below, looks, panels

STEPS = 200  # points along a curve


@dataclass(frozen=True, repr=False)
class Progress(pf.Report):
    """Per problem, the search hypervolume of everything evaluated so far, against the compute spent."""

    name = "progress"
    place = 14
    over: Literal["passes", "seconds"] = pf.setting("passes", "what the horizontal axis counts")

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure]:
        for number, board in enumerate(study.boards, 1):
            rows = table[(table.board == board.hash) & (table.kind == "evaluation")]
            found = pf.by_run(rows)
            ended = {key: found.get(key, rows[:0]) for key in (run.key for run in study.done(board))}
            if any(map(len, ended.values())):
                counted = (
                    "compute; one pass is one dense forward pass over the search images"
                    if self.over == "passes"
                    else "seconds of answering, which depend on the machine"
                )
                caption = (
                    f"{board.label}: hypervolume on the search split against {counted}. Lines: median over "
                    f"{board.over}; bands: quartiles."
                )
                style = looks(study.methods, study.highlight)
                yield pf.Figure(f"progress-{number}", caption, self._figure(ended, board, style), board.hash)

    def _figure(self, ended: dict[tuple[str, int, int], pd.DataFrame], board: pf.Board, style: dict[str, Look]) -> Any:
        figure, (axis,) = panels(1)
        grid = np.linspace(
            0,
            board.budget if self.over == "passes" else max(run.seconds.max() for run in ended.values() if len(run)),
            STEPS,
        )
        for method in sorted({name for name, _, _ in ended}):
            runs = [run for (name, _, _), run in ended.items() if name == method]
            curves = np.array([Curve.of(run, board).at(grid, self.over) for run in runs])
            low, median, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
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
