"""What methods recorded about their own searches."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.style import Look, legend_below, logarithmic, looks, panels, strips

ROWS = 4  # a run's record with more is drawn
WIDE = 100  # times the smallest value that the largest is, for a logarithmic axis
MANY, LONGEST = 20, 40  # rows that are called by their names, and letters of one
LETTER = 0.06  # inches that one takes in a row's name
HASH = re.compile(r"[0-9a-f]{32}")  # names of masks and weights, which say nothing to people
MEANINGS = {  # of columns that several methods write
    "passes": "the compute that each spent",
    "before": "the hypervolume on search images before it",
    "after": "the hypervolume on search images after it",
    "gain": "by how much the hypervolume on search images grew",
}
HEAD = ("record", "board", *pf.RUN)
BOUNDS = ["low", "high"]  # columns with the interval around a record's only other number


@dataclass(frozen=True, repr=False)
class Records(pf.Report):
    """Per problem, each of the tables that methods record: short ones as they are, fronts as points, others by line."""

    name = "records"
    place = 90
    appendix = True

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure | pf.Table]:
        for number, board in enumerate(study.boards, 1):
            own = study.records[study.records.board == board.hash] if len(study.records) else study.records
            items = _items(own, board, number, looks(study.methods, study.highlight))
            yield from sorted(items, key=lambda item: isinstance(item, pf.Table))  # figures share their lines


def _items(
    records: pd.DataFrame, board: pf.Board, number: int, style: dict[str, Look]
) -> Iterator[pf.Figure | pf.Table]:
    """One for each record."""
    for place, (record, rows) in enumerate(records.groupby("record", sort=False) if len(records) else (), 1):
        found = rows.dropna(axis=1, how="all")
        longest = found.groupby(list(pf.RUN)).size().max()
        own = tuple(found.method.unique())
        id, caption = f"records-{number}-{place}", f"{board.label}: {record}, as {' and '.join(own)} recorded it."
        if longest <= ROWS:
            printed = _printed(found)
            told = f"{caption}{_explained(map(str, printed))}"
            yield pf.Table(id, told, printed, board.hash, data=found.drop(columns="board"), methods=own)
        elif len(board.objectives) > 1 and set(board.objectives[:2]) <= set(found):
            yield pf.Figure(id, caption, _points(found, board.objectives, style), board.hash, own)
        elif names := _changing(found):
            figure = _lines(found, names, style)
            told = f"{caption} One line per run, over the rows in the order in which it wrote them; a strip a column."
            yield pf.Figure(id, f"{told}{_explained(names)}", figure, board.hash, own)


def _explained(names: Iterable[str]) -> str:
    """What columns mean, where that is known."""
    return "".join(f" {name.capitalize()}: {MEANINGS[name]}." for name in names if name in MEANINGS)


def _printed(rows: pd.DataFrame) -> pd.DataFrame:
    """What tells runs apart first, without the instance where there is only one."""
    rest = [name for name in rows if name not in HEAD and not rows[name].map(_hashed).any()]
    own = [name for name in pf.RUN if name != "instance" or rows.instance.nunique() > 1]
    return rows[[*own, *rest]].map(_cell)


def _hashed(value: object) -> bool:
    return bool(HASH.fullmatch(str(value)))


def _cell(value: object) -> str:
    """A value as a table shows it: counts in full, other numbers to four digits, nothing where there is none."""
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if value.is_integer() else f"{value:.4g}"


def _points(rows: pd.DataFrame, objectives: Sequence[str], style: dict[str, Look]) -> Any:
    """The first two objectives, on the search split."""
    figure, (axis,) = panels(1)
    for method, found in rows.groupby("method"):
        x, y = (found[name].to_numpy(dtype=np.float64) for name in (objectives[1], objectives[0]))
        axis.scatter(x, y, s=8, color=style[str(method)].color, label=str(method))
    axis.set_xlabel(objectives[1])
    axis.set_ylabel(f"{objectives[0]} (search)")
    legend_below(figure, axis)
    return figure


def _changing(rows: pd.DataFrame) -> list[str]:
    """Columns of numbers that are not the same all over, without the bounds of another."""
    names = [str(name) for name in rows.select_dtypes("number") if name not in HEAD]
    others = [name for name in names if name not in BOUNDS]
    return [name for name in (others if len(others) == len(names) - 2 == 1 else names) if rows[name].nunique() > 1]


def _row_names(rows: pd.DataFrame) -> list[str]:
    """What a column of words calls a few rows: distinct short names, the same in every run; else nothing."""
    for column in rows.columns.difference(list(HEAD)):
        runs = [run[column].tolist() for _, run in rows.groupby(list(pf.RUN))]
        names = [name for name in runs[0] if isinstance(name, str) and len(name) <= LONGEST]
        if len(set(names)) == len(runs[0]) <= MANY and all(run == names for run in runs):
            return names
    return []


def _lines(rows: pd.DataFrame, names: Sequence[str], style: dict[str, Look]) -> Any:
    """One strip for each column, over the rows of a record; bounds are drawn as a band."""
    figure, axes = strips(len(names))
    for axis, name in zip(axes, names, strict=True):
        for method, found in rows.groupby("method"):
            for number, (_, run) in enumerate(found.groupby(["instance", "seed"])):
                color, label, places = style[str(method)].color, None if number else str(method), np.arange(len(run))
                axis.plot(places, run[name].to_numpy(dtype=np.float64), color=color, lw=0.7, label=label)
                if set(BOUNDS) <= set(run) - set(names):
                    axis.fill_between(places, *run[BOUNDS].to_numpy(dtype=np.float64).T, color=color, alpha=0.25, lw=0)
        values = rows[name].dropna()
        if values.min() > 0 and values.max() > WIDE * values.min():
            logarithmic(axis, "y")
        axis.set_title(name, loc="left", pad=2)  # beside a low strip, a long name would run into the next
    if called := _row_names(rows):
        axes[-1].set_xticks(range(len(called)), called, rotation=90)
        figure.set_figheight(figure.get_figheight() + LETTER * max(map(len, called)))
    else:
        axes[-1].set_xlabel("row of the record")
    legend_below(figure, axes[0])
    return figure


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Records]
