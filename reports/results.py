"""The table of hypervolumes, with what may be claimed of them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pruneframe as pf

INDICATORS = {"hypervolume": "HV", "hypervolume_region": "HV region", "hypervolume_search": "HV search"}
LIBRARIES = ("pruneframe", "torch")  # runs of other versions of these are not compared


@dataclass(frozen=True, repr=False)
class Results(pf.Report):
    """Per problem, each method's hypervolume over seeds, and whether it differs from the control's."""

    name = "results"
    place = 20

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Table | pf.Remark]:
        for number, board in enumerate(study.boards, 1):
            runs = study.done(board)
            order = pf.best_first(runs)
            control = study.control if study.control in order else order[0]
            data = _tested(runs, order, control)
            if "error" not in board.objectives:  # the region is one of errors
                data = data.drop(columns=[name for name in data if str(name).startswith("hypervolume_region")])
            others = [row for row in _elsewhere(study, board) if row["method"] not in order]
            largest = [row for row, value in enumerate(data.hypervolume) if value == data.hypervolume.max()]
            best = frozenset((row, "HV") for row in largest if len(order) > 1)
            rows = [_printed({str(name): value for name, value in row.items()}) for row in data.to_dict("records")]
            frame = pd.DataFrame([*rows, *others]).fillna("")
            frame = frame.loc[:, (frame != "").any()]  # one method alone is compared with nothing
            yield pf.Table(
                f"results-{number}", _caption(board, control, len(order) > 1, study), frame, board.hash, best, data
            )
            for flip in _flips(data):
                yield pf.Remark(f"{board.label}: {flip}", board.hash)


def _caption(board: pf.Board, control: str, compared: bool, study: pf.StudyFacts) -> str:
    region = " HV region: the same, error divided by (that of the unpruned network + 10 points)."
    text = (
        f"{board.label}: hypervolume of the final fronts, median over {board.over} with quartiles in brackets. HV: on "
        f"the test split.{region if 'error' in board.objectives else ''} HV search: on the search split."
    )
    if not compared:
        return text
    chosen = "" if control == study.control else ", which has the largest median and was not chosen beforehand"
    if study.control not in (None, control):
        chosen += f"; {study.control} has not run here"
    return (
        f"{text} The best in bold. Difference: of the medians, {control} minus the method, with the 95 % interval by "
        f"bootstrap. A12: chance that a run of {control} is better. p: two-sided Mann-Whitney (signed ranks against a "
        f"method without chance), corrected by Holm. The control is {control}{chosen}."
    )


def _tested(runs: Sequence[pf.RunSummary], order: Sequence[str], control: str) -> pd.DataFrame:
    """One row of numbers per method, best first."""
    own = {method: [run for run in runs if run.method == method] for method in order}
    values = {method: [run.hypervolume for run in found] for method, found in own.items()}
    fixed = [method for method, found in own.items() if all(run.deterministic for run in found)]
    others = {method: found for method, found in values.items() if method != control}
    itself = control in fixed
    compared = {found.other: found for found in pf.statistics.compare(values[control], others, fixed, itself)}
    kinds = [itself or method in fixed for method in others if not (itself and method in fixed)]
    rows = []
    for method in order:
        row: dict[str, Any] = {"method": method, "runs": len(own[method])}
        for name in INDICATORS:
            low, median, high = np.quantile([getattr(run, name) for run in own[method]], [0.25, 0.5, 0.75])
            row |= {f"{name}_lower": low, name: median, f"{name}_upper": high}
        row["verdict"] = "control" if len(order) > 1 else ""
        if method in compared:
            found, (gap, interval) = compared[method], pf.statistics.difference(values[control], values[method])
            low, high = interval or (None, None)
            row |= {
                "difference": gap,
                "difference_lower": low,
                "difference_upper": high,
                "a12": found.a12,
                "p": found.p,
            }
            row["verdict"] = (
                "no claim: neither depends on the seed"
                if itself and method in fixed
                else _verdict(found, own[control], own[method], kinds)
            )
        rows.append(row)
    return pd.DataFrame(rows)


def _verdict(
    found: pf.statistics.Comparison,
    own: Sequence[pf.RunSummary],
    theirs: Sequence[pf.RunSummary],
    kinds: Sequence[bool],
) -> str:
    """What may be said of a method beside the control, one of several comparisons of their kinds."""
    if len({run.instance for run in own}) > 1:
        return "no claim: several instances"
    if different := unequal([*own, *theirs]):
        return f"no claim: {different}"
    if not found.attainable:
        needed = pf.statistics.seeds_needed(kinds)
        return "no claim: too many comparisons" if needed is None else f"no claim: needs {needed} seeds"
    if found.p > pf.statistics.SIGNIFICANT:
        return "no difference shown"
    return "worse" if found.a12 > 0.5 else "better"


def unequal(runs: Sequence[pf.RunSummary]) -> str:
    """The first library or plugin of which some runs have other versions than others, with these; else nothing.

    Plugins are not named, since an anonymous comparison must not.
    """
    for library in LIBRARIES:
        versions = {run.environment.get(library, "") for run in runs}
        if len(versions) > 1:
            return f"{library} {' and '.join(sorted(versions))}"
    plugins: dict[str, set[str]] = {}
    for name, version in (plugin for run in runs for plugin in run.plugins):
        plugins.setdefault(name, set()).add(str(version))
    different = next((versions for versions in plugins.values() if len(versions) > 1), set())
    return f"versions {' and '.join(sorted(different))} of a plugin" if different else ""


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
    shown |= dict.fromkeys(("difference", "A12", "p"), "")
    if "a12" in row and row["a12"] == row["a12"]:
        shown["difference"] = f"{row['difference']:+.4f}"
        if row["difference_lower"] is not None and row["difference_lower"] == row["difference_lower"]:
            shown["difference"] += f" [{row['difference_lower']:+.4f}, {row['difference_upper']:+.4f}]"
        shown |= {"A12": f"{row['a12']:.2f}", "p": f"{row['p']:.4f}"}
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
