"""Average ranks over all problems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

import pruneframe as pf
from pruneframe.statistics import SIGNIFICANT, Ranking, rank

from .style import COLUMN, PAGE, looks

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


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Ranks]
