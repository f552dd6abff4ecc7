"""How far each front is from the union of all fronts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import moocore
import pandas as pd

import pruneframe as pf
from pruneframe.front import non_dominated
from pruneframe.report import best_first, members, normalised

from .results import spread


@dataclass(frozen=True, repr=False)
class Distances(pf.Report):
    """Per problem, IGD+ and additive epsilon against what all runs found together.

    Ishibuchi, Masuda, Tanigaki and Nojima, EMO 2015; Zitzler, Thiele, Laumanns, Fonseca and Grunert da Fonseca, 2003.
    """

    name = "distances"
    place = 28

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Table]:
        for number, board in enumerate(study.boards, 1):
            rows = members(table, board, "test")
            if rows.method.nunique() > 1 and len(board.objectives) > 1:
                yield _table(rows, study, board, number)


def _table(rows: pd.DataFrame, study: pf.StudyFacts, board: pf.Board, number: int) -> pf.Table:
    points = normalised(rows, board)
    union = points[non_dominated(points)]
    data = []
    for (method, seed), run in rows.groupby(["method", "seed"]):
        own = normalised(run, board)
        found = {"igd_plus": moocore.igd_plus(own, union), "epsilon": moocore.epsilon_additive(own, union)}
        data.append({"method": method, "seed": seed} | found)
    frame = pd.DataFrame(data)
    order = [method for method in best_first(study.done(board)) if method in set(frame.method)]
    headings = {"igd_plus": "IGD+", "epsilon": "additive epsilon"}
    medians = frame.groupby("method")[list(headings)].median()
    return pf.Table(
        f"distances-{number}",
        f"{board.label}: distance of each final front (test split, normalised objectives) from the front of all runs "
        "together, median over seeds with quartiles in brackets; smaller is better, the best in bold.",
        pd.DataFrame(
            [
                {"method": method}
                | {h: spread(list(frame[frame.method == method][name])) for name, h in headings.items()}
                for method in order
            ]
        ),
        board.label,
        frozenset((order.index(str(medians[name].idxmin())), heading) for name, heading in headings.items()),
        frame,
    )


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Distances]
