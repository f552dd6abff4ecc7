"""Average ranks over all problems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.effort import extent
from pruneframe.comparison.ranking import FEWEST_BLOCKS, FEWEST_METHODS, Ranking, rank
from pruneframe.comparison.style import COLUMN, PAGE, Canvas, folded, looks
from pruneframe.comparison.verdicts import unequal

SHORT = 14  # letters of a name that leaves room for the ranks in one column
ROUNDS = 3  # in which room for names is made: they move with the axes


def medians(study: pf.StudyFacts) -> pd.DataFrame:
    """Median hypervolume, one row per board, one column per method that has run on all of them."""
    rows = [
        {"board": run.board, "method": run.method, "hv": run.hypervolume} for b in study.boards for run in study.done(b)
    ]
    frame = pd.DataFrame(rows, columns=["board", "method", "hv"])
    return frame.pivot_table(index="board", columns="method", values="hv", aggfunc="median").dropna(axis=1)


@dataclass(frozen=True, repr=False)
class Ranks(pf.Report):
    """Over problems, the average rank of each method's median hypervolume, and which differ.

    Friedman, Iman-Davenport, Nemenyi.
    """

    name = "ranks"
    place = 70

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure | pf.Remark]:
        values = medians(study)
        boards, methods = values.shape
        if boards < FEWEST_BLOCKS or methods < FEWEST_METHODS:
            return
        found = rank(values)
        obstacle = _obstacle(found, study, methods)
        figure = _diagram(found, study, obstacle)
        yield pf.Figure("ranks", _caption(found, study, obstacle), figure, methods=tuple(values.columns))
        if obstacle:
            yield pf.Remark(f"No claim over problems: {obstacle}.")


def _obstacle(found: Ranking, study: pf.StudyFacts, methods: int) -> str:
    """Why nothing may be claimed over problems, or nothing."""
    problems = [board.problem for board in study.boards]
    twice = sorted({problem for problem in problems if problems.count(problem) > 1})
    if twice:
        return f"{', '.join(twice)} stands under several sets of rules, which are no independent problems"
    if different := unequal([run for board in study.boards for run in study.done(board)]):
        return f"runs of {different}"
    return "" if found.attainable else f"{len(problems)} problems cannot show that {methods} methods differ"


def _caption(found: Ranking, study: pf.StudyFacts, obstacle: str) -> str:
    claim = "some methods differ" if found.significant and not obstacle else "no difference shown"
    absent = sorted(set(study.methods) - set(found.ranks.index))
    left_out = f" Not on every problem, so not ranked: {', '.join(absent)}." if absent else ""
    return (
        f"Average rank of each method's median hypervolume over {extent(study)}, 1 the best. "
        f"{found.told}: {claim}. A bar joins methods that Nemenyi's test does not tell apart.{left_out}"
    )


def _diagram(found: Ranking, study: pf.StudyFacts, obstacle: str) -> Any:
    """A critical-difference diagram (Demsar, JMLR 7, 2006)."""
    import scikit_posthocs

    style = looks(study.methods, study.highlight)
    called = {method: folded(method) for method in found.ranks.index}
    lines = sum(name.count("\n") + 1 for name in called.values())
    width = PAGE if max(map(len, called.values())) > SHORT else COLUMN
    figure = Canvas((width, 0.7 + 0.16 * lines), layout="constrained")
    axis = figure.subplots()
    tellable = found.pairs if found.significant and not obstacle else found.pairs * 0 + 1
    scikit_posthocs.critical_difference_diagram(
        found.ranks.rename(called),
        tellable.rename(index=called, columns=called),
        ax=axis,
        color_palette={called[method]: style[method].color for method in called},
        label_fmt_left="{label} ({rank:.2f})  ",
        label_fmt_right="  ({rank:.2f}) {label}",
        text_h_margin=0.08,
    )
    for line in axis.get_lines():  # a crossbar's points come in the order of a set, which is another in every process
        points = np.asarray(line.get_xydata())
        if np.ptp(points[:, 1]) == 0:
            line.set_data(np.sort(points[:, 0]), points[:, 1])
    axis.grid(False)
    _make_room(figure, axis)
    return figure


def _make_room(figure: Any, axis: Any) -> None:
    """Narrow the axes until the names beside them lie in the figure."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    width = figure.bbox.width
    for _ in range(ROUNDS):
        boxes = [text.get_window_extent() for text in axis.texts]
        left, right = max(0.0, -min(box.x0 for box in boxes)), max(0.0, max(box.x1 for box in boxes) - width)
        place = axis.get_position()
        axis.set_position((place.x0 + left / width, place.y0, place.width - (left + right) / width, place.height))


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Ranks]
