"""How much the search fooled itself: what its images say of a front, and what others say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.style import folded, looks, panels

from .chosen import fronts


@dataclass(frozen=True, repr=False)
class Generalisation(pf.Report):
    """Per problem, by how much more a front's members lose on test than on search, one dot a run."""

    name = "generalisation"
    place = 15

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure]:
        for number, board in enumerate(study.boards, 1):
            gaps: dict[str, list[float]] = {}
            for (method, instance, _), front in fronts(table, board).items():
                gaps.setdefault(method, []).append(_gap(front, board.instance(instance)))
            if gaps:
                yield self._figure(gaps, study, board, number)

    def _figure(self, gaps: dict[str, list[float]], study: pf.StudyFacts, board: pf.Board, number: int) -> pf.Figure:
        style = looks(study.methods, study.highlight)
        order = [method for method in pf.best_first(study.done(board)) if method in gaps][::-1]
        names = [folded(method) for method in order]
        figure, (axis,) = panels(1, 0.8 + 0.16 * sum(name.count("\n") + 1 for name in names))
        for place, method in enumerate(order):
            look, values = style[method], gaps[method]
            axis.plot(values, [place] * len(values), ls="", marker=look.marker, color=look.color, alpha=0.7)
            axis.plot([np.median(values)] * 2, [place - 0.3, place + 0.3], color=look.color)
        axis.axvline(0, color="black", lw=0.8)
        axis.set_yticks(range(len(order)), names)
        axis.set_ylim(-0.6, len(order) - 0.4)
        axis.set_xlabel("points lost on test beyond search")
        return pf.Figure(
            f"generalisation-{number}",
            f"{board.label}: points that the members of a final front lose on test beyond those they lose on search, "
            "on average over the front; one mark a run, a bar at the median. Right of 0 the search fooled itself.",
            figure,
            board.hash,
        )


def _gap(front: pd.DataFrame, dense: pf.Instance) -> float:
    lost, lost_on_test = front.error - dense.dense_error, front.test_error - dense.dense_test_error
    return 100 * float((lost_on_test - lost).mean())


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Generalisation]
