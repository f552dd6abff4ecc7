"""Where one method attains more often than another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import moocore
import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb

import pruneframe as pf
from pruneframe.comparison.style import DENSE, label, legend_below, looks, panels, shown

NOWHERE = 1e9  # where the front of a run without a member lies
DARKEST = 0.85  # opacity where all runs of one and none of the other attain


@dataclass(frozen=True, repr=False)
class Difference(pf.Report):
    """Per problem, the difference between two methods' attainment: the control (or the best) and the best of the rest.

    López-Ibáñez, Paquete and Stützle, "Exploratory Analysis of Stochastic Local Search Algorithms in Biobjective
    Optimization", 2010.
    """

    name = "difference"
    place = 12

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure]:
        for number, board in enumerate(study.boards, 1):
            rows = pf.members(table, board, "test")
            pair = _pair(study, board)
            if pair is None or len(board.objectives) != 2 or not set(pair) <= set(rows.method):
                continue
            found = pf.fronts(rows, board, study.done(board))
            sides = [[_drawn(front, board) for front in found[name]] for name in pair]
            corners, shares = rectangles(*sides)
            if shares.any():  # equal methods have nothing to show
                figure = _figure(sides, corners, shares, pair, study, board)
                yield pf.Figure(f"difference-{number}", _caption(board, *pair), figure, board.hash, pair)


def _pair(study: pf.StudyFacts, board: pf.Board) -> tuple[str, str] | None:
    """The method of interest and its strongest rival."""
    order = pf.best_first(study.done(board))
    if len(order) < 2:
        return None
    first = next((name for name in (study.highlight, study.control) if name in order), order[0])
    return str(first), next(name for name in order if name != first)


def _caption(board: pf.Board, first: str, second: str) -> str:
    return (
        f"{board.label}: where {first} or {second} attains more (test split). The darker a place, the larger the "
        f"difference between the shares of the runs that attain it; white where both do as often. Star: "
        f"{board.unpruned}."
    )


def _figure(
    sides: Sequence[Sequence[np.ndarray]],
    corners: np.ndarray,
    shares: np.ndarray,
    pair: tuple[str, str],
    study: pf.StudyFacts,
    board: pf.Board,
) -> Any:
    figure, (axis,) = panels(1)
    style = looks(study.methods, study.highlight)
    star = [shown(board.dense_test[i], board.objectives[i], board.references[i]) for i in (1, 0)]
    points = np.vstack([*(front for side in sides for front in side), star[::-1]])
    right, top = points[:, 1].max() * 1.05, points[:, 0].max() * 1.05
    for name, sign in zip(pair, (1, -1), strict=True):
        won = (shares * sign > 0) & (corners[:, 1] < right) & (corners[:, 0] < top)
        y0, x0, y1, x1 = np.minimum(corners[won], [top, right, top, right]).T
        boxes = np.stack([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]).transpose(2, 0, 1)
        colours = np.column_stack([np.tile(to_rgb(style[name].color), (len(boxes), 1)), DARKEST * abs(shares[won])])
        axis.add_collection(PolyCollection(list(boxes), facecolors=colours, edgecolors="none"))
        marks = {"marker": "s", "ls": "", "markersize": 5, "alpha": DARKEST}
        axis.plot([], [], color=style[name].color, label=f"{name} attains more", **marks)
    axis.plot(*star, **DENSE)
    axis.set_xlim(0, right)
    axis.set_ylim(0, top)
    axis.set_xlabel(label(board, 1))
    axis.set_ylabel(label(board, 0))
    legend_below(figure, axis)
    return figure


def rectangles(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes float64[n, 4] (both lower, both upper corners) and by how much more of the first's fronts attain each.

    The difference is that of the shares of either's fronts, in [-1, 1].
    """
    size = int(np.lcm(len(first), len(second)))  # moocore wants as many fronts on either side
    sides = (_numbered(fronts, size) for fronts in (first, second))
    try:
        found = moocore.eafdiff(*sides, intervals=size, rectangles=True)
    except ValueError:  # where the two differ nowhere, moocore 0.3 cannot shape its empty answer
        found = np.empty((0, 5))
    return found[:, :4], found[:, 4] / size


def _numbered(fronts: Sequence[np.ndarray], size: int) -> np.ndarray:
    """All fronts below each other with their number as the last column, repeated until there are `size`."""
    filled = [front if len(front) else np.full((1, 2), NOWHERE) for front in fronts]
    repeated = [filled[i % len(filled)] for i in range(size)]
    return np.vstack([np.column_stack([front, np.full(len(front), i + 1.0)]) for i, front in enumerate(repeated)])


def _drawn(front: np.ndarray, board: pf.Board) -> np.ndarray:
    """Points (vertical, horizontal) as the axes show them."""
    values = front * board.references
    return np.column_stack([shown(values[:, i], board.objectives[i], board.references[i]) for i in (0, 1)])


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Difference]
