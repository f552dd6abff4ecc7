"""`pruneframe train`: train a problem's networks before they are needed, or fetch their published weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError
from . import options

if TYPE_CHECKING:
    from ..problem import LoadedProblem, Problem


@click.command("train", short_help="Train or fetch a problem's networks.")
@click.argument("problem")
@click.option(
    "--instances", multiple=True, default=["0"], show_default=True, help="Which of its instances: 0-4, 1,5,9."
)
@click.option("--force", is_flag=True, help="Train again, though the weights are there.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Train anew, and write the weights and their SHA-256s into FOLDER, as a problem ships them.",
    metavar="FOLDER",
)
@options.data
@options.plugins
def command(problem: str, instances: tuple[str, ...], force: bool, into: Path | None, sources: tuple[str, ...]) -> int:
    """Make PROBLEM's weights, and print the dense network's accuracy on the search and test splits.

    Weights that come with the problem are checked, and are never trained; with --into, they are made once more,
    and it is said whether they have the same bytes.
    """
    from ..spec import numbers

    registry = options.registry(sources)
    chosen = [registry.problem(problem).with_settings(instance=number) for number in numbers(instances, "instances")]
    for found in chosen:
        if len(chosen) > 1:
            click.echo(found.called)
        if force:
            _forget(found)
        if into is not None:
            _train_into(into, found)
        else:
            _tell(found.load(registry.component, options.say))
    return 0


def _forget(problem: Problem) -> None:
    """Remove an instance's weights from the cache; raises InputError where they are shipped."""
    from ..model.shipped import Shipped
    from ..model.weights import Trained

    weights = problem.weights
    if isinstance(weights, Shipped):
        if problem.instance in weights.instances:
            raise InputError(
                f"{problem.called} comes with its weights, {weights.path(problem.instance)}, and is not trained here; "
                "--into FOLDER makes them once more"
            )
        weights = weights.trained
    if isinstance(weights, Trained):
        weights.forget(problem.module(), problem.images(), problem.instance)


def _train_into(folder: Path, problem: Problem) -> None:
    """Train an instance by the recipe of its problem, and say whether the weights that are shipped are the same."""
    from ..model.shipped import Shipped, ship, sums
    from ..model.weights import Trained

    weights, number = problem.weights, problem.instance
    trained, known = (weights.trained, sums(weights.folder)) if isinstance(weights, Shipped) else (weights, {})
    if not isinstance(trained, Trained):
        raise InputError(f"--into needs weights that are trained here, but those of {problem.name} are not")
    module = problem.module()
    trained.train(module, problem.images(), options.say, number)
    try:
        path = ship(folder, number, module)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); choose another --into") from error
    digest = sums(folder)[path.name]
    same = "the same bytes as are shipped" if digest == known.get(path.name) else "other bytes than are shipped"
    click.echo(f"{path}: SHA-256 {digest}" + (f", {same}" if path.name in known else ""))


def _tell(loaded: LoadedProblem) -> None:
    """Where the weights come from, if they are shipped, and how accurate the network is."""
    from ..model.shipped import Shipped
    from ..search.shelf import Shelf
    from ..search.workbench import DENSE, Workbench

    weights, number = loaded.problem.weights, loaded.problem.instance
    if isinstance(weights, Shipped) and number in weights.instances:
        options.say(f"{weights.path(number)} is as it was shipped")
    bench = Workbench(loaded, "cpu", Shelf(None))
    for name, images in (("search", bench.search), ("test", bench.images(loaded.data.test))):
        candidate = next(bench.candidates(loaded.network.layout.full(), [DENSE], images))
        click.echo(f"{name:7} accuracy {100 * (1 - candidate.error):.2f} % on {len(images.labels)} images")
