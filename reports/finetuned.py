"""Accuracy as searched, and after the common fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.front import attainment
from pruneframe.report import best_first

from .chosen import fronts
from .style import DENSE, legend_below, looks, panels

REMOVED = (0.5, 0.75, 0.875)  # shares of the parameters at which both are compared


@dataclass(frozen=True, repr=False)
class Finetuned(pf.Report):
    """Per problem, every front before and after the same training, where `bench --finetune` gave it."""

    name = "finetuned"
    place = 18

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure | pf.Table]:
        for number, board in enumerate(study.boards, 1):
            after = list(fronts(table, board, "finetuned"))
            if after:
                tuned = {(method, seed) for method, seed, _ in after}
                before = [front for front in fronts(table, board) if front[:2] in tuned]
                epochs = sorted({run["finetuned"] for run in study.done(board) if run.get("finetuned")})
                told = f"{' or '.join(map(str, epochs))} epoch{'s' * (epochs != [1])} of the problem's own fine-tuning"
                yield _figure(before, after, told, study, board, number)
                yield _table(before, after, told, study, board, number)


Fronts = Sequence[tuple[str, int, pd.DataFrame]]


def _figure(before: Fronts, after: Fronts, told: str, study: pf.StudyFacts, board: pf.Board, number: int) -> pf.Figure:
    style = looks(study.methods, study.highlight)
    figure, (axis,) = panels(1)
    for method in sorted({name for name, *_ in after}):
        look = style[method]
        for own, dashes, label in ((before, ":", None), (after, "-", method)):
            found = [front[["test_error", "removed"]].to_numpy() for name, _, front in own if name == method]
            surface = attainment([np.column_stack([points[:, 0], 1 - points[:, 1]]) for points in found], 0.5)
            surface = surface[np.argsort(surface[:, 1])]
            x, y = surface[:, 1], 100 * surface[:, 0]
            axis.step(x, y, where="post", color=look.color, ls=dashes, lw=look.width, alpha=look.alpha, label=label)
    axis.plot(1, 100 * study.done(board)[0]["dense_test_error"], **DENSE)
    axis.set_xlabel("params (share of dense)")
    axis.set_ylabel("test error (%)")
    legend_below(figure, axis)
    return pf.Figure(
        f"finetuned-{number}",
        f"{board.label}: the surface that half of the runs attain as searched (dotted) and after {told} (solid), which "
        "every member had alike and which is not part of the budget. Star: the unpruned network.",
        figure,
        board.label,
    )


def _table(before: Fronts, after: Fronts, told: str, study: pf.StudyFacts, board: pf.Board, number: int) -> pf.Table:
    rows: list[dict[str, Any]] = []
    for method in best_first(study.done(board)):
        row: dict[str, Any] = {"method": method}
        for share in REMOVED:
            errors = [[_error(front, share) for name, _, front in own if name == method] for own in (before, after)]
            row[f"{100 * share:g} % removed"] = " to ".join(_median(found) for found in errors)
        if any(name == method for name, *_ in after):
            rows.append(row)
    return pf.Table(
        f"finetuned-table-{number}",
        f"{board.label}: test error in per cent as searched and after {told}, median over seeds: of each front the "
        "member with the least search error, before and after, among those with at least so much removed.",
        pd.DataFrame(rows),
        board.label,
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
