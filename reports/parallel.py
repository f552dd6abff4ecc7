"""Final fronts of three and more objectives, one line a member."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.style import Look, legend_below, looks, panels

FEWEST = 3  # objectives; two are seen better as a plane


@dataclass(frozen=True, repr=False)
class Parallel(pf.Report):
    """Per problem with three or more objectives, parallel coordinates of what the final members reach on test."""

    name = "parallel"
    place = 11

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure]:
        for number, board in enumerate(study.boards, 1):
            rows = pf.members(table, board, "test")
            if len(rows) and len(board.objectives) >= FEWEST:
                yield self._figure(rows, board, number, looks(study.methods, study.highlight))

    def _figure(self, rows: pd.DataFrame, board: pf.Board, number: int, style: dict[str, Look]) -> pf.Figure:
        figure, [axis] = panels(1)
        places = np.arange(len(board.objectives))
        for method, found in rows.groupby("method"):
            look = style[str(method)]
            axis.plot(
                places, pf.normalised(found, board).T, **look.line | {"linewidth": 0.6, "alpha": 0.35 * look.alpha}
            )
            axis.plot([], [], label=str(method), **look.line)
        axis.plot(
            places, np.array(board.dense_test) / board.references, color="black", ls="--", label="unpruned network"
        )
        axis.set_xticks(places, board.objectives)
        axis.set_ylabel("share of the reference (test)")
        axis.set_ylim(bottom=0)
        legend_below(figure, axis)
        return pf.Figure(
            f"parallel-{number}",
            f"{board.label}: the members of all final fronts over all objectives, each divided by its reference; lower "
            "is better, and lines that cross are trade-offs.",
            figure,
            board.hash,
        )


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Parallel]
