"""How soon methods reach targets: empirical cumulative distributions, and expected running times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from operator import add, mul
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.anytime import GAPS, NARROWEST, WIDEST, Curve, Curves, Over, curves_of, running_time
from pruneframe.comparison.style import Look, legend_below, logarithmic, looks, panels

SHOWN = (0.1, 0.03, 0.01, 0.003)  # gaps of the table's columns
SHARES = (0.9, 0.95, 0.99, 0.999)  # of the true hypervolume, where that is known
HELD, ROOM = 0.01, 0.7  # axes begin at this share of the end, or of the first target reached, whichever is later
UNITS: dict[Over, str] = {"passes": "compute (passes)", "seconds": "seconds"}

Aimed = tuple[Curve, float]  # a run, and the true hypervolume of its instance, or what the best run on it reached
Runs = dict[str, list[Aimed]]


@dataclass(frozen=True, repr=False)
class RunningTimes(pf.Report):
    """Per problem, the share of (run, target) pairs reached over passes and over seconds, and expected running times.

    Hansen et al., "COCO", Optimization Methods and Software 36, 2021.
    """

    name = "running-times"
    place = 17  # behind the two figures that share a line

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure | pf.Table]:
        for number, board in enumerate(study.boards, 1):
            runs = _runs(curves_of(table, board, study.done(board)), study.done(board), board)
            if len(runs) < 2:
                continue
            best = "; ".join(f"{top:.4f}" for top in sorted({top for own in runs.values() for _, top in own}))
            style = looks(study.methods, study.highlight)
            yield pf.Figure(f"reached-{number}", _caption(board, best), _figure(runs, style), board.hash)
            frame, bold, data = _times(pf.best_first(study.done(board)), runs, _aims(board))
            yield pf.Table(f"running-times-{number}", _told(board, best), frame, board.hash, bold, data)


def _runs(curves: Curves, done: Sequence[pf.RunSummary], board: pf.Board) -> Runs:
    """Those of each method, also runs without any evaluation; none where no run has one."""
    done = [run for run in done if run.key in curves]
    tops: dict[int, float] = {}
    for run in done:
        true = board.instance(run.instance).true_hypervolume
        tops[run.instance] = max(tops.get(run.instance, 0.0), curves[run.key].last) if true is None else true
    found = Runs()
    for run in sorted(done, key=lambda run: run.method):
        found.setdefault(run.method, []).append((curves[run.key], tops[run.instance]))
    return found


def _known(board: pf.Board) -> bool:
    """Whether the true hypervolume is known, of every instance."""
    return all(one.true_hypervolume is not None for one in board.instances)


def _top(board: pf.Board, best: str) -> str:
    """What targets are told from."""
    return f"the true one ({best})" if _known(board) else f"what the best run on the same instance reached ({best})"


def _aims(board: pf.Board) -> dict[str, Callable[[float], float]]:
    """The targets of the table by their headings, as functions of what they are told from."""
    if _known(board):
        return {f"{100 * share:g} %": partial(mul, share) for share in SHARES}
    return {f"{gap:g} below": partial(add, -gap) for gap in SHOWN}


def _caption(board: pf.Board, best: str) -> str:
    return (
        f"{board.label}: share of pairs of a run and a target that are reached, over compute and over seconds. "
        f"Targets: {len(GAPS)} hypervolumes on the search split, from {WIDEST:g} to {NARROWEST:g} below "
        f"{_top(board, best)}. Higher and further left is better; a line ends where its method's last run does."
    )


def _figure(runs: Runs, style: Mapping[str, Look]) -> Any:
    figure, axes = panels(2)
    for over, axis in zip(UNITS, axes, strict=True):
        end, first = max(curve.end(over) for own in runs.values() for curve, _ in own), math.inf
        for method, own in runs.items():
            x, share = distribution(own, over)
            last = max(curve.end(over) for curve, _ in own)
            first = min([first, *x[1:2]])
            axis.step([*x, last], [*share, share[-1]], where="post", label=method, **style[method].line)
        axis.set_xlim(max(HELD * end, ROOM * min(first, end)), end)
        axis.set_ylim(0, 1.02)
        axis.set_xlabel(UNITS[over])
        logarithmic(axis, "x")
    axes[0].set_ylabel("share of targets reached")
    legend_below(figure, axes[0])
    return figure


def distribution(runs: Sequence[Aimed], over: Over) -> tuple[np.ndarray, np.ndarray]:
    """What had been spent, ascending from 0, and the share of (run, target) pairs that were reached by then."""
    hits = np.concatenate([curve.hits(top - GAPS, over) for curve, top in runs])
    spent, counts = np.unique(hits[np.isfinite(hits)], return_counts=True)
    return np.concatenate([[0.0], spent]), np.concatenate([[0.0], counts.cumsum() / len(hits)])


def _told(board: pf.Board, best: str) -> str:
    far = f"that is such a share of {_top(board, best)}" if _known(board) else f"so far below {_top(board, best)}"
    return (
        f"{board.label}: expected running time, in passes and in seconds (s), to a hypervolume on the search split "
        f"{far}: what all runs spent until then, or in all, divided by how many got there; in brackets how many, where "
        "not all did. The least in bold."
    )


def _times(
    order: Sequence[str], runs: Runs, aims: Mapping[str, Callable[[float], float]]
) -> tuple[pd.DataFrame, frozenset[tuple[int, str]], pd.DataFrame]:
    """The table, its least cells, and the numbers behind it."""
    rows: list[dict[str, Any]] = [{"method": method} for method in order]
    numbers: list[dict[str, Any]] = []
    bold: set[tuple[int, str]] = set()
    for over, (aim, target) in product(UNITS, aims.items()):
        heading = aim + (", s" if over == "seconds" else "")
        for row, method in zip(rows, order, strict=True):
            curves, tops = zip(*runs[method], strict=True)
            time, reached = running_time(curves, [target(top) for top in tops], over)
            row[heading] = _cell(time, reached, len(curves))
            counts = {"reached": reached, "runs": len(curves)}
            numbers.append({"method": method, "over": over, "target": aim, "expected": time} | counts)
        times = [number["expected"] for number in numbers[-len(order) :]]
        bold |= {(row, heading) for row, time in enumerate(times) if time == min(times) < math.inf}
    return pd.DataFrame(rows), frozenset(bold), pd.DataFrame(numbers)


def _cell(time: float, reached: int, runs: int) -> str:
    if not reached:
        return "never"
    return f"{time:.3g}" + (f" ({reached}/{runs})" if reached < runs else "")


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [RunningTimes]
