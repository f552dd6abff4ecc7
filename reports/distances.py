"""How far each front is from the union of all fronts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import moocore
import numpy as np
import pandas as pd

import pruneframe as pf

HEADINGS = {"igd_plus": "IGD+", "epsilon": "additive epsilon"}


@dataclass(frozen=True, repr=False)
class Distances(pf.Report):
    """Per problem, IGD+ and additive epsilon against what all runs found together.

    Ishibuchi, Masuda, Tanigaki and Nojima, EMO 2015; Zitzler, Thiele, Laumanns, Fonseca and Grunert da Fonseca, 2003.
    """

    name = "distances"
    place = 28

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Table]:
        for number, board in enumerate(study.boards, 1):
            rows, runs = pf.members(table, board, "test"), study.done(board)
            order = pf.best_first(runs)
            if len(rows) and len(order) > 1 and len(board.objectives) > 1:
                yield _table(_measured(rows, board, runs), order, board, number)


def _measured(rows: pd.DataFrame, board: pf.Board, runs: Sequence[pf.RunSummary]) -> pd.DataFrame:
    """One row a run; no numbers for one whose front has no member."""
    found, members = [], pf.by_run(rows)
    unions = {one.number: _union(rows[rows.instance == one.number], board) for one in board.instances}
    for run in runs:
        own, union = pf.normalised(members.get(run.key, rows[:0]), board), unions[run.instance]
        values = (moocore.igd_plus(own, union), moocore.epsilon_additive(own, union)) if len(own) else (np.nan, np.nan)
        found.append(dict(zip((*pf.RUN, *HEADINGS), (*run.key, *values), strict=True)))
    return pd.DataFrame(found)


def _union(rows: pd.DataFrame, board: pf.Board) -> np.ndarray:
    """What all runs on an instance found together."""
    points = pf.normalised(rows, board)
    return points[pf.non_dominated(points)]


def _table(data: pd.DataFrame, order: Sequence[str], board: pf.Board, number: int) -> pf.Table:
    own = {method: data[data.method == method] for method in order}
    rows = [{"method": method} | {h: _cell(own[method][name]) for name, h in HEADINGS.items()} for method in order]
    best = set()
    for name, heading in HEADINGS.items():
        medians = [own[method][name].median(skipna=False) for method in order]  # not of some runs alone
        best |= {(row, heading) for row, value in enumerate(medians) if value == np.nanmin([*medians, np.inf])}
    return pf.Table(
        f"distances-{number}",
        f"{board.label}: distance of each final front (test split, normalised objectives) from the front of all runs "
        f"together{'' if len(board.instances) == 1 else ' on its instance'}, median over {board.over} with quartiles "
        "in brackets, and how many runs have a front where not all do; smaller is better, the best in bold.",
        pd.DataFrame(rows),
        board.hash,
        frozenset(best),
        data,
    )


def _cell(values: pd.Series) -> str:
    known = values.dropna()
    covered = "" if len(known) == len(values) else f", {len(known)} of {len(values)}"
    return f"{pf.spread(list(known))}{covered}" if len(known) else "none"


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Distances]
