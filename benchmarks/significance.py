"""Whether one method beats the others: tests over seeds, or over instances where there are several, Holm, and A12.

    python benchmarks/significance.py STUDY... --method hierarchical [--indicator hypervolume] [--figure FILE] [--json]

One row per problem and other method; deterministic ones are compared by a one-sample test. Where studies of several
budgets are given, a method is named with its budget, as "nsga2 at 300".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from pruneframe.comparison.statistics import Values, compare
from pruneframe.comparison.style import look, looks, panels
from pruneframe.comparison.verdicts import values_of
from pruneframe.report import RunSummary
from pruneframe.study.facts import summaries
from pruneframe.study.store import StudyFolder


def named(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The runs, their methods named with the budget where there are several."""
    if len({run.budget for run in runs}) == 1:
        return list(runs)
    return [replace(run, method=f"{run.method} at {run.budget:g}") for run in runs]


def comparable(runs: list[RunSummary]) -> list[RunSummary]:
    """The same runs of one problem; a usage error unless they agree in what makes numbers comparable but the budget."""
    for rule in ("instance", "units", "batch_norm", "search_images", "objectives"):
        found = sorted({json.dumps(getattr(run, rule)) for run in runs})
        if len(found) > 1:
            given = " and ".join(found)
            raise click.UsageError(f"runs of {runs[0].problem} must have the same {rule}, but have {given}")
    return runs


def flat(values: Values) -> list[float]:
    """A method's values on all instances."""
    return [value for own in values.values() for value in own]


def draw(values: dict[str, dict[str, list[float]]], indicator: str, path: Path) -> None:
    """One panel a problem, one dot a run, a bar at the median."""
    with look():
        figure, axes = panels(len(values))
        style = looks(sorted({name for found in values.values() for name in found}))
        for axis, (problem, found) in zip(axes, values.items(), strict=True):
            for place, (name, numbers) in enumerate(found.items()):
                colour = style[name].color
                spread = place + np.linspace(-0.12, 0.12, len(numbers))
                axis.plot(spread, numbers, ls="", marker=style[name].marker, color=colour, ms=3.5)
                axis.hlines(np.median(numbers), place - 0.3, place + 0.3, color=colour)
            axis.set_xticks(range(len(found)), list(found), rotation=20, ha="right")
            axis.set_ylabel(f"{indicator}, {problem}")
        figure.savefig(path, dpi=150)


@click.command()
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--method", required=True, help="As the summary names it, with its budget where there are several.")
@click.option("--indicator", default="hypervolume", show_default=True, help="A number of a run; larger is better.")
@click.option("--figure", type=click.Path(path_type=Path), help="Draw all runs into this file.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(studies: tuple[Path, ...], method: str, indicator: str, figure: Path | None, as_json: bool) -> None:
    """Print one row per problem and other method."""
    runs = [run for run in summaries(*map(StudyFolder.existing, studies)) if run.done]
    drawn: dict[str, dict[str, list[float]]] = {}
    for problem in dict.fromkeys(run.problem for run in runs):
        here = named(comparable([run for run in runs if run.problem == problem]))
        values = values_of(here, indicator)
        drawn[problem] = {name: flat(own) for name, own in values.items()}
        if method not in values:
            raise click.UsageError(f"--method must be one of {', '.join(values)}, but got {method!r}")
        fixed = [run.method for run in here if run.deterministic]
        for found in compare(values, method, fixed):
            medians = {"median": float(np.median(flat(values[method])))}
            medians |= {"other_median": float(np.median(flat(values[found.second])))}
            row = {"problem": problem, "other": found.second, "over": found.over, **medians, "a12": found.a12}
            row |= {"p": found.p, "significant": found.significant}
            text = "{problem}: {median:.4f} against {other_median:.4f} of {other}, A12 {a12:.2f}, "
            text += "p {p:.4f} after Holm, {over}"
            print(json.dumps(row) if as_json else text.format(**row) + ("" if found.significant else ": no claim"))
    if figure is not None:
        draw(drawn, indicator, figure)


if __name__ == "__main__":
    main()
