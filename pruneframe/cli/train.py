"""`pruneframe train`: train a problem's networks before they are needed, or fetch their published weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from . import options

if TYPE_CHECKING:
    from ..model.trained import Pupil, Trained
    from ..problem import LoadedProblem, Problem


@click.command("train", short_help="Train or fetch a problem's networks.")
@click.argument("problem")
@click.option(
    "--instances", multiple=True, default=["0"], show_default=True, help="Which of its instances: 0-4, 1,5,9."
)
@click.option("--short", is_flag=True, help="By the short form of its recipe, of fewer epochs.")
@click.option("--force", is_flag=True, help="Train again, though the weights are there.")
@click.option(
    "--from",
    "given",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Do not train, but take the weights from FILE, which this command wrote elsewhere.",
    metavar="FILE",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Train anew, and write the weights and their SHA-256s into FOLDER, as a problem ships them.",
    metavar="FOLDER",
)
@click.option("--device", default="cpu", show_default=True, help="What trains: cpu, or cuda:0.")
@options.as_json
@options.data
@options.plugins
def command(
    problem: str,
    instances: tuple[str, ...],
    short: bool,
    force: bool,
    given: Path | None,
    into: Path | None,
    device: str,
    as_json: bool,
    sources: tuple[str, ...],
) -> int:
    """Make PROBLEM's weights, and print the dense network's accuracy on the search and test splits.

    A training that was killed goes on behind its last whole epoch, with the same weights in the end. Weights that come
    with the problem are checked, and are never trained; with --into, they are made once more, and it is said whether
    they have the same bytes.
    """
    from ..spec import numbers
    from ..study.wanted import check_device

    check_device(device)
    registry, found = options.registry(sources), []
    chosen = [registry.problem(problem).with_settings(instance=number) for number in numbers(instances, "instances")]
    if given and (force or into or len(chosen) > 1):
        raise InputError("--from takes one instance's weights from a file; leave --force, --into and others out")
    for whole in chosen:
        one = _shortened(whole) if short else whole
        if len(chosen) > 1 and not as_json:
            click.echo(one.called)
        if into is not None:
            told = _train_into(into, one, device)
        else:
            told = _made(one, force, given, device) | _accuracies(one.load(registry.component, options.say))
            if shipped := _shipped(one):
                options.say(f"{shipped} is as it was shipped")  # or loading it would have said otherwise
        found.append({"problem": one.name, "instance": one.instance} | told)
        if not as_json:
            _tell(told)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    return 0


def _trained(problem: Problem) -> Trained | None:
    """How its weights are trained here; None where they are published or given."""
    from ..model.shipped import Shipped
    from ..model.trained import Trained

    weights = problem.weights.trained if isinstance(problem.weights, Shipped) else problem.weights
    return weights if isinstance(weights, Trained) else None


def _shipped(problem: Problem) -> Path | None:
    """The file that comes with the problem; None where there is none."""
    from ..model.shipped import Shipped

    weights, number = problem.weights, problem.instance
    return weights.path(number) if isinstance(weights, Shipped) and number in weights.instances else None


def _shortened(problem: Problem) -> Problem:
    """The problem with weights by the short form alone."""
    trained = _trained(problem)
    shortened = None if trained is None else trained.shortened
    if shortened is None:
        raise InputError(f"--short needs a recipe with a short form, but {problem.name} has none; leave --short out")
    return replace(problem, weights=shortened)


def _pupil(problem: Problem) -> Pupil:
    from ..model.trained import Pupil

    return Pupil(problem.module(), problem.images(), problem.instance, problem.name)


def _made(problem: Problem, force: bool, given: Path | None, device: str) -> dict[str, Any]:
    """Train, take or find an instance's weights; what there is to say about files that were made here."""
    trained, shipped = _trained(problem), _shipped(problem)
    if shipped is not None and (force or given):
        raise InputError(
            f"{problem.called} comes with its weights, {shipped}, and is not trained here; "
            "--into FOLDER makes them once more"
        )
    if trained is None and given:
        raise InputError(f"--from is for weights that are trained here, but those of {problem.name} are not")
    if trained is None or shipped is not None:
        return {}
    return _learned(trained, _pupil(problem), force, given, device)


def _learned(trained: Trained, pupil: Pupil, force: bool, given: Path | None, device: str) -> dict[str, Any]:
    """The same for weights that are trained here."""
    from ..comparison.course import draw
    from ..model.session import read_epochs
    from ..model.weights import sha256
    from .epochs import display

    if force:
        trained.forget(pupil)
    path = trained.take(given, pupil) if given else trained.find(pupil)
    if path is None:
        with display(pupil, trained.recipe.epochs) as watch:
            path = trained.learn(pupil, watch, device)
    told = {"weights": str(path), "sha256": sha256(path)} | trained.read(path, pupil)
    folder = trained.folder(pupil)
    log, curves = folder / "epochs.jsonl", folder / "curves.pdf"
    if log.exists():
        draw(read_epochs(log), curves)
        told |= {"log": str(log), "curves": str(curves)}
    return told


def _train_into(folder: Path, problem: Problem, device: str) -> dict[str, Any]:
    """Train an instance by the recipe of its problem, and say whether the weights that are shipped are the same."""
    from ..model.shipped import Shipped, ship, sums
    from .epochs import display

    trained, weights, pupil = _trained(problem), problem.weights, _pupil(problem)
    if trained is None:
        raise InputError(f"--into needs weights that are trained here, but those of {problem.name} are not")
    known = sums(weights.folder) if isinstance(weights, Shipped) else {}
    place = trained.folder(pupil)
    with display(pupil, trained.recipe.epochs) as watch:
        session = trained.train(pupil, watch, device, place.with_name(f"{place.name}-into"))
    try:
        path = ship(folder, problem.instance, pupil.module)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); choose another --into") from error
    session.close()
    digest = sums(folder)[path.name]
    same = {"as_shipped": digest == known[path.name]} if path.name in known else {}
    return {"weights": str(path), "sha256": digest} | same


def _accuracies(loaded: LoadedProblem) -> dict[str, Any]:
    """The dense network's, and on how many images."""
    from ..search.shelf import Shelf
    from ..search.workbench import DENSE, Workbench

    bench, found = Workbench(loaded, "cpu", Shelf(None)), {}
    for name, images in (("search", bench.search), ("test", bench.images(loaded.data.test))):
        candidate = next(bench.candidates(loaded.network.layout.full(), [DENSE], images))
        found[name] = {"accuracy": 1 - candidate.error, "images": len(images.labels)}
    return found


def _tell(told: dict[str, Any]) -> None:
    for name in ("search", "test"):
        if name in told:
            click.echo(f"{name:7} accuracy {100 * told[name]['accuracy']:.2f} % on {told[name]['images']} images")
    if "recipe" in told:
        click.echo(f"trained {told['recipe']['epochs']} epochs, convolutions and products in {told['precision']}")
    if "weights" in told:
        same = {True: ", the same bytes as are shipped", False: ", other bytes than are shipped", None: ""}
        click.echo(f"{told['weights']}: SHA-256 {told['sha256']}{same[told.get('as_shipped')]}")
    for name in ("log", "curves"):
        if name in told:
            click.echo(f"{name}: {told[name]}")
