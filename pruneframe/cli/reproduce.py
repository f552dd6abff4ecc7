"""`pruneframe reproduce`: the experiments of a method's paper, as far as their networks and data are at hand."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import Faulty, InputError, NothingSelected
from ..files import followed
from ..spec import meant
from . import boards, options

if TYPE_CHECKING:
    from ..method import Method
    from ..registry import Registry
    from ..reproduction.estimate import Estimate
    from ..reproduction.experiment import Experiment, Scale, Size
    from ..reproduction.table import Row
    from ..study.plan import Plan
    from ..study.run import Run
    from ..study.store import StudyFolder
    from ..study.wanted import Wanted

TABLE = "lookup-table[table={}]"  # the target that looks latency up
WIDTHS = {"problem": 12, "published": 26, "method": 20, "at most lost": 7, "measured": 18, "lost on test": 12} | {
    "difference of protocol": 43
}  # of the table's columns, in letters where all of them have room


@click.command("reproduce", short_help="Carry out the experiments of a method's paper.")
@click.argument("method")
@click.option(
    "--scale",
    "size",
    type=click.Choice(["smoke", "cpu", "full"]),
    default="smoke",
    show_default=True,
    help="How much: minutes, hours on a processor, or the paper's own as far as it is known.",
)
@click.option("--problems", multiple=True, help="Only the experiments on these problems.")
@click.option("--seeds", multiple=True, help="Independent repetitions: 0-4, 1,5,9 [default: the scale's].")
@click.option(
    "--output", type=click.Path(path_type=Path), help="The study's folder [default: pruneframe-METHOD-SCALE]."
)
@boards.machine
@click.option("--yes", is_flag=True, help="Do not ask whether to begin.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and an estimate of the time; run nothing.")
@options.data
@options.plugins
@options.as_json
def command(
    method: str,
    size: Size,
    problems: tuple[str, ...],
    output: Path | None,
    yes: bool,
    dry_run: bool,
    sources: tuple[str, ...],
    as_json: bool,
    **given: Any,
) -> int:
    """Carry out the experiments that METHOD declares, and print what its paper reports beside what is measured.

    The same command again runs only what is missing. Networks that must be trained first are not at hand; pruneframe
    train trains them.
    """
    from ..spec import numbers
    from ..study.store import StudyFolder

    sources = boards.resolved(sources)
    registry = options.registry(sources)
    method = registry.canonical("method", method)
    registry.check("method", method)
    given["seeds"] = numbers(given["seeds"], "seeds") if given["seeds"] else None
    output = Path(f"pruneframe-{method}-{size}") if output is None else output
    study = StudyFolder(followed(output))
    own = Reproduction(registry, sources, registry.entry("method", method).value, size, study, given)
    attempts = own.attempts(own.experiments(problems))
    for problem, reason in own.not_at_hand.items():
        options.say(f"not at hand: {problem}: {reason}")
    if not attempts:
        raise NothingSelected(f"no experiment of {method!r} can be carried out here at the scale {size}")
    if dry_run:
        _describe(own, attempts, as_json)
        return 0
    if not _begin(own, attempts, yes):
        return 0
    from .bench import conclude

    failures = [failure for attempt in attempts for failure in own.carry_out(attempt)]
    return 0 if conclude(study, registry, lambda: _tell(own, attempts, as_json), as_json, failures) else 1


@dataclass(frozen=True)
class Attempt:
    """An experiment that can be carried out here: its runs, what is missing of them, and how long that takes."""

    experiment: Experiment
    scale: Scale
    wanted: Wanted
    planned: Plan
    jobs: int
    missing: tuple[Run, ...]
    estimate: Estimate

    def __str__(self) -> str:
        budget = f"{self.scale.budget:g} passes of {self.planned.runs[0].search_images} images"
        runs = f"{len(self.missing)} of {len(self.planned.runs)} runs are missing"
        time = f", {self.estimate}" if self.missing else ""
        return f"{self.experiment.problem}: {', '.join(self.experiment.methods)}, {budget}; {runs}{time}"

    def json(self) -> dict[str, Any]:
        """The same as JSON values."""
        told = {"problem": self.experiment.problem, "methods": self.experiment.methods, "budget": self.scale.budget}
        told |= {"runs": len(self.planned.runs), "missing": len(self.missing)}
        return told | {f"{name}_seconds": value for name, value in asdict(self.estimate).items()}


@dataclass
class Reproduction:
    """What is to be reproduced here, by which options; `not_at_hand` says why, by problem, where that cannot be."""

    registry: Registry
    sources: tuple[str, ...]
    method: type[Method]
    size: Size
    study: StudyFolder
    given: dict[str, Any]
    not_at_hand: dict[str, str] = field(default_factory=dict)

    def experiments(self, problems: tuple[str, ...]) -> list[Experiment]:
        """Those of the method, on some problems or all; raises NothingSelected where it declares none."""
        from ..spec import names

        declared = self.method.experiments
        if not declared:
            raise NothingSelected(f"method {self.method.name!r} declares no experiment of a paper")
        known = [one.problem for one in declared]
        wanted = [meant(f"problem of {self.method.name!r}", name, known) for name in names(problems)]
        return [one for one in declared if not problems or one.problem in wanted]

    def attempts(self, experiments: Iterable[Experiment]) -> list[Attempt]:
        """Those that can be carried out; what is in the way of the others is noted."""
        from ..reproduction.at_hand import lacking

        found = []
        for experiment in experiments:
            try:
                reason = lacking(self.registry, self.method, experiment, self.size)
                if not reason:
                    found.append(self._attempt(experiment))
                    continue
            except (Faulty, InputError) as error:
                reason = str(error).removeprefix(f"{experiment.problem}: ")
            self.not_at_hand[experiment.problem] = reason
        return found

    def _attempt(self, experiment: Experiment) -> Attempt:
        """The runs of an experiment; loads its problem. Raises InputError for whatever is in the way."""
        from ..reproduction.estimate import estimate
        from ..study.wanted import Wanted

        scale = experiment.scale(self.size)
        assert scale is not None
        rules: dict[str, Any] = {
            "units": experiment.units,
            "objectives": experiment.objectives,
            "batch_norm": experiment.batch_norm,
        }
        rules |= {"budget": scale.budget, "search_images": scale.search_images}
        rules |= {"target": self._table(experiment) if experiment.timed_on else None}
        seeds = self.given["seeds"] or list(scale.seeds)
        machine = {name: self.given[name] for name in ("device", "threads", "precision", "jobs")}
        asked = experiment.methods, [experiment.problem], list(scale.instances), seeds
        extra = {"reproduces": self.method.name, "scale": self.size}
        wanted = Wanted(self.registry, self.sources, *asked, rules, **machine, extra=extra)
        planned, jobs = wanted.planned(options.say)
        missing = tuple(run for run in planned.runs if not run.folder(self.study).whole)
        return Attempt(experiment, scale, wanted, planned, jobs, missing, estimate(planned, missing, jobs))

    def _table(self, experiment: Experiment) -> str:
        """The target that looks latency up in a network's layers, which are timed when that is first asked for."""
        from ..files import cache_folder
        from ..target import Target
        from .data import write_profile

        problem, threads = self.registry.problem(experiment.problem), self.given["threads"]
        network = problem.with_settings(units=experiment.units).load(self.registry.component, options.say).network
        target = self.registry.component(Target, experiment.timed_on)
        layers = [(layer.name, layer.shape, layer.positions) for layer in network.layers]
        key = hashlib.sha256(f"{target.identity} {threads} {layers}".encode()).hexdigest()[:12]
        path = cache_folder() / "profiles" / f"{problem.name}-{key}.json"
        if not path.exists():
            write_profile(network, target, threads, path)
            options.say(f"the table is {path}")
        return TABLE.format(path)

    def carry_out(self, attempt: Attempt) -> list[str]:
        """Carry out what is missing of an experiment; returns what failed."""
        from ..study.campaign import carry_out
        from ..study.display import display

        attempt.wanted.prepare(self.study, attempt.planned)
        return carry_out(attempt.wanted, attempt.planned, self.study, attempt.jobs, options.say, display)

    def rows(self, attempts: Iterable[Attempt]) -> list[Row]:
        """The table of all that."""
        from ..reproduction.table import rows

        return [
            row
            for one in attempts
            for row in rows(one.experiment, self.size, one.planned.runs, one.planned.problems[0].network, self.study)
        ]


