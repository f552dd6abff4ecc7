"""What the order of one score leaves to be found on a tabular problem, which is all that a search of widths can reach.

    python benchmarks/orders.py [tiny-lenet tiny-attention ...] [--scorers magnitude,taylor] [--json]

Looked up are all masks that keep the highest-scored units of each group, so many as one likes in each: `magnitude`,
`netadapt`, `hamp` and encodings of a number per layer ask for no others. Printed is the hypervolume of their front on
the search images, as a share of the true one, which is that of all masks.
"""

from __future__ import annotations

import json
from itertools import product

import click
import numpy as np

from pruneframe.encoding import Scores
from pruneframe.front import hypervolume
from pruneframe.kit import Highest
from pruneframe.mask import Layout, Masks
from pruneframe.registry import Registry
from pruneframe.spec import names
from pruneframe.study.truth import Truth
from pruneframe.testing import make_task

TABULAR = ("tiny-lenet", "tiny-attention", "tiny-resnet20")
UNLIMITED = 1e9  # passes
SCORERS = "magnitude,l2,taylor,reconstruction"


@click.command()
@click.argument("problems", nargs=-1)
@click.option("--scorers", default=SCORERS, show_default=True, help="Separated by commas.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
def main(problems: tuple[str, ...], scorers: str, as_json: bool) -> None:
    """Print a row for each problem and scorer; a scorer that the problem's units have not is left out."""
    registry = Registry()
    for problem in map(registry.problem, problems or TABULAR):
        truth = Truth.of(problem.load(registry.component), "search", problem.objectives)
        if truth is None:
            raise click.BadParameter(f"a problem must have a table, but {problem.name!r} has none")
        for scorer in names([scorers]):
            task = make_task(problem, UNLIMITED, registry=registry)
            if task.price_of_scores(scorer) == float("inf"):
                continue
            masks = in_order(task.scores(scorer), task.layout)
            reached = hypervolume(task.evaluate(masks) / task.references) / truth.hypervolume
            row = {"problem": problem.name, "scorer": scorer, "masks": len(masks), "share": round(reached, 4)}
            print(json.dumps(row) if as_json else f"{problem.name:16} {scorer:16} {len(masks):6} masks {reached:.3f}")


def in_order(scores: Scores, layout: Layout) -> Masks:
    """All masks that keep the highest of each group of units."""
    highest = [Highest(part) for part in layout.split(scores)]
    kept = product(*(range(size + 1) for size in layout.sizes))
    rows = [np.concatenate([best(count) for best, count in zip(highest, counts, strict=True)]) for counts in kept]
    return Masks.pack(np.array(rows), layout)


if __name__ == "__main__":
    main()
