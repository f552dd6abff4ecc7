"""What methods recorded about their own searches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf

from .style import legend_below, looks, panels

ROWS = 4  # a run's record with more is drawn, where it has two objectives
HEAD = ("record", "board", "method", "seed")


@dataclass(frozen=True, repr=False)
class Records(pf.Report):
    """Per problem, each of the tables that methods record: short ones as they are, fronts as points."""

    name = "records"

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure | pf.Table]:
        for number, board in enumerate(study.boards, 1):
            own = study.records[study.records.board == board.label] if len(study.records) else study.records
            for place, (record, rows) in enumerate(own.groupby("record", sort=False) if len(own) else (), 1):
                found = rows.dropna(axis=1, how="all")
                longest = found.groupby(["method", "seed"]).size().max()
                id, caption = f"records-{number}-{place}", f"{board.label}: {record}, as recorded by the methods."
                if longest <= ROWS:
                    yield pf.Table(id, caption, _printed(found))
                elif set(board.objectives[:2]) <= set(found):
                    yield pf.Figure(id, caption, _points(found, board.objectives))


def _printed(rows: pd.DataFrame) -> pd.DataFrame:
    """Method and seed first, numbers to four digits."""
    rest = [name for name in rows if name not in HEAD]
    return rows[["method", "seed", *rest]].map(lambda value: f"{value:.4g}" if isinstance(value, float) else str(value))


def _points(rows: pd.DataFrame, objectives: Sequence[str]) -> Any:
    """The first two objectives, on the search split."""
    figure, (axis,) = panels(1)
    style = looks(sorted(set(rows.method)))
    for method, found in rows.groupby("method"):
        x, y = (found[name].to_numpy(dtype=np.float64) for name in (objectives[1], objectives[0]))
        axis.scatter(x, y, s=8, color=style[str(method)]["color"], label=str(method))
    axis.set_xlabel(objectives[1])
    axis.set_ylabel(f"{objectives[0]} (search)")
    legend_below(figure, axis)
    return figure


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Records]