def _begin(own: Reproduction, attempts: Sequence[Attempt], yes: bool) -> bool:
    """Say what will be done and how long it takes, and ask whether to begin, where somebody is there to be asked."""
    from ..reproduction.estimate import Estimate

    for one in attempts:
        options.say(str(one))
    if not any(one.missing for one in attempts):
        return True
    total = sum((one.estimate for one in attempts), Estimate())
    options.say(f"in all {total}, at the pace of the unpruned networks")
    if yes or not sys.stdin.isatty():
        return True
    return click.confirm(f"Begin, in {own.study.path}?", default=True, err=True)


def _describe(own: Reproduction, attempts: Sequence[Attempt], as_json: bool) -> None:
    """What the command would do."""
    if as_json:
        told = [one.json() for one in attempts]
        click.echo(json.dumps({"experiments": told, "not_at_hand": own.not_at_hand}, indent=2))
    else:
        click.echo("\n".join(map(str, attempts)))


def _tell(own: Reproduction, attempts: Sequence[Attempt], as_json: bool) -> None:
    """Print the table, or its data, and write both."""
    from ..reproduction.table import document, write

    found = own.rows(attempts)
    told: dict[str, Any] = {"method": own.method.name, "scale": own.size, "study": str(own.study.path)}
    told |= {"not_at_hand": own.not_at_hand}
    if as_json:
        click.echo(document(found, told), nl=False)
    else:
        _show(found, f"{own.method.name}, scale {own.size}")
    try:  # last, since it may find no room on the disk
        paths = write(found, told, own.study)
    except OSError as error:
        options.say(f"Error: the table cannot be written in {own.study.path} ({error.strerror})")
        return
    if not as_json:
        click.echo("\n".join(map(str, paths)))


def _show(found: Sequence[Row], title: str) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    from ..reproduction.table import frame
    from .summary import PLAIN_WIDTH

    console = Console() if Console().is_terminal else Console(width=PLAIN_WIDTH)
    table = Table(title=title, title_justify="left", show_lines=True, expand=True)
    printed = frame(found)
    for name in printed.columns:
        table.add_column(name, overflow="fold", ratio=WIDTHS[name])
    for row in printed.itertuples(index=False):
        table.add_row(*(str(value).replace("[", r"\[") for value in row))
    console.print(table)
    console.print(
        "measured: of each run the member that saves most among those that lose at most so many points on the search "
        "images with 90 % confidence; medians over runs, the least in brackets. lost on test: what the same members "
        "lose on other images, in points; in brackets the 95 % interval, of several runs the worst. Nothing is chosen "
        "on test images.",
        markup=False,
    )
