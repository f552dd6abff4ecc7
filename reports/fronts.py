"""The final fronts of all methods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.front import attainment
from pruneframe.report import normalised

from .style import legend_below, looks, panels


@dataclass(frozen=True, repr=False)
class Fronts(pf.Report):
    """Per problem, what the final members reach on the test split, and the surface that half of the runs attain."""

    name = "fronts"

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure | pf.Table]:
        for number, board in enumerate(study.boards, 1):
            rows = table[(table.board == board.label) & (table.kind == "member") & (table.split == "test")]
            if len(rows) and len(board.objectives) > 1:
                yield pf.Figure(f"front-{number}", _caption(board), _figure(rows, board, sorted(set(table.method))))


def _caption(board: pf.Board) -> str:
    drawn = (
        "Lines: the surface that at least half of the runs attain. Points: the members of all final fronts."
        if len(board.objectives) == 2
        else "Points: the members of all final fronts, projected on pairs of objectives."
    )
    return (
        f"{board.label}: final fronts, measured on the test split, budget {board.budget:g} units. {drawn} "
        "Star: the unpruned network. Error in per cent, all else as a share of the unpruned network."
    )


def _figure(rows: pd.DataFrame, board: pf.Board, methods: Sequence[str]) -> Any:
    pairs = list(combinations(board.objectives, 2))
    figure, axes = panels(len(pairs))
    style = looks(methods)
    for axis, (vertical, horizontal) in zip(axes, pairs, strict=True):
        for method, found in rows.groupby("method"):
            look = style[str(method)]
            x, y = (_shown(found[name].to_numpy(), name, board) for name in (horizontal, vertical))
            axis.scatter(x, y, s=7, alpha=0.45, linewidths=0, **look)
            if len(board.objectives) == 2:
                x, y = _surface(found, board)
                axis.step(x, y, where="post", color=look["color"], label=method)
            else:
                axis.scatter([], [], label=method, **look)
        dense = dict(zip(board.objectives, board.dense_test, strict=True))
        star = [_shown(np.array([dense[name]]), name, board) for name in (horizontal, vertical)]
        axis.plot(*star, "*", color="black", markersize=8, zorder=5)
        axis.set_xlabel(_label(horizontal))
        axis.set_ylabel(_label(vertical))
        axis.margins(0.04)
    legend_below(figure, axes[0])
    return figure


def _surface(rows: pd.DataFrame, board: pf.Board) -> tuple[np.ndarray, np.ndarray]:
    """The median attainment surface as (horizontal, vertical) corners, left to right."""
    fronts = [normalised(run, board) for _, run in rows.groupby("seed")]
    surface = attainment(fronts, 0.5) * np.array(board.references)
    surface = surface[np.argsort(surface[:, 1])]
    return _shown(surface[:, 1], board.objectives[1], board), _shown(surface[:, 0], board.objectives[0], board)


def _shown(values: np.ndarray, name: str, board: pf.Board) -> np.ndarray:
    """Values as the axes show them."""
    if name == "error":
        return 100 * values
    return values / board.references[board.objectives.index(name)]


def _label(name: str) -> str:
    return "test error (%)" if name == "error" else f"{name} (share of dense)"


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Fronts]
