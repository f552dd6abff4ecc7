"""`pruneframe bench`: compare methods on problems."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from ..files import followed, read_toml
from ..study.wanted import SEEDS
from . import boards, options

if TYPE_CHECKING:
    from ..comparison.conduct import Conduct
    from ..registry import Registry
    from ..study.store import StudyFolder


def _read_config(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Options from a TOML file, under their long names; what the command line says goes first."""
    if value is None:
        return
    settings, _ = read_toml(value, f"{value} must be a TOML file of options")
    known = {p.opts[-1].lstrip("-"): p for p in ctx.command.params if p.name != "config"}
    for name in settings:
        if name.replace("_", "-") not in known:
            raise InputError(f"{value}: no option is named {name!r}; there are: {', '.join(sorted(known))}")
    given = {known[name.replace("_", "-")]: setting for name, setting in settings.items()}
    ctx.default_map = {str(option.name): _as_given(option, setting) for option, setting in given.items()}


def _as_given(option: click.Parameter, setting: Any) -> Any:
    """TOML lists and numbers as the command line would have them."""
    if option.multiple:
        return [str(item) for item in (setting if isinstance(setting, list) else [setting])]
    if isinstance(setting, list):
        return ",".join(str(item) for item in setting)
    flag = getattr(option, "is_flag", False)
    return setting if flag and isinstance(setting, bool) else str(setting)


@click.command("bench", short_help="Compare methods on problems; the main job.")
@click.option("--methods", multiple=True, required=True, help="Methods, as name or name[setting=value,...].")
@boards.where(instances="0", seeds=None, otherwise=f"{SEEDS}, more where methods are many; 0-2 of instances")
@boards.rules
@boards.output("pruneframe-study")
@boards.machine
@click.option("--control", help="The one of METHODS that others are tested against; to be named before the first run.")
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file that pruneframe tune wrote: methods of it that are named as there run as it found them.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    help="A TOML file with any of these options.",
)
@click.option(
    "--finetune", type=click.IntRange(1), help="Epochs that every final member is trained for, after the search."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 1e8, min_open=True),
    metavar="SECONDS",
    help="After which a search has failed; with more, the same command goes on where it stood.",
)
@click.option(
    "--retries",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="Further tries of a run that has failed, or whose worker has died; the next command tries it again, too.",
)
@click.option(
    "--dask",
    metavar="ADDRESS|local:N",
    help="Hand runs to the workers of a Dask cluster that all see --output; local:N starts N of them here.",
)
@click.option(
    "--html", is_flag=True, help="Also write comparison.html, and write it anew every minute while runs go on."
)
@click.option("--force", is_flag=True, help="Do runs again that are finished.")
@click.option(
    "--dry-run", is_flag=True, help="Print the runs, what is there, and an estimate of the time; run nothing."
)
@options.data
@options.plugins
@options.as_json
def command(
    methods: tuple[str, ...],
    output: Path,
    control: str | None,
    settings: Path | None,
    finetune: int | None,
    timeout: float | None,
    retries: int,
    html: bool,
    force: bool,
    dry_run: bool,
    sources: tuple[str, ...],
    as_json: bool,
    **given: Any,
) -> int:
    """Compare METHODS on PROBLEMS: same instances, seeds and compute. The same command again runs only what is missing.

    Lists are separated by commas, or their option is given more than once.

    Brackets need quotes in most shells: --methods 'nsga2[population=20],magnitude[scorer=lamp]'
    """
    wanted = boards.wanted(methods, sources, given)
    if settings is not None:
        from ..configuration.tuned import with_settings

        wanted, control = with_settings(wanted, settings, control, options.say)

    from ..comparison.conduct import Conduct
    from ..comparison.live import with_page
    from ..study.display import display
    from ..study.store import StudyFolder
    from ..study.terms import Terms

    study = StudyFolder(followed(output))
    conduct = Conduct.of(wanted, study, control, options.say, Terms(finetune or 0, timeout, retries))
    if dry_run:
        _describe(conduct, as_json)
        return 0
    watching = with_page(wanted.registry, display) if html else display
    failures = conduct.carry_out(options.say, watching, force)
    well = conclude(study, wanted.registry, lambda: _show(study, as_json), as_json, failures, html)
    return 0 if well else 1


def conclude(
    study: StudyFolder,
    registry: Registry,
    show: Callable[[], None],
    quiet: bool,
    failures: Iterable[str],
    html: bool = False,
) -> bool:
    """Print what was found, and what failed, and typeset the comparison; whether nothing went wrong.

    In this order, since a full disk has no room for a comparison.
    """
    from ..comparison.edition import Edition, specs, write, write_meanwhile
    from ..study.facts import summaries

    show()
    failed = [f"Failed: {failure}" for failure in failures]
    for line in failed:
        options.say(line)
    damaged = options.tell_damages([study])
    if not any(run.done for run in summaries(study)):
        if html:
            write_meanwhile(study, registry, None)
        return not (failed or damaged)
    try:
        edition = Edition(specs(registry, ()), html=html)
        complaints = write([study], registry, study.pdf, edition, options.warn)[1]
    except (InputError, OSError) as error:
        complaints = [str(error)]
        options.say(f"Error: there is no comparison: {error}")
    else:
        if not quiet:
            click.echo(f"\ncomparison: {study.pdf}" + (f" and {study.pdf.with_suffix('.html')}" if html else ""))
    return not (failed or damaged or complaints)


def _show(study: StudyFolder, as_json: bool) -> None:
    """The table, or its data."""
    from ..study.facts import summaries
    from .summary import show

    if as_json:
        click.echo(json.dumps([run.json() for run in summaries(study)], indent=2))
    else:
        show(study)


def _describe(conduct: Conduct, as_json: bool) -> None:
    """What a command would do; of a cluster elsewhere nobody knows how many workers it will have."""
    from ..comparison.effort import counted
    from ..report import place
    from ..study.plan import seconds_per_pass
    from ..study.progress import Progress

    planned, study, jobs = conduct.planned, conduct.study, conduct.jobs
    first = planned.runs[0]
    pace = {one.problem.name: seconds_per_pass(one, first.device, first.precision) for one in planned.problems}
    rows: list[dict[str, Any]] = []
    for run in planned.runs:
        folder = run.folder(study)
        there = "done" if folder.finished else "begun" if folder.journal.exists() else "missing"
        so_far = Progress(folder, run.budget)
        so_far.refresh()
        left = 0.0 if there == "done" else max(0.0, run.budget - so_far.spent)
        seconds = left * pace[run.problem]
        rows.append(
            {
                "problem": run.problem,
                "method": run.method,
                "instance": run.instance,
                "seed": run.seed,
                "there": there,
                "estimated_seconds": seconds,
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row, run in zip(rows, planned.runs, strict=True):
        told = f"{run.method} on {place(run, planned.runs)}"
        click.echo(f"{row['there']:8} {told}  {row['estimated_seconds']:.0f} s")
    at_once = min(jobs, max(1, sum(row["there"] != "done" for row in rows)))
    total = sum(row["estimated_seconds"] for row in rows) / at_once
    alone = "on one worker " if conduct.wanted.dask is not None and jobs == 1 else ""
    left_out = "start-up, tests of final fronts and fine-tuning"
    click.echo(f"{counted(len(rows), 'run')}, about {total:.0f} s for what is missing, {alone}without {left_out}")
