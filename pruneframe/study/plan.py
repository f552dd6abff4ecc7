"""Plans: problems x instances x seeds x methods become runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from ..engine import Precision, search_precision
from ..errors import Declined, Faulty, InputError
from ..method import Method
from ..patience import PLANNING
from ..problem import LoadedProblem, Problem
from ..registry import Registry
from ..search.shelf import Shelf
from ..search.workbench import DENSE, Workbench
from ..target import Meter
from .machine import cores, memory
from .run import Run, told
from .suitability import check, check_budget

WORKER = 500_000_000  # bytes of a worker process that has loaded torch, without its problem
TIMED = 3  # passes behind an estimate


@dataclass(frozen=True)
class Plan:
    """The runs that a command means, in the order in which they are carried out."""

    runs: tuple[Run, ...]
    problems: tuple[LoadedProblem, ...]  # each once, as its first instance: all of them would take much memory
    measured: bool  # whether anything is measured, so that runs would be in each other's way
    faults: dict[Run, str] = field(default_factory=dict)  # why some of them have failed before they began
    declined: tuple[str, ...] = ()  # a line for every method that declines an instance
    broken: tuple[str, ...] = ()  # a line for every instance that could not be loaded


def plan(
    registry: Registry,
    methods: Sequence[str],
    problems: Sequence[str],
    instances: Sequence[int],
    seeds: Sequence[int],
    settings: dict[str, Any],
    device: str,
    threads: int,
    report: Callable[[str], None],
    precision: Precision | None = None,
    patience: float = PLANNING,
) -> Plan:
    """Load every instance, ask every method whether it can run on it, and name the runs; writes nothing to a study.

    `precision` is the search's; None is the device's default. `patience` is how many seconds a method has for its first
    question. A method that declines a problem is left out there, which `report` is told. Raises InputError for whatever
    would make a run fail from the start, and Declined, or Faulty where a problem could not be loaded, where no run is
    left.
    """
    precision = search_precision(device, precision)
    chosen = [registry.component(Method, spec) for spec in methods]
    named = [
        registry.problem(name).with_settings(**settings, instance=instance)
        for name, instance in product(problems, instances)
    ]
    meters = [problem.meter(registry.component) for problem in named]
    runs: list[Run] = []
    faults: dict[Run, str] = {}
    declined: dict[str, bool] = {}  # whether that has been told
    broken: list[str] = []
    kept: dict[str, LoadedProblem] = {}
    for problem, meter in zip(named, meters, strict=True):
        try:
            untrained = problem.untrained
            loaded = _loaded(registry, _sketch(problem) if untrained else problem, report)
            answers = {method: _answer(registry, loaded, meter, method, patience) for method in chosen}
            willing = [method for method in chosen if not isinstance(answers[method], Declined)]
            for method in chosen:
                if method not in willing:
                    declined.setdefault(f"{method!r} declines {problem.name}: {answers[method]}", False)
            if not willing:
                continue
            _tell(declined, report)
            if untrained:
                loaded = _loaded(registry, problem, report)
            own = [replace(_run(registry, loaded, method, device, threads), precision=precision) for method in willing]
        except Faulty as fault:
            broken.append(f"{problem.called}: {told(fault, registry)}")
            continue
        for run, method in zip(own, willing, strict=True):
            if isinstance(answer := answers[method], Faulty):
                faults |= {replace(run, seed=seed): told(answer, registry, run.method) for seed in seeds}
        runs += [replace(run, seed=seed) for seed, run in product(seeds, own)]
        kept.setdefault(problem.name, loaded)
    if not runs:
        raise Faulty("; ".join(broken)) if broken else Declined("; ".join(declined))
    _tell(declined, report)
    measured = any(meter is not None and meter.measured for meter in meters)
    return Plan(tuple(dict.fromkeys(runs)), tuple(kept.values()), measured, faults, tuple(declined), tuple(broken))


def _tell(declined: dict[str, bool], report: Callable[[str], None]) -> None:
    """Say who is left out, before what is trained for the others."""
    for line in [line for line, known in declined.items() if not known]:
        report(f"skipped: {line}")
        declined[line] = True


def _sketch(problem: Problem) -> Problem:
    """The problem with weights as they are drawn: enough to ask methods, before hours of training are spent."""
    return replace(problem, weights=None, instance=0)


def _loaded(registry: Registry, problem: Problem, report: Callable[[str], None]) -> LoadedProblem:
    """An instance in memory; what its loader prints is no part of a command's output."""
    try:
        with redirect_stdout(sys.stderr):
            return problem.load(registry.component, report)
    except InputError as error:
        named = any(repr(name) in str(error) for name in (problem.name, problem.called))
        raise error if named else InputError(f"{problem.name}: {error}") from error


def _answer(
    registry: Registry, loaded: LoadedProblem, meter: Meter | None, method: Method, patience: float
) -> Declined | Faulty | None:
    """What stands against a method on a problem; raises InputError where the command cannot be meant."""
    try:
        check_budget(loaded, meter)
        check(registry, loaded, method, patience)
    except (Declined, Faulty) as error:
        return error
    return None


def most_jobs(planned: Plan, threads: int) -> int:
    """How many runs of so many threads are best carried out at once: they fill the cores and at most half the memory.

    One on a GPU, and where runs would be in each other's way.
    """
    if planned.measured or planned.runs[0].device != "cpu":
        return 1
    need = max(WORKER + one.size for one in planned.problems)
    return max(1, min(cores() // threads, memory() // 2 // need, len(planned.runs)))


def _run(registry: Registry, loaded: LoadedProblem, method: Method, device: str, threads: int) -> Run:
    """The run of a method on an instance with seed 0."""
    problem = loaded.problem
    meter = problem.meter(registry.component)
    return Run(
        problem=problem.name,
        method=repr(method),
        instance=problem.instance,
        seed=0,
        budget=float(problem.budget),
        units=problem.units,
        batch_norm=problem.batch_norm,
        search_images=len(loaded.search),
        objectives=problem.objectives,
        device=device,
        threads=threads,
        fingerprint=loaded.fingerprint,
        versions=tuple(registry.versions_behind(problem, method).items()),
        target="" if meter is None else repr(meter.target),
        target_identity="" if meter is None else meter.identity,
    )


def seconds_per_pass(loaded: LoadedProblem, device: str, precision: Precision, sample: int = 200) -> float:
    """An estimate of how long one pass takes: the quickest of a few over some images, which others hinder least."""
    bench = Workbench(loaded, device, Shelf(None), precision=precision)
    images = bench.subset("search", sample)
    masks = loaded.network.layout.full()
    seconds = []
    for _ in range(1 + TIMED):  # the first pass warms up
        start = time.perf_counter()
        list(bench.candidates(masks, [DENSE], images))
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]) * len(loaded.search) / len(images.labels)
