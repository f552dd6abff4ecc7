"""What methods remove at a bounded loss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf

from .chosen import Chosen, Fronts, coverage, fronts, rows_of, within

POINTS = (0.0, 0.5, 1.0, 2.0)  # of accuracy that may be lost on the search split
Found = dict[tuple[str, str], list[Chosen]]  # by cost, and by the heading of a column
HEADINGS = {f"at {points:g}": points for points in POINTS}
UNFIT = ("error", "distortion")  # objectives that are no costs


@dataclass(frozen=True, repr=False)
class Reductions(pf.Report):
    """Per problem, the share of parameters (and other costs) removed at 0, 0.5, 1 and 2 points lost, bold and sure."""

    name = "reductions"
    place = 24

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Table]:
        for number, board in enumerate(study.boards, 1):
            members = fronts(table, board)
            yield _table(members, study, board, f"reductions-{number}", sure=False)
            if "loss_bound" in table:
                yield _table(members, study, board, f"reductions-sure-{number}", sure=True)


def _table(members: Fronts, study: pf.StudyFacts, board: pf.Board, id: str, sure: bool) -> pf.Table:
    """Of members whose search error allows it, or of those that are sure to lose no more."""
    runs = Counter(run.method for run in study.done(board))
    costs = ["params", *(name for name in board.objectives if name not in (*UNFIT, "params"))]
    found = {
        (cost, heading): list(within(members, board, cost, points, sure))
        for cost in costs
        for heading, points in HEADINGS.items()
    }
    frame = _rows(pf.best_first(study.done(board)), costs, found, runs)
    among = (
        "that lose at most 0, 0.5, 1 and 2 points on the search images with 90 % confidence (one-sided, paired with "
        "the unpruned network)"
        if sure
        else "whose search error is at most 0, 0.5, 1 and 2 points above the unpruned network's"
    )
    return pf.Table(
        id,
        f"{board.label}: largest share removed among the members {among}, median over {board.over}; in brackets the "
        "points that these members lose on the test split, and how many runs have such a member where not all do. "
        "Nothing is chosen by its test error. Bold: the largest of those that lose no more than that on test either.",
        frame if len(costs) > 1 else frame.drop(columns="of"),
        board.hash,
        _largest(frame, found, runs),
        rows_of(found),
    )


def _rows(methods: Sequence[str], costs: Sequence[str], found: Found, runs: Counter[str]) -> pd.DataFrame:
    rows = []
    for cost in costs:
        for method in methods:
            own = {h: [c for c in chosen if c.method == method] for (of, h), chosen in found.items() if of == cost}
            cells = {heading: _cell(chosen, runs[method]) for heading, chosen in own.items()}
            rows.append({"method": method, "of": cost} | cells)
    return pd.DataFrame(rows)


def _cell(chosen: Sequence[Chosen], runs: int) -> str:
    if not chosen:
        return "none"
    removed = np.median([c.removed for c in chosen])
    return f"{100 * removed:.1f} % ({_lost(chosen):+.2f}){coverage(chosen, runs)}"


def _lost(chosen: Sequence[Chosen]) -> float:
    """Points on test, the median over runs."""
    return float(np.median([c.lost_on_test for c in chosen]))


def _largest(frame: pd.DataFrame, found: Found, runs: Counter[str]) -> frozenset[tuple[int, str]]:
    """The largest median of each column, cost by cost, of methods all of whose runs have such a member.

    A method whose members lose more on test than the column allows does not keep what it promises, and is no best one.
    """
    best = set()
    for (cost, heading), chosen in found.items():
        rows = frame.index[frame["of"] == cost]
        own = {row: [c for c in chosen if c.method == frame.method[row]] for row in rows}
        medians = {
            row: np.median([c.removed for c in kept])
            for row, kept in own.items()
            if len(kept) == runs[frame.method[row]] and _lost(kept) <= HEADINGS[heading] + 1e-9
        }
        if len(rows) > 1 and medians:
            best |= {(int(row), heading) for row, value in medians.items() if value == max(medians.values())}
    return frozenset(best)


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Reductions]
