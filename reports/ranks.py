"""Methods over all problems: average ranks, and performance profiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.statistics import SIGNIFICANT, Ranking, rank

from .style import COLUMN, PAGE, legend_below, looks, panels

FEWEST_METHODS, FEWEST_BOARDS = 3, 2  # that Friedman's test is made for


def medians(study: pf.StudyFacts) -> pd.DataFrame:
    """Median hypervolume, one row per board, one column per method that has run on all of them."""
    rows = [
        {"board": run["board"], "method": run["method"], "hv": run["hypervolume"]}
        for b in study.boards
        for run in study.done(b)
    ]
    frame = pd.DataFrame(rows, columns=["board", "method", "hv"])
    return frame.pivot_table(index="board", columns="method", values="hv", aggfunc="median").dropna(axis=1)


@dataclass(frozen=True, repr=False)
class Ranks(pf.Report):
    """Over problems, the average rank of each method's median hypervolume, and which differ (Friedman, Nemenyi)."""

    name = "ranks"
    place = 70

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure | pf.Remark]:
        values = medians(study)
        boards, methods = values.shape
        if boards >= FEWEST_BOARDS and methods >= FEWEST_METHODS:
            found = rank(values)
            yield pf.Figure("ranks", _caption(found, boards), _diagram(found, study))
            if not found.attainable:
                yield pf.Remark(f"No claim over problems: {boards} of them cannot show that {methods} methods differ.")


def _caption(found: Ranking, boards: int) -> str:
    claim = "some methods differ" if found.attainable and found.p <= SIGNIFICANT else "no difference shown"
    return (
        f"Average rank of each method's median hypervolume over {boards} problems, 1 the best. Friedman: p = "
        f"{found.p:.4f}, {claim}. A bar joins methods that Nemenyi's test does not tell apart."
    )


def _diagram(found: Ranking, study: pf.StudyFacts) -> Any:
    """A critical-difference diagram (Demsar, JMLR 7, 2006)."""
    import matplotlib.pyplot as plt
    import scikit_posthocs

    style = looks(study.methods, study.highlight)
    long = max(map(len, found.ranks.index)) > 30
    figure, axis = plt.subplots(figsize=(PAGE if long else COLUMN, 0.7 + 0.16 * len(found.ranks)), layout="constrained")
    tellable = found.pairs if found.attainable and found.p <= SIGNIFICANT else found.pairs * 0 + 1
    scikit_posthocs.critical_difference_diagram(
        found.ranks,
        tellable,
        ax=axis,
        color_palette={method: style[method].color for method in found.ranks.index},
        label_fmt_left="{label} ({rank:.2f})  ",
        label_fmt_right="  ({rank:.2f}) {label}",
        text_h_margin=0.02,
    )
    axis.grid(False)
    return figure


@dataclass(frozen=True, repr=False)
class Profile(pf.Report):
    """Over problems, the share of runs whose missing hypervolume is within a factor of the least of their board.

    Dolan and Moré, "Benchmarking optimization software with performance profiles", Math. Program. 91, 2002.
    """

    name = "profile"
    place = 72

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure]:
        if len(study.boards) < FEWEST_BOARDS or len(medians(study).columns) < 2:
            return
        ratios = performance(study)
        style = looks(study.methods, study.highlight)
        figure, (axis,) = panels(1)
        right = min(10.0, max(float(values.max()) for values in ratios.values())) * 1.02
        for method, values in ratios.items():
            look = style[method]
            x, counts = np.unique(values, return_counts=True)
            y = counts.cumsum() / len(values)
            axis.step([1, *x, right], [0, *y, y[-1]], where="post", color=look.color, lw=look.width, label=method)
        axis.set_xlim(1, right)
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("missing hypervolume, multiple of the least")
        axis.set_ylabel("share of runs")
        legend_below(figure, axis)
        caption = (
            "Performance profile over all problems and seeds: the share of a method's runs whose missing hypervolume "
            "(1 - HV) is at most so many times the least that any run reached on that problem. Higher is better."
        )
        yield pf.Figure("profile", caption, figure)


def performance(study: pf.StudyFacts) -> dict[str, np.ndarray]:
    """For each method on all boards its runs' (1 - HV) divided by the least of the board, float64[runs]."""
    found: dict[str, list[float]] = {method: [] for method in sorted(medians(study).columns)}
    for board in study.boards:
        runs = study.done(board)
        least = max(1e-12, min(1 - run["hypervolume"] for run in runs))
        for run in runs:
            if run["method"] in found:
                found[run["method"]].append((1 - run["hypervolume"]) / least)
    return {method: np.array(values) for method, values in found.items()}


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Ranks, Profile]
