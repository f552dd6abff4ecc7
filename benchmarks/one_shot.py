"""What one global cut by each importance score costs, without a search, on the search half of the data.

    python benchmarks/one_shot.py [--problem resnet56-cifar10] [--scorers magnitude,lamp,reconstruction] [--tune 10000]

Error on the search images, and distortion (mean Kullback-Leibler divergence from the unpruned network's outputs) on
1,000 training images, before and after --tune training images of tuning; shares are of the prunable units. It never
looks at test images, so scorers may be chosen by it, and rates of tuning.
"""

from __future__ import annotations

import json
import time

import click

from pruneframe.kit.sweep import best
from pruneframe.registry import Registry
from pruneframe.search.journal import Journal
from pruneframe.search.ledger import Ledger
from pruneframe.search.shelf import Shelf
from pruneframe.search.task import Task
from pruneframe.search.tuning import Tuning
from pruneframe.search.workbench import Workbench
from pruneframe.spec import names

UNLIMITED = 1e9  # passes


@click.command()
@click.option("--problem", default="resnet56-cifar10", show_default=True)
@click.option("--scorers", default="magnitude,lamp,reconstruction", show_default=True)
@click.option("--removed", default="0.45,0.52,0.58,0.63", show_default=True, help="Shares of the units to remove.")
@click.option("--tune", default=0, show_default=True, help="Training images to tune each score on.")
@click.option("--rate", default=Tuning.rate, show_default=True, help="Of the tuning, at first.")
@click.option("--region", default=f"{Tuning.least}-{Tuning.most}", show_default=True, help="Shares kept by its steps.")
@click.option("--search-images", type=int, help="How many [default: the problem's].")
@click.option("--batch-norm", type=click.Choice(["frozen", "shifted"]))
@click.option("--units", help="What is removed, e.g. weight or filter.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(
    problem: str,
    scorers: str,
    removed: str,
    tune: int,
    rate: float,
    region: str,
    search_images: int | None,
    batch_norm: str | None,
    units: str | None,
    as_json: bool,
) -> None:
    """Print one row per scorer and share removed."""
    registry = Registry()
    settings = {"search_images": search_images, "batch_norm": batch_norm, "units": units}
    loaded = registry.problem(problem).with_settings(**settings).load(registry.component)
    task = Task(Workbench(loaded, "cpu", Shelf(None)), Journal(None, {}), Ledger(UNLIMITED), 0, registry.component)
    shares = [float(share) for share in removed.split(",")]
    least, most = (float(share) for share in region.split("-"))
    for scorer in names([scorers]):
        start = time.perf_counter()
        scores = task.scores(scorer)
        for tuned in [0, tune] if tune else [0]:
            if tuned:
                scores = task.tune(scores, Tuning(tune, rate=rate, least=least, most=most))
            seconds = time.perf_counter() - start
            for share in [0.0, *shares]:
                masks = best(scores, task.layout, [round((1 - share) * task.layout.total)])
                error, distortion = task.evaluate(masks)[0, 0], task.probe("distortion", masks)[0]
                row = {"scorer": scorer, "tuned": tuned, "removed": share, "error": round(float(error), 4)}
                row |= {"distortion": round(float(distortion), 4), "score_seconds": round(seconds, 1)}
                name = f"{scorer}, tuned" if tuned else scorer
                text = f"{name:22} {share:6.1%} removed: error {error:6.2%}, distortion {distortion:.4f}"
                print(json.dumps(row) if as_json else text, flush=True)


if __name__ == "__main__":
    main()
