"""Accuracy after global and layer-wise magnitude pruning on all 10,000 official CIFAR-10 test images, no retraining.

    python benchmarks/reference_curve.py [--network resnet56|resnet20] [--json]

Shares are of the prunable weights. It looks at test images, so nothing may be tuned by it; it checks the evaluator
and both batch-norm rules against figures that were computed by other code.
"""

from __future__ import annotations

import json

import click
import numpy as np

from pruneframe.mask import Masks
from pruneframe.model.data import Split
from pruneframe.objective import Objective
from pruneframe.registry import Registry
from pruneframe.scorer import Scorer
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe_plugins.magnitude import sweep

SHARES = (0.0, 0.30, 0.389, 0.45, 0.519, 0.60, 0.70)


@click.command()
@click.option("--network", default="resnet56", type=click.Choice(["resnet56", "resnet20"]))
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(network: str, as_json: bool) -> None:
    """Print one row per share removed."""
    registry = Registry()
    for batch_norm in ("frozen", "shifted"):
        loaded = registry.problem(f"{network}-cifar10").with_settings(batch_norm=batch_norm).load(registry.component)
        bench = Workbench(loaded, "cpu", Shelf(None))
        halves = loaded.data.search, loaded.data.test
        images = bench.images(Split(*(np.concatenate([getattr(h, f) for h in halves]) for f in ("images", "labels"))))
        scores = bench.score(registry.component(Scorer, "magnitude"), np.random.default_rng(0))
        layout = loaded.network.layout
        for scope, sizes in (("global", [layout.total]), ("layer", layout.sizes)):
            for share in SHARES:
                masks = Masks.pack(sweep(scores, sizes, np.array([share])), layout)
                error = registry.component(Objective, "error")
                value = next(bench.measure(masks, [DENSE], [error], images))[0]
                accuracy = 100 * (1 - value)
                row = {"network": network, "batch_norm": batch_norm, "scope": scope, "removed": share}
                if as_json:
                    print(json.dumps(row | {"accuracy": round(accuracy, 2)}), flush=True)
                else:
                    print(
                        f"{network} {batch_norm:8} {scope:7} {share:6.1%} removed: {accuracy:6.2f} %",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
