"""The table of hypervolumes, with what may be claimed of them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.verdicts import chosen, holds_for, summed_up, verdicts

INDICATORS = {"hypervolume": "HV", "hypervolume_region": "HV region", "hypervolume_log": "HV log"}
INDICATORS |= {"hypervolume_search": "HV search"}


@dataclass(frozen=True, repr=False)
class Results(pf.Report):
    """Per problem, each method's hypervolume over seeds and instances, and what may be claimed of it."""

    name = "results"
    place = 20

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Table | pf.Remark]:
        for number, board in enumerate(study.boards, 1):
            runs = study.done(board)
            order = pf.best_first(runs)
            data = _numbers(runs, order, summed_up(verdicts(runs, study.control), study.control))
            if "error" not in board.objectives:  # the region is one of errors
                data = data.drop(columns=[name for name in data if str(name).startswith("hypervolume_region")])
            others = [row for row in _elsewhere(study, board) if row["method"] not in order]
            largest = [row for row, value in enumerate(data.hypervolume) if value == data.hypervolume.max()]
            best = frozenset((row, "HV") for row in largest if len(order) > 1)
            rows = [_printed({str(name): value for name, value in row.items()}) for row in data.to_dict("records")]
            frame = pd.DataFrame([*rows, *others]).fillna("")
            frame = frame.loc[:, (frame != "").any()]  # one method alone is compared with nothing
            yield pf.Table(f"results-{number}", _caption(board, runs, order, study), frame, board.hash, best, data)
            for flip in _flips(data):
                yield pf.Remark(f"{board.label}: {flip}", board.hash)


def _caption(board: pf.Board, runs: Sequence[pf.RunSummary], order: Sequence[str], study: pf.StudyFacts) -> str:
    region = " HV region: the same, error divided by (that of the unpruned network + 10 points)."
    text = (
        f"{board.label}: hypervolume of the final fronts, median over {board.over} with quartiles in brackets. HV: on "
        f"the test split.{region if 'error' in board.objectives else ''} HV log: as HV, sizes on a log scale down to "
        "1 %. HV search: on the search split."
    )
    if len(order) == 1:
        return text
    return f"{text} The best in bold. {chosen(study, order)} {holds_for(board, runs)}"


def _numbers(runs: Sequence[pf.RunSummary], order: Sequence[str], said: Mapping[str, str]) -> pd.DataFrame:
    """One row of numbers per method, best first."""
    rows = []
    for method in order:
        own = [run for run in runs if run.method == method]
        row: dict[str, Any] = {"method": method, "runs": len(own)}
        for name in INDICATORS:
            low, median, high = np.quantile([getattr(run, name) for run in own], [0.25, 0.5, 0.75])
            row |= {f"{name}_lower": low, name: median, f"{name}_upper": high}
        rows.append(row | {"verdict": said.get(method, "")})
    return pd.DataFrame(rows)


def _elsewhere(study: pf.StudyFacts, board: pf.Board) -> list[dict[str, str]]:
    """Methods that have run on the same problem by other rules only, and by which."""
    found = {}
    for other in study.boards:
        if other.problem == board.problem and other.hash != board.hash:
            apart = [
                name.partition("_identity")[0] for name in board.rules if other.rules.get(name) != board.rules[name]
            ]
            for method in {run.method for run in study.done(other)}:
                found[method] = f"not compared: other {' and '.join(apart) or 'weights or images'}"
    return [{"method": method, "verdict": reason} for method, reason in sorted(found.items())]


def _printed(row: dict[str, Any]) -> dict[str, str]:
    shown = {"method": row["method"], "runs": str(row["runs"])}
    for name in _indicators(row):
        heading = INDICATORS[name]
        shown[heading] = f"{row[name]:.4f}"
        if row["runs"] > 1 and name == "hypervolume":
            shown[heading] += f" [{row[f'{name}_lower']:.4f}, {row[f'{name}_upper']:.4f}]"
    return shown | {"verdict": row["verdict"]}


def _flips(data: pd.DataFrame) -> Iterator[str]:
    """A warning for each other indicator by which the order of methods is another."""
    orders = {name: list(data.sort_values(name, ascending=False, kind="stable").method) for name in _indicators(data)}
    first = ", ".join(orders["hypervolume"])
    for name, order in orders.items():
        if order != orders["hypervolume"]:
            yield (
                f"Warning: the order of methods depends on the indicator. By {INDICATORS['hypervolume']}: {first}; by "
                f"{INDICATORS[name]}: {', '.join(order)}."
            )


def _indicators(data: Container[str]) -> list[str]:
    """Those that a board has."""
    return [name for name in INDICATORS if name in data]


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Results]
