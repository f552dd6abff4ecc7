"""`pruneframe bench`: compare methods on problems."""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, NothingSelected
from . import options

if TYPE_CHECKING:
    from ..engine import Precision
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
@click.option("--problems", multiple=True, default=["lenet-digits"], show_default=True, help="Problems.")
@click.option("--instances", multiple=True, default=["0"], show_default=True, help="Of every problem: 0-4, 1,5,9.")
@click.option("--seeds", multiple=True, default=["0-2"], show_default=True, help="Independent repetitions: 0-4, 1,5,9.")
@click.option("--budget", type=float, help="Compute per run, in passes: dense forward passes over the search set.")
@click.option("--units", help="What is pruned, e.g. weight or filter; see pruneframe list units.")
@click.option("--batch-norm", type=click.Choice(["frozen", "shifted"]), help="What happens to batch statistics.")
@click.option("--search-images", type=int, help="Images behind each evaluation.")
@click.option("--objectives", multiple=True, help="What to minimise, e.g. error,params.")
@click.option("--target", metavar="TARGET", help="What latency and memory are measured on, e.g. local-cpu.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="pruneframe-study",
    show_default=True,
    help="The study's folder.",
)
@click.option("--control", help="The one of METHODS that others are tested against; to be named before the first run.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Runs at the same time [default: one per core; 1 on a GPU, and where latency or memory are measured].",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Threads that torch computes a run with; part of its identity.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda:0.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    help="What the search computes in; all that is reported is float32 [default: float32, on a GPU tf32].",
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
@click.option("--force", is_flag=True, help="Do runs again that are finished.")
@click.option(
    "--dry-run", is_flag=True, help="Print the runs, what is there, and an estimate of the time; run nothing."
)
@options.data
@options.plugins
@options.as_json
def command(
    methods: tuple[str, ...],
    problems: tuple[str, ...],
    instances: tuple[str, ...],
    seeds: tuple[str, ...],
    objectives: tuple[str, ...],
    output: Path,
    control: str | None,
    jobs: int | None,
    threads: int,
    device: str,
    precision: Precision | None,
    finetune: int | None,
    force: bool,
    dry_run: bool,
    sources: tuple[str, ...],
    as_json: bool,
    **settings: Any,
) -> int:
    """Compare METHODS on PROBLEMS: same instances, seeds and compute. The same command again runs only what is missing.

    Lists are separated by commas, or their option is given more than once.

    Brackets need quotes in most shells: --methods 'nsga2[population=20],magnitude[scorer=lamp]'
    """
    from ..spec import names, numbers

    chosen, boards = names(methods), names(problems)
    if not chosen or not boards:
        raise NothingSelected("at least one method and one problem must be named; see pruneframe list")
    settings["objectives"] = tuple(names(objectives)) if objectives else None
    which, drawn = numbers(instances, "instances"), numbers(seeds, "seeds")
    sources = tuple(s if s.startswith("no:") else str(Path(s).resolve()) for s in sources)
    registry = options.registry(sources)
    _check(registry, {"method": chosen, "problem": boards, "objective": settings["objectives"] or ()}, settings)
    _check_device(device)

    import torch  # takes seconds, which no mistake so far has to wait for

    from ..study.control import control_of
    from ..study.plan import most_jobs, plan
    from ..study.store import StudyFolder
    from ..target import Target

    if settings["target"] is not None:
        registry.component(Target, settings["target"])  # told even where no objective asks it
    study = StudyFolder(output.resolve())
    control = None if control is None else control_of(registry, control, chosen, study)
    torch.set_num_threads(threads)
    planned = plan(registry, chosen, boards, which, drawn, settings, device, threads, options.say, precision)
    if planned.measured and (jobs or 1) > 1:
        raise InputError(f"--jobs must be 1 where latency or memory are measured, but got {jobs}; see --target")
    jobs = jobs or most_jobs(planned, threads)
    if dry_run:
        _describe(planned, study, jobs, as_json)
        return 0
    _prepare(study, planned, settings, control, force)
    failures = _carry_out(planned, study, sources, jobs, threads, finetune or 0)
    _conclude(study, registry, as_json)
    for failure in failures:
        click.echo(f"Failed: {failure}", err=True)
    return 1 if failures else 0


def _check(registry: Registry, named: dict[str, Sequence[str]], settings: dict[str, Any]) -> None:
    """Raise InputError for a name, setting or number that cannot be meant, before anything is imported for it."""
    given = {"unit": settings["units"], "target": settings["target"]}
    named = named | {kind: [spec] for kind, spec in given.items() if spec is not None}
    for kind, specs in named.items():
        for spec in specs:
            registry.check(kind, spec)
    budget = settings["budget"]
    if budget is not None and not 0 < budget < math.inf:
        raise InputError(f"budget > 0 must hold, but got {budget}")


def _check_device(device: str) -> None:
    if not re.fullmatch(r"cpu|cuda:(0|[1-9][0-9]*)", device):
        raise InputError(f"--device must be cpu or cuda:N, but got {device!r}")
    if device == "cpu":
        return
    import torch

    if int(device.removeprefix("cuda:")) >= torch.cuda.device_count():
        raise InputError(f"--device {device} needs that GPU, but torch sees {torch.cuda.device_count()} GPUs; use cpu")


def _prepare(study: StudyFolder, planned: Plan, settings: dict[str, Any], control: str | None, force: bool) -> None:
    """Make the study's folder; until here nothing has been written."""
    from ..study.machine import environment

    first = planned.runs[0]
    wanted = {
        "methods": list(dict.fromkeys(run.method for run in planned.runs)),
        "problems": list(dict.fromkeys(run.problem for run in planned.runs)),
        "instances": list(dict.fromkeys(run.instance for run in planned.runs)),
        "seeds": list(dict.fromkeys(run.seed for run in planned.runs)),
        "device": first.device,
        "threads": first.threads,
        "precision": first.precision,
        **settings,
    }
    study.prepare(json.loads(json.dumps(wanted)), environment(first.device) | {"cores": os.cpu_count()}, control)
    if force:
        for run in planned.runs:
            run.folder(study).forget()


def _carry_out(
    planned: Plan, study: StudyFolder, sources: tuple[str, ...], jobs: int, threads: int, epochs: int
) -> list[str]:
    from ..engine import Engine
    from ..study.executor import LocalExecutor, carry_out_all
    from ..study.machine import say_if_busy
    from .progress import display

    def done(run: Run) -> bool:
        folder = run.folder(study)
        return folder.finished and epochs in (0, folder.finetuned_epochs)

    missing = [run for run in planned.runs if not done(run)]
    if len(missing) < len(planned.runs):
        options.say(f"{len(planned.runs) - len(missing)} of {len(planned.runs)} runs are already there")
    if not missing:
        return []
    if planned.measured:
        say_if_busy(options.say)
    if missing[0].device == "cpu":
        for one in planned.problems:
            notice = Engine(one.network, precision=missing[0].precision).notice
            if notice.startswith("torch alone"):
                options.say(f"note: {one.problem.name} is evaluated by {notice}; that takes longer")
            elif missing[0].precision == "bfloat16":
                options.say(f"note: {one.problem.name} is evaluated by {notice}")
    for one in planned.problems:
        for note in one.network.notes:
            options.say(f"note: {one.problem.name}: {note}")
    with display(study, missing) as watch:
        return carry_out_all(
            missing, study, sources, lambda: LocalExecutor(min(jobs, len(missing)), threads), watch, epochs
        )


def _conclude(study: StudyFolder, registry: Registry, as_json: bool) -> None:
    """Print the table, or its data, and typeset the comparison."""
    from ..study.facts import summaries
    from .report import write
    from .summary import show

    found = summaries(study)
    if any(run.done for run in found):
        write([study], registry, study.pdf)
    if as_json:
        click.echo(json.dumps([run.json() for run in found], indent=2))
        return
    show(study)
    if study.pdf.exists():
        click.echo(f"\ncomparison: {study.pdf}")


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
