"""`pruneframe noise`: measure how well errors on a problem's search images tell errors on others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from . import options


@click.command("noise", short_help="Measure the noise of a problem's search images.")
@click.argument("problem")
@click.option("--units", help="What is pruned [default: the problem's].")
@click.option("--instance", default=0, show_default=True, help="Which instance of the problem.")
@click.option("--scorers", help="Scores by which members are cut without a search.")
@click.option("--cuts", type=click.IntRange(3), help="Cuts by each of them.")
@click.option("--method", help="What searches for fronts.")
@click.option("--budget", type=click.FloatRange(min=0, min_open=True), help="Passes of each search.")
@click.option("--searches", type=click.IntRange(2), help="Searches for each number of images.")
@click.option("--images", multiple=True, help="Numbers of search images, e.g. 100,500,2000.")
@click.option("--tested", type=click.IntRange(1), help="Other images that members are tested on, at most.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.json", help="Also write it there."
)
@options.as_json
@options.data
@options.plugins
def command(
    problem: str,
    units: str | None,
    instance: int,
    scorers: str | None,
    cuts: int | None,
    method: str | None,
    budget: float | None,
    searches: int | None,
    images: tuple[str, ...],
    tested: int | None,
    output: Path | None,
    as_json: bool,
    sources: tuple[str, ...],
) -> int:
    """Measure, on PROBLEM, how well errors on search images rank members by their errors on others.

    Search and test images are drawn anew from all that the network has not seen, many times. What is found is kept in
    the cache, and `pruneframe info PROBLEM` prints it. It takes minutes to hours: searches times the budget for each
    number of images.
    """
    from ..spec import names, numbers
    from ..study.machine import prepare_torch
    from ..study.noise import place
    from ..study.resampling import Resampling

    registry = options.registry(sources)
    given: dict[str, Any] = {"cuts": cuts, "method": method, "budget": budget, "searches": searches, "tested": tested}
    given |= {"scorers": tuple(names([scorers])) if scorers else None}
    given |= {"images": tuple(numbers(images, "images")) if images else None}
    plan = replace(Resampling(), **{name: value for name, value in given.items() if value is not None})
    if min(plan.images) < 1:
        raise InputError(f"--images must be at least 1, but got {min(plan.images)}")
    registry.check("method", plan.method)
    for spec in plan.scorers:
        registry.check("scorer", spec)
    found = registry.problem(problem).with_settings(units=units, instance=instance)
    prepare_torch(1)
    loaded = found.load(registry.component, options.say)
    noise = plan.measure(loaded, registry.component, options.say)
    for path in [place(loaded), *([output] if output else [])]:
        noise.write(path)
    click.echo(json.dumps(noise.record, indent=2) if as_json else "\n".join(noise.lines))
    return 0
