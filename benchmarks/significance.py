"""Whether one method of a study beats the others: Mann-Whitney over seeds with Holm's correction, and A12.

    python benchmarks/significance.py STUDY --method hierarchical [--indicator hypervolume] [--json]

One row per problem and other method; deterministic ones are compared by a one-sample test.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np

from pruneframe.readout import summaries
from pruneframe.statistics import compare
from pruneframe.store import StudyFolder


@click.command()
@click.argument("study", type=click.Path(path_type=Path, exists=True))
@click.option("--method", required=True, help="As the summary names it.")
@click.option("--indicator", default="hypervolume", show_default=True, help="A number of a run; larger is better.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(study: Path, method: str, indicator: str, as_json: bool) -> None:
    """Print one row per problem and other method."""
    runs = [run for run in summaries(StudyFolder(study)) if run["status"] == "done"]
    for problem in dict.fromkeys(run["problem"] for run in runs):
        here = [run for run in runs if run["problem"] == problem]
        values = {run["method"]: [r[indicator] for r in here if r["method"] == run["method"]] for run in here}
        fixed = [run["method"] for run in here if run["deterministic"]]
        if method not in values:
            raise click.UsageError(f"--method must be one of {', '.join(values)}, but got {method!r}")
        own = values.pop(method)
        for found in compare(own, values, fixed):
            medians = {"median": float(np.median(own)), "other_median": float(np.median(values[found.other]))}
            row = {"problem": problem, "other": found.other, "seeds": len(own), **medians, "a12": found.a12}
            row |= {"p": found.p, "significant": found.significant}
            text = "{problem}: {median:.4f} against {other_median:.4f} of {other}, A12 {a12:.2f}, p {p:.4f} after Holm"
            print(json.dumps(row) if as_json else text.format(**row) + ("" if found.significant else ": no claim"))


if __name__ == "__main__":
    main()
