"""Performance profiles over all problems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.ranking import FEWEST_BLOCKS
from pruneframe.comparison.style import legend_below, looks, panels

from .ranks import medians


@dataclass(frozen=True, repr=False)
class Profile(pf.Report):
    """Over problems, the share of runs whose missing hypervolume is within a factor of the least of their instance.

    Dolan and Moré, "Benchmarking optimization software with performance profiles", Math. Program. 91, 2002.
    """

    name = "profile"
    place = 72

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure]:
        if len(study.boards) < FEWEST_BLOCKS or len(medians(study).columns) < 2:
            return
        ratios = performance(study)
        style = looks(study.methods, study.highlight)
        figure, (axis,) = panels(1)
        right = min(10.0, max(float(values.max()) for values in ratios.values())) * 1.02
        for method, values in ratios.items():
            look = style[method]
            x, counts = np.unique(values, return_counts=True)
            y = counts.cumsum() / len(values)
            axis.step([1, *x, right], [0, *y, y[-1]], where="post", label=method, **look.line)
        axis.set_xlim(1, right)
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("missing hypervolume, multiple of the least")
        axis.set_ylabel("share of runs")
        legend_below(figure, axis)
        absent = sorted(set(study.methods) - set(ratios))
        left_out = f" Not on every problem, so left out: {', '.join(absent)}." if absent else ""
        caption = (
            "Performance profile over all problems and seeds: the share of a method's runs whose missing hypervolume "
            "(1 - HV) is at most so many times the least that any run reached on that problem. Higher is better."
            f"{left_out}"
        )
        yield pf.Figure("profile", caption, figure, methods=tuple(ratios))


def performance(study: pf.StudyFacts) -> dict[str, np.ndarray]:
    """For each method on all boards its runs' (1 - HV) divided by the least of the instance, float64[runs]."""
    found: dict[str, list[float]] = {method: [] for method in sorted(medians(study).columns)}
    for board in study.boards:
        runs = study.done(board)
        least = {
            one.number: max(1e-12, min(1 - run.hypervolume for run in runs if run.instance == one.number))
            for one in board.instances
        }
        for run in runs:
            if run.method in found:
                found[run.method].append((1 - run.hypervolume) / least[run.instance])
    return {method: np.array(values) for method, values in found.items()}


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Profile]
