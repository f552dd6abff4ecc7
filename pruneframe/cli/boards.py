"""What commands share that run methods on problems: their options, their checks, and what they say beforehand."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from ..errors import InputError, NothingSelected
from . import options

if TYPE_CHECKING:
    from ..engine import Precision
    from ..registry import Registry
    from ..study.plan import Plan
    from ..study.run import Run
    from ..study.store import StudyFolder

Command = TypeVar("Command", bound=Callable[..., Any])
FIRST = "lenet-digits"  # the problem that needs neither a name nor a download
RULES = ("budget", "units", "batch_norm", "search_images", "objectives", "target")  # of a problem, that are optional


def _all(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in this order."""
    return lambda command: reduce(lambda inner, decorator: decorator(inner), reversed(decorators), command)


def where(instances: str, seeds: str) -> Callable[[Command], Command]:
    """On which problems, instances and seeds, with the defaults of a command."""
    return _all(
        click.option(
            "--problems",
            multiple=True,
            show_default=f"those of --problem-file, else {FIRST}",
            help="Problems, by name.",
        ),
        click.option(
            "--instances",
            multiple=True,
            default=[instances],
            show_default=True,
            help="Of every problem: 0-4, 1,5,9.",
        ),
        click.option(
            "--seeds",
            multiple=True,
            default=[seeds],
            show_default=True,
            help="Independent repetitions: 0-4, 1,5,9.",
        ),
    )


def output(default: str) -> Callable[[Command], Command]:
    """The study's folder."""
    path = click.Path(path_type=Path)
    return click.option("--output", type=path, default=default, show_default=True, help="The study's folder.")


rules = _all(
    click.option("--budget", type=float, help="Compute per run, in passes: dense forward passes over the search set."),
    click.option("--units", help="What is pruned, e.g. weight or filter; see pruneframe list units."),
    click.option("--batch-norm", type=click.Choice(["frozen", "shifted"]), help="What happens to batch statistics."),
    click.option("--search-images", type=int, help="Images behind each evaluation."),
    click.option("--objectives", multiple=True, help="What to minimise, e.g. error,params."),
    click.option("--target", metavar="TARGET", help="What latency and memory are measured on, e.g. local-cpu."),
)
machine = _all(
    click.option(
        "--jobs",
        type=click.IntRange(1),
        help="Runs at the same time [default: one per core; 1 on a GPU, and where latency or memory are measured].",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Threads that torch computes a run with; part of its identity.",
    ),
    click.option("--device", default="cpu", show_default=True, help="cpu, or cuda:0."),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        help="What the search computes in; all that is reported is float32 [default: float32, on a GPU tf32].",
    ),
)


@dataclass(frozen=True)
class Wanted:
    """What a command asks for, looked up and checked as far as that needs no import of anything large."""

    registry: Registry
    sources: tuple[str, ...]
    methods: list[str]
    problems: list[str]
    instances: list[int]
    seeds: list[int]
    rules: dict[str, Any]
    device: str
    threads: int
    precision: Precision | None
    jobs: int | None
    extra: dict[str, Any] = field(default_factory=dict)  # what the study shall know beside all that

    @classmethod
    def of(cls, methods: Sequence[str], sources: tuple[str, ...], given: dict[str, Any]) -> Self:
        """From the values of the options above; raises InputError or NothingSelected for what cannot be meant."""
        from ..spec import names, numbers

        chosen, boards = names(methods), names(given["problems"])
        if not chosen or (given["problems"] and not boards):
            raise NothingSelected("at least one method and one problem must be named; see pruneframe list")
        rules = {name: given[name] for name in RULES}
        rules["objectives"] = tuple(names(given["objectives"])) if given["objectives"] else None
        instances, seeds = (numbers(given[name], name) for name in ("instances", "seeds"))
        sources = resolved(sources)
        registry = options.registry(sources)
        boards = boards or registry.declared or [FIRST]
        _check(registry, {"method": chosen, "problem": boards, "objective": rules["objectives"] or ()}, rules)
        options.check_device(given["device"])
        machine = {name: given[name] for name in ("device", "threads", "precision", "jobs")}
        return cls(registry, sources, chosen, boards, instances, seeds, rules, **machine)

    def planned(self, timeout: float | None = None) -> tuple[Plan, int]:
        """The runs, and how many of them are carried out at once; loads everything.

        `timeout`: seconds that a search may take, and so its planning.
        """
        import torch  # takes seconds, which no mistake so far has to wait for

        from ..study.plan import most_jobs, plan
        from ..study.suitability import PLANNING
        from ..target import Target

        if self.rules["target"] is not None:
            self.registry.component(Target, self.rules["target"])  # told even where no objective asks it
        torch.set_num_threads(self.threads)
        asked = self.methods, self.problems, self.instances, self.seeds, self.rules
        found = plan(
            self.registry,
            *asked,
            self.device,
            self.threads,
            options.say,
            self.precision,
            min(PLANNING, timeout or PLANNING),
        )
        if found.measured and (self.jobs or 1) > 1:
            raise InputError(
                f"--jobs must be 1 where latency or memory are measured, but got {self.jobs}; see --target"
            )
        return found, self.jobs or most_jobs(found, self.threads)

    def prepare(self, study: StudyFolder, planned: Plan, control: str | None = None) -> None:
        """Make the study's folder; until here nothing has been written."""
        from ..study.machine import environment

        names = {"methods": "method", "problems": "problem", "instances": "instance", "seeds": "seed"}
        asked = {name: list(dict.fromkeys(getattr(run, one) for run in planned.runs)) for name, one in names.items()}
        first = planned.runs[0]
        machine = {name: getattr(first, name) for name in ("device", "threads", "precision")}
        settings = json.loads(json.dumps(asked | machine | self.rules | self.extra))
        study.prepare(settings, environment(first.device) | {"cores": os.cpu_count()}, control)


def resolved(sources: Sequence[str]) -> tuple[str, ...]:
    """The values of `-p` as another process understands them: files by their whole path."""
    return tuple(source if source.startswith("no:") else str(Path(source).resolve()) for source in sources)


def say_beforehand(planned: Plan, missing: Sequence[Run]) -> None:
    """What is to be known of problems and machine before runs begin."""
    from ..engine import Engine
    from ..study.machine import say_if_busy

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
        for note in (*one.data.notes, *one.network.notes):
            options.say(f"note: {one.problem.name}: {note}")


def _check(registry: Registry, named: dict[str, Sequence[str]], rules: dict[str, Any]) -> None:
    """Raise InputError for a name, setting or number that cannot be meant, before anything is imported for it."""
    given = {"unit": rules["units"], "target": rules["target"]}
    named = named | {kind: [spec] for kind, spec in given.items() if spec is not None}
    for kind, specs in named.items():
        for spec in specs:
            registry.check(kind, spec)
    budget = rules["budget"]
    if budget is not None and not 0 < budget < math.inf:
        raise InputError(f"budget > 0 must hold, but got {budget}")
