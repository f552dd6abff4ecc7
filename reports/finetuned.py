"""Accuracy as searched, and after the common fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.style import DENSE, legend_below, looks, panels

from .chosen import fronts

REMOVED = (0.5, 0.75, 0.875)  # shares of the parameters at which both are compared


@dataclass(frozen=True, repr=False)
class Finetuned(pf.Report):
    """Per problem, every front before and after the same training, where `bench --finetune` gave it."""

    name = "finetuned"
    place = 18

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure | pf.Table]:
        for number, board in enumerate(study.boards, 1):
            lengths = sorted({run.finetuned for run in study.done(board) if run.finetuned})
            for epochs in lengths:  # fronts that were trained for longer than others are not set beside them
                runs = [run for run in study.done(board) if run.finetuned == epochs]
                pairs = Pairs(table, board, runs)
                place = f"{number}" if len(lengths) == 1 else f"{number}-{epochs}"
                told = f"{epochs} epoch{'s' * (epochs != 1)} of the problem's own fine-tuning"
                yield _figure(pairs, told, study, board, f"finetuned-{place}")
                yield _table(pairs, told, board, f"finetuned-table-{place}")


class Pairs:
    """The fronts of some runs as searched and after their fine-tuning, by method; runs without a member count, too."""

    def __init__(self, table: pd.DataFrame, board: pf.Board, runs: Sequence[pf.RunSummary]) -> None:
        self.methods = pf.best_first(runs)
        self._runs = [run.key for run in runs]
        self._found = [fronts(table, board, kind) for kind in ("member", "finetuned")]

    def __call__(self, method: str) -> list[list[pd.DataFrame]]:
        """Those before and those after, one a run."""
        none = pd.DataFrame({"error": [], "test_error": [], "removed": []}, dtype=np.float64)
        own = [key for key in self._runs if key[0] == method]
        return [[found.get(key, none) for key in own] for found in self._found]


def _figure(pairs: Pairs, told: str, study: pf.StudyFacts, board: pf.Board, id: str) -> pf.Figure:
    style = looks(study.methods, study.highlight)
    figure, (axis,) = panels(1)
    for method in sorted(pairs.methods):
        look = style[method]
        for own, dashes, label in zip(pairs(method), (":", "-"), (None, method), strict=True):
            found = [np.column_stack([front.test_error, 1 - front.removed]) for front in own]
            surface = pf.attainment(found, 0.5)
            surface = surface[np.argsort(surface[:, 1])]
            x, y = surface[:, 1], 100 * surface[:, 0]
            axis.step(x, y, where="post", color=look.color, ls=dashes, lw=look.width, alpha=look.alpha, label=label)
    axis.plot(1, 100 * np.median([one.dense_test_error for one in board.instances]), **DENSE)
    axis.set_xlabel("params (share of dense)")
    axis.set_ylabel("test error (%)")
    legend_below(figure, axis)
    return pf.Figure(
        id,
        f"{board.label}: the surface that half of the runs attain as searched (dotted) and after {told} (solid), which "
        f"every member had alike and which is not part of the budget. Star: {board.unpruned}.",
        figure,
        board.hash,
        tuple(pairs.methods),
    )


def _table(pairs: Pairs, told: str, board: pf.Board, id: str) -> pf.Table:
    rows: list[dict[str, Any]] = []
    for method in pairs.methods:
        row: dict[str, Any] = {"method": method}
        for share in REMOVED:
            errors = [[_error(front, share) for front in own] for own in pairs(method)]
            row[f"{100 * share:g} % removed"] = " to ".join(_median(found) for found in errors)
        rows.append(row)
    return pf.Table(
        id,
        f"{board.label}: test error in per cent as searched and after {told}, median over {board.over}: of each front "
        "the member with the least search error, before and after, among those with at least so much removed.",
        pd.DataFrame(rows),
        board.hash,
        methods=tuple(pairs.methods),
    )


def _error(front: pd.DataFrame, share: float) -> float | None:
    small = front[front.removed >= share - 1e-12]
    return None if small.empty else 100 * float(small.sort_values("error").test_error.iloc[0])


def _median(found: Sequence[float | None]) -> str:
    values = [value for value in found if value is not None]
    covered = "" if len(values) == len(found) else f" ({len(values)} of {len(found)})"
    return f"{np.median(values):.2f}{covered}" if values else "none"


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Finetuned]
