"""`pruneframe tune`: find settings for methods, with the same number of trials for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from ..files import followed
from . import boards, options

if TYPE_CHECKING:
    from ..configuration.tuned import Tuned, TunedSettings
    from ..registry import Registry
    from ..study.run import Run
    from ..study.wanted import Wanted

LIBRARIES = ("pruneframe", "optuna")  # whose versions stand in the file


@click.command("tune", short_help="Find settings for methods, by equal effort.")
@click.argument("methods", nargs=-1, required=True)
@boards.where(instances="5-9", seeds="0")
@click.option(
    "--trials", type=click.IntRange(1), default=30, show_default=True, help="Settings that each method may try."
)
@click.option("--draw", type=click.IntRange(0), default=0, show_default=True, help="The seed of what is proposed.")
@boards.rules
@boards.output("pruneframe-tuning")
@boards.machine
@click.option("--dry-run", is_flag=True, help="Print what is tried of each method; run nothing.")
@options.data
@options.plugins
@options.as_json
def command(
    methods: tuple[str, ...],
    trials: int,
    draw: int,
    output: Path,
    dry_run: bool,
    sources: tuple[str, ...],
    as_json: bool,
    **given: Any,
) -> int:
    """Search the settings of METHODS, each by the same number of trials, for the hypervolume on the search images.

    The first trial is the method as it is named; settings in brackets stay. Runs lie in the study --output, and the
    same command again goes on where it stopped. What is found goes to tuned.toml in it, for bench --settings.
    """
    wanted = boards.wanted(methods, sources, given)
    if dry_run:
        _describe(wanted.registry, wanted.methods, as_json)
        return 0
    found, path = _searched(wanted, output, trials, draw)
    if as_json:
        click.echo(json.dumps(found.json() | {"file": str(path)}, indent=2))
        return 0
    _show(found.methods)
    click.echo(f"\nsettings: {path}")
    return 0


def _searched(wanted: Wanted, output: Path, trials: int, draw: int) -> tuple[TunedSettings, Path]:
    """What the trials find, and the file that it was written to."""
    from importlib.metadata import version

    from ..configuration.rounds import Rounds
    from ..configuration.tuned import NAME, TunedSettings
    from ..study.campaign import say_beforehand
    from ..study.display import display
    from ..study.executor import LocalExecutor, Standing, carry_out_all
    from ..study.removal import at_work
    from ..study.store import StudyFolder

    planned, jobs = wanted.planned(options.say)
    if planned.declined:
        raise InputError(f"tune takes methods that run on all of the problems, but {planned.declined[0]}")
    study = StudyFolder(followed(output))
    wanted.prepare(study, planned)
    say_beforehand(planned, planned.runs, options.say)
    standing = Standing(lambda: LocalExecutor(jobs, wanted.threads))

    def carry_out(runs: Sequence[Run]) -> None:
        missing = [run for run in dict.fromkeys(runs) if not run.folder(study).whole]
        if missing:
            with display(study, missing) as watch:
                carry_out_all(missing, study, wanted.sources, standing.lent, watch)

    try:
        rounds = Rounds(wanted.registry, planned, study, carry_out, options.say)
        with at_work(study):
            methods = rounds.tuned(wanted.methods, trials, draw)
    finally:
        standing.end()
    found = TunedSettings(
        problems=tuple(wanted.problems),
        instances=tuple(wanted.instances),
        seeds=tuple(wanted.seeds),
        trials=trials,
        draw=draw,
        rules=_rules(planned.runs),
        versions={name: version(name) for name in LIBRARIES},
        methods=tuple(methods),
    )
    found.write(study.path / NAME)
    return found, study.path / NAME


def _rules(runs: Sequence[Run]) -> dict[str, Any]:
    """What runs are carried out by; a list where problems differ."""
    names = ("budget", "units", "batch_norm", "search_images", "objectives", "device", "threads", "precision")
    values = {name: list(dict.fromkeys(getattr(run, name) for run in runs)) for name in names}
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def _describe(registry: Registry, methods: Sequence[str], as_json: bool) -> None:
    """What is tried of each method."""
    from ..configuration.space import Space

    spaces = {
        method: {name: str(knob) for name, knob in Space.of(registry, method).knobs.items()} for method in methods
    }
    if as_json:
        click.echo(json.dumps(spaces, indent=2))
        return
    for method, knobs in spaces.items():
        click.echo(method)
        for name, told in knobs.items() or [("nothing", "it has no setting that is tried")]:
            click.echo(f"  {name}: {told}")


def _show(methods: Sequence[Tuned]) -> None:
    """One line per method."""
    from rich.console import Console
    from rich.table import Table

    from .summary import PLAIN_WIDTH

    console = Console() if Console().is_terminal else Console(width=PLAIN_WIDTH)
    table = Table(title="hypervolume on the search images, mean over instances and seeds", title_justify="left")
    for heading in ("method", "as named", "tuned", "trials", "stopped", "failed", "refused", "passes", "seconds"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    table.add_column("settings", overflow="fold")
    for one in methods:
        counts = (one.trials, one.stopped, one.failed, one.refused)
        figures = (
            f"{one.default:.4f}",
            f"{one.found:.4f}",
            *map(str, counts),
            f"{one.passes:.0f}",
            f"{one.seconds:.0f}",
        )
        table.add_row(*(text.replace("[", r"\[") for text in (one.asked, *figures, one.spec)))
    console.print(table)
