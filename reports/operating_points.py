"""What methods lose at a given size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf

from .chosen import Chosen, at_size, coverage, fronts, rows_of

TIMES = (2, 4, 8, 16)  # smaller than the unpruned network


@dataclass(frozen=True, repr=False)
class OperatingPoints(pf.Report):
    """Per problem, what is lost at 2, 4, 8 and 16 times fewer parameters."""

    name = "operating-points"
    place = 26

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Table]:
        for number, board in enumerate(study.boards, 1):
            members = fronts(table, board)
            found = {("params", f"{times}x"): list(at_size(members, board, times)) for times in TIMES}
            rows, runs = [], Counter(run.method for run in study.done(board))
            for method in pf.best_first(study.done(board)):
                own = {h: [c for c in chosen if c.method == method] for (_, h), chosen in found.items()}
                rows.append(
                    {"method": method} | {heading: _lost(chosen, runs[method]) for heading, chosen in own.items()}
                )
            yield pf.Table(
                f"operating-points-{number}",
                f"{board.label}: points of accuracy lost on the test split at 2, 4, 8 and 16 times fewer parameters, "
                f"median over {board.over} with quartiles in brackets: of each run the member with the least search "
                "error among those small enough, and how many runs have one where not all do.",
                pd.DataFrame(rows),
                board.hash,
                data=rows_of(found),
            )


def _lost(chosen: Sequence[Chosen], runs: int) -> str:
    if not chosen:
        return "none"
    low, median, high = np.quantile([c.lost_on_test for c in chosen], [0.25, 0.5, 0.75])
    spread = "" if len(chosen) == 1 else f" [{low:+.2f}, {high:+.2f}]"
    return f"{median:+.2f}{spread}{coverage(chosen, runs)}"


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [OperatingPoints]
