"""What each piece of `hierarchical` adds at equal budgets: without each piece, and beside the methods it must beat.

    python benchmarks/ablation.py [--problem lenet-digits] [--instances 0-9] [--seeds 0,1] [--output DIR] [--json]

A piece that is left out leaves its passes to the others. The runs are those of `pruneframe bench --output DIR`, which
does not repeat what is there. One row per method: means over instances of the hypervolume on the test images, on the
search images and after a tenth of the budget, and how many instances are above `hierarchical`'s, by their means over
seeds. Names of variants and rivals are those of methods, so that any can be run by itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from pruneframe.front import hypervolume
from pruneframe.method import Method
from pruneframe.registry import Registry
from pruneframe.study.facts import facts
from pruneframe.study.store import RunFolder, StudyFolder

WHOLE = "hierarchical"
PIECES = ("cuts", "tuned", "factors", "masks", "upper", "edge")
VARIANTS = (
    *(f"{WHOLE}[sources={'+'.join(one for one in PIECES if one != piece)}]" for piece in PIECES[1:]),
    *(f"{WHOLE}[sources={piece}]" for piece in PIECES[:2]),
    *(f"{WHOLE}[scorers={scorers}]" for scorers in ("magnitude", "magnitude+lamp")),
    f"{WHOLE}[preset=paper]",
)
RIVALS = ("nsga2", "moead", "nsga2[preset=textbook]", "moead[preset=textbook]", "random", "magnitude")
RIVALS += tuple(f"magnitude[scorer={scorer}]" for scorer in ("lamp", "reconstruction"))
EARLY = 0.1  # of the budget


def early(folder: RunFolder) -> float:
    """The hypervolume on the search images after a tenth of the budget."""
    table, identity = folder.evaluations(), folder.identity
    within = table[table.spent <= EARLY * identity["budget"] + 1e-9]
    return hypervolume(within[identity["objectives"]].to_numpy(dtype=np.float64) / identity["references"])


def rows(study: StudyFolder, methods: Sequence[str]) -> list[dict[str, Any]]:
    """One per method, over all of its runs that are done."""
    found = facts(study)
    runs = [run for board in found.boards for run in found.done(board)]
    by_method = {method: [run for run in runs if run.method == method] for method in methods}
    means = {
        method: {
            instance: float(np.mean([run.hypervolume for run in own if run.instance == instance]))
            for instance in sorted({run.instance for run in own})
        }
        for method, own in by_method.items()
    }
    table = []
    for method, own in by_method.items():
        shared = means[method].keys() & means[WHOLE].keys()
        above = sum(means[method][instance] > means[WHOLE][instance] for instance in shared)
        row = {"method": method, "runs": len(own), "hypervolume": float(np.mean(list(means[method].values())))}
        row["search"] = float(np.mean([run.hypervolume_search for run in own]))
        row["early"] = float(np.mean([early(RunFolder(Path(run.folder))) for run in own]))
        table.append(row | {"above": above, "instances": len(shared)})
    return table


@click.command()
@click.option("--problem", default="lenet-digits", show_default=True)
@click.option("--methods", default="all", show_default=True, help="all, variants, rivals, or none but the whole.")
@click.option("--instances", default="0-9", show_default=True)
@click.option("--seeds", default="0,1", show_default=True)
@click.option("--budget", type=float, help="Passes [default: the problem's].")
@click.option("--search-images", type=int, help="How many [default: the problem's].")
@click.option("--jobs", default=1, show_default=True)
@click.option("--output", default="ablation-study", show_default=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(
    problem: str,
    methods: str,
    instances: str,
    seeds: str,
    budget: float | None,
    search_images: int | None,
    jobs: int,
    output: Path,
    as_json: bool,
) -> None:
    """Print one row per method."""
    chosen = {"all": (*VARIANTS, *RIVALS), "variants": VARIANTS, "rivals": RIVALS}.get(methods, ())
    registry = Registry()
    names = [repr(registry.component(Method, name)) for name in (WHOLE, *chosen)]
    settings = {"--budget": budget, "--search-images": search_images}
    given = [str(part) for name, value in settings.items() if value is not None for part in (name, value)]
    command = ["bench", "--methods", ",".join(names), "--problems", problem, "--instances", instances]
    command += ["--seeds", seeds, "--jobs", str(jobs), "--threads", "1", "--output", str(output), *given]
    program = [sys.executable, "-c", "from pruneframe.cli.main import main; main()"]
    subprocess.run([*program, *command], check=True, stdout=sys.stderr)
    for row in rows(StudyFolder.existing(output), names):
        text = "{method}: {hypervolume:.4f} ({search:.4f} on search images, {early:.4f} after a tenth), {runs} runs"
        line = text.format(**row) + ", above on {above} of {instances} instances".format(**row)
        print(json.dumps(row) if as_json else line)


if __name__ == "__main__":
    main()
