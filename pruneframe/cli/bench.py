"""`pruneframe bench`: compare methods on problems."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from . import boards, options

if TYPE_CHECKING:
    from ..registry import Registry
    from ..study.plan import Plan
    from ..study.run import Run
    from ..study.store import StudyFolder


def _read_config(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Options from a TOML file, under their long names; what the command line says goes first."""
    if value is None:
        return
    try:
        settings = tomllib.loads(value.read_text())
    except (OSError, ValueError) as error:  # ValueError: not TOML, or not even text
        raise InputError(f"{value} must be a TOML file of options, but cannot be read ({error})") from error
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
@boards.where(instances="0", seeds="0-2")
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
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="After which a search has failed; with more, the same command goes on where it stood.",
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
    wanted = boards.Wanted.of(methods, sources, given)
    if settings is not None:
        wanted, control = _with_settings(wanted, settings, control)

    from ..study.control import control_of
    from ..study.store import StudyFolder

    study = StudyFolder(output.resolve())
    control = None if control is None else control_of(wanted.registry, control, wanted.methods, study)
    planned, jobs = wanted.planned(timeout)
    if dry_run:
        _describe(planned, study, jobs, as_json)
        return 0
    wanted.prepare(study, planned, control)
    if force:
        for run in planned.runs:
            run.folder(study).forget()
    failures = carry_out(wanted, planned, study, jobs, finetune or 0, timeout)
    complaints = _conclude(study, wanted.registry, as_json)
    for failure in failures:
        click.echo(f"Failed: {failure}", err=True)
    return 1 if failures or complaints else 0


def _with_settings(wanted: boards.Wanted, path: Path, control: str | None) -> tuple[boards.Wanted, str | None]:
    """What is wanted, and the control, with settings that trials found; raises InputError where they cannot be used."""
    from ..configuration.tuned import TunedSettings
    from ..method import Method

    found = TunedSettings.read(path)
    found.check(wanted.registry, product(wanted.problems, wanted.instances))
    asked = [repr(wanted.registry.component(Method, spec)) for spec in wanted.methods]
    specs, used = found.of(asked)
    told = [f"{one.asked} runs as {one.spec}, tuned by {one.trials} trials" for one in used.methods]
    told += [f"{spec} is not tuned" for spec in dict.fromkeys(specs) if spec in asked and not used.has(spec)]
    options.say(f"settings: {'; '.join(told)}")
    called = {one.asked: one.spec for one in used.methods}
    control = None if control is None else called.get(control, control)
    return replace(wanted, methods=specs, extra={"tuned": used.json()}), control


def carry_out(
    wanted: boards.Wanted,
    planned: Plan,
    study: StudyFolder,
    jobs: int,
    epochs: int = 0,
    timeout: float | None = None,
) -> list[str]:
    """Carry out what is missing of a plan, and show its progress; returns a line for every run that fails."""
    from ..study.executor import LocalExecutor, carry_out_all, fail
    from .progress import display

    def done(run: Run) -> bool:
        folder = run.folder(study)
        return folder.finished and epochs in (0, folder.finetuned_epochs)

    missing = [run for run in planned.runs if not done(run)]
    if len(missing) < len(planned.runs):
        options.say(f"{len(planned.runs) - len(missing)} of {len(planned.runs)} runs are already there")
    failures = [fail(run, study, planned.runs, planned.faults[run]) for run in missing if run in planned.faults]
    missing = [run for run in missing if run not in planned.faults]
    if not missing:
        return failures
    boards.say_beforehand(planned, missing)
    with display(study, missing) as watch:
        executor = lambda: LocalExecutor(min(jobs, len(missing)), wanted.threads)  # noqa: E731
        return failures + carry_out_all(missing, study, wanted.sources, executor, watch, epochs, timeout)


def _conclude(study: StudyFolder, registry: Registry, as_json: bool) -> list[str]:
    """Print the table, or its data, and typeset the comparison; returns what reports that fail have to say."""
    from ..study.facts import summaries
    from .report import write
    from .summary import show

    found = summaries(study)
    complaints = write([study], registry, study.pdf)[1] if any(run.done for run in found) else []
    if as_json:
        click.echo(json.dumps([run.json() for run in found], indent=2))
        return complaints
    show(study)
    if study.pdf.exists():
        click.echo(f"\ncomparison: {study.pdf}")
    return complaints


def _describe(planned: Plan, study: StudyFolder, jobs: int, as_json: bool) -> None:
    """What a command would do."""
    from ..report import place
    from ..study.plan import seconds_per_pass

    first = planned.runs[0]
    pace = {one.problem.name: seconds_per_pass(one, first.device, first.precision) for one in planned.problems}
    rows: list[dict[str, Any]] = []
    for run in planned.runs:
        folder = run.folder(study)
        there = "done" if folder.finished else "begun" if folder.journal.exists() else "missing"
        seconds = 0.0 if there == "done" else run.budget * pace[run.problem]
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
    left_out = "start-up, tests of final fronts and fine-tuning"
    click.echo(f"{len(rows)} runs, about {total:.0f} s for what is missing, without {left_out}")
