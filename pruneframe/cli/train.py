"""`pruneframe train`: train a problem's network before it is needed, or fetch its published weights."""

from __future__ import annotations

import click

from . import options


@click.command("train", short_help="Train or fetch a problem's network.")
@click.argument("problem")
@click.option("--force", is_flag=True, help="Train again, though the weights are there.")
@options.data
@options.plugins
def command(problem: str, force: bool, sources: tuple[str, ...]) -> int:
    """Make PROBLEM's weights, and print the dense network's accuracy on the search and test splits."""
    from ..model.data import Data
    from ..model.weights import Trained
    from ..search.shelf import Shelf
    from ..search.workbench import DENSE, Workbench

    registry = options.registry(sources)
    found = registry.problem(problem)
    if force and isinstance(found.weights, Trained):
        data = found.data if isinstance(found.data, Data) else found.data()
        found.weights.forget(found.network(), data)
    loaded = found.load(registry.component, options.say)
    bench = Workbench(loaded, "cpu", Shelf(None))
    for name, images in (("search", bench.search), ("test", bench.images(loaded.data.test))):
        candidate = next(bench.candidates(loaded.network.layout.full(), [DENSE], images))
        click.echo(f"{name:7} accuracy {100 * (1 - candidate.error):.2f} % on {len(images.labels)} images")
    return 0
