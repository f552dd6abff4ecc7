"""The final fronts of all methods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.style import DENSE, Look, label, legend_below, logarithmic, looks, panels, shown

BAND = (0.25, 0.75)  # shares of the runs that attain its edges
ByMethod = dict[str, list[np.ndarray]]  # the normalised fronts of its runs
FEW = 0.1  # share of the parameters below which it counts them in powers of ten


@dataclass(frozen=True, repr=False)
class Fronts(pf.Report):
    """Per problem, what the final members reach on the test split, and the surface that half of the runs attain."""

    name = "fronts"
    place = 10

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure]:
        for number, board in enumerate(study.boards, 1):
            rows = pf.members(table, board, "test")
            if len(rows) and len(board.objectives) > 1:
                reported = _reported(study, board)
                found = pf.fronts(rows, board, study.done(board))
                figure = _figure(rows, found, board, looks(study.methods, study.highlight), reported)
                yield pf.Figure(f"front-{number}", _caption(board, reported), figure, board.hash)


@dataclass(frozen=True)
class Reported:
    """A claim about the board's network and data: the share that it removes of the second objective."""

    claim: pf.Claim
    removed: float

    def place(self, board: pf.Board) -> tuple[float, float] | None:
        """Where it lies on the axes: as far above the unpruned network here as it lost; None where that is not said."""
        drop = self.claim.drop
        return None if drop is None else (1 - self.removed, 100 * board.dense_test[0] + drop)


def _reported(study: pf.StudyFacts, board: pf.Board) -> list[Reported]:
    """What papers say of this network and these data, where it can be drawn."""
    if board.objectives not in (("error", "params"), ("error", "macs")):
        return []
    removed = {"params": "removed", "macs": "removed_macs"}[board.objectives[1]]
    claims = [claim for claim in study.claims if board.problem in claim.problems]
    return [Reported(claim, share) for claim in claims if (share := getattr(claim, removed)) is not None]


def _caption(board: pf.Board, reported: Sequence[Reported]) -> str:
    drawn = (
        "Lines: the surface that at least half of the runs attain; bands: a quarter and three quarters of them. "
        "Points: the members of all final fronts."
        if len(board.objectives) == 2
        else "Points: the members of all final fronts, projected on pairs of objectives."
    )
    zoomed = (
        f" Right: up to {100 * pf.REGION_MARGIN:g} points above the unpruned network's error."
        if len(board.objectives) == 2 and board.objectives[0] == "error"
        else ""
    )
    papers = "; ".join(dict.fromkeys(f"{one.claim.method}, {one.claim.paper}" for one in reported))
    published = (
        " Crosses, as far above the unpruned network as papers lost, and dotted lines, where they say no loss: what "
        f"papers report, not measured here and under other protocols ({papers})."
        if reported
        else ""
    )
    return (
        f"{board.label}: final fronts, measured on the test split, budget {board.budget:g} passes. {drawn} "
        f"Star: {board.unpruned}. Error in per cent, all else as a share of its reference."
        f"{zoomed}{published}"
    )


def _figure(
    rows: pd.DataFrame, found: ByMethod, board: pf.Board, style: dict[str, Look], reported: Sequence[Reported]
) -> Any:
    pairs = list(combinations(range(len(board.objectives)), 2))
    zoomed = len(pairs) == 1 and board.objectives[0] == "error"
    figure, axes = panels(len(pairs) + zoomed)
    for axis, (vertical, horizontal) in zip(axes, pairs * (1 + zoomed), strict=True):
        for method, own in found.items():
            look, points = style[method], np.vstack(own) * board.references
            x, y = (_values(points[:, i], board, i) for i in (horizontal, vertical))
            marks = {"color": look.color, "marker": look.marker}
            if len(board.objectives) == 2:
                axis.scatter(x, y, s=7, alpha=0.4 * look.alpha, linewidths=0, **marks)
                _surfaces(axis, own, board, look, method)
            else:
                axis.scatter(x, y, s=6, alpha=0.5 * look.alpha, linewidths=0, **marks)
                axis.scatter([], [], label=method, **marks)
        axis.plot(*(_values(board.dense_test[i], board, i) for i in (horizontal, vertical)), **DENSE)
        for one in reported:
            _draw(axis, one, board)
        axis.set_xlabel(label(board, horizontal))
        axis.set_ylabel(label(board, vertical))
        axis.margins(0.04)
    if zoomed:
        _zoom(axes[1], rows, board)
    legend_below(figure, axes[0])
    return figure


def _draw(axis: Any, one: Reported, board: pf.Board) -> None:
    """A claim behind the fronts, with the name of its method."""
    place, name = one.place(board), {"fontsize": 6, "clip_on": True, "zorder": 1}
    if place is None:
        axis.axvline(1 - one.removed, color="black", ls=":", lw=0.8)
        across = axis.get_xaxis_transform()
        axis.text(1 - one.removed, 0.98, one.claim.method, rotation=90, ha="right", va="top", transform=across, **name)
    else:
        axis.plot(*place, color="black", marker="x", linestyle="none", zorder=1)
        axis.annotate(one.claim.method, place, xytext=(2, 2), textcoords="offset points", **name)


def _zoom(axis: Any, rows: pd.DataFrame, board: pf.Board) -> None:
    """Show the errors that a user would ship, and as much beside them as there are members."""
    top = board.dense_test[0] + pf.REGION_MARGIN
    inside = rows[rows.error <= top]
    values = _values(inside[board.objectives[1]].to_numpy(), board, 1)
    left = min([1.0, *values[values > 0]])
    axis.set_ylim(100 * min([board.dense_test[0], *inside.error]) - 0.5, 100 * top)
    axis.set_xlim(left / 1.1, 1.1)
    if left < FEW:
        logarithmic(axis, "x")


def _surfaces(axis: Any, fronts: list[np.ndarray], board: pf.Board, look: Look, method: str) -> None:
    """The median attainment surface, and the band between the quartiles."""
    x, y = _corners(fronts, 0.5, board)
    alone = look.marker if len(x) == 1 else None  # a line of one corner would not be seen
    axis.step(x, y, where="post", label=method, marker=alone, **look.line)
    if len(fronts) > 1:
        (low_x, low_y), (high_x, high_y) = (_corners(fronts, share, board) for share in BAND)
        x = np.union1d(low_x, high_x)
        edges = [_height(x, *corners) for corners in ((low_x, low_y), (high_x, high_y))]
        axis.fill_between(x, *edges, step="post", color=look.color, alpha=0.15 * look.alpha, linewidth=0)


def _corners(fronts: list[np.ndarray], share: float, board: pf.Board) -> tuple[np.ndarray, np.ndarray]:
    """The surface that a share of the fronts attain as (horizontal, vertical) corners, left to right."""
    surface = pf.attainment(fronts, share) * np.array(board.references)
    surface = surface[np.argsort(surface[:, 1])]
    return _values(surface[:, 1], board, 1), _values(surface[:, 0], board, 0)


def _height(x: np.ndarray, corners: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The surface's height at x; NaN left of its first corner."""
    place = np.searchsorted(corners, x, side="right") - 1
    return np.where(place >= 0, heights[np.maximum(place, 0)], np.nan) if len(corners) else np.full(len(x), np.nan)


def _values(values: Any, board: pf.Board, objective: int) -> Any:
    return shown(values, board.objectives[objective], board.references[objective])


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Fronts]
