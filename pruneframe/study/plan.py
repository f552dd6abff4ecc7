"""Plans: problems x instances x seeds x methods become runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from ..engine import Precision, search_precision
from ..errors import Declined
from ..method import Method
from ..problem import LoadedProblem
from ..registry import Registry
from ..search.shelf import Shelf
from ..search.workbench import DENSE, Workbench
from ..target import Meter
from .machine import cores, memory
from .run import Run
from .suitability import check, check_budget

WORKER = 500_000_000  # bytes of a worker process that has loaded torch, without its problem
TIMED = 3  # passes behind an estimate


@dataclass(frozen=True)
class Plan:
    """The runs that a command means, in the order in which they are carried out."""

    runs: tuple[Run, ...]
    problems: tuple[LoadedProblem, ...]  # each once, as its first instance: all of them would take much memory
    measured: bool  # whether anything is measured, so that runs would be in each other's way


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
) -> Plan:
    """Load every instance, ask every method whether it can run on it, and name the runs; writes nothing to a study.

    `precision` is the search's; None is the device's default. Raises InputError, Declined among them, for whatever
    would make a run fail from the start.
    """
    precision = search_precision(device, precision)
    chosen = [registry.component(Method, spec) for spec in methods]
    named = [
        registry.problem(name).with_settings(**settings, instance=instance)
        for name, instance in product(problems, instances)
    ]
    meters = [problem.meter(registry.component) for problem in named]
    runs: list[Run] = []
    kept: dict[str, LoadedProblem] = {}
    for problem, meter in zip(named, meters, strict=True):
        loaded = problem.load(registry.component, report)
        _check(registry, loaded, meter, chosen)
        own = [replace(_run(registry, loaded, method, device, threads), precision=precision) for method in chosen]
        runs += [replace(run, seed=seed) for seed, run in product(seeds, own)]
        kept.setdefault(problem.name, loaded)
    measured = any(meter is not None and meter.measured for meter in meters)
    return Plan(tuple(dict.fromkeys(runs)), tuple(kept.values()), measured)


def _check(registry: Registry, loaded: LoadedProblem, meter: Meter | None, methods: Sequence[Method]) -> None:
    """Raise InputError where a budget is too small or a method declines."""
    check_budget(loaded, meter)
    for method in methods:
        try:
            check(registry, loaded, method)
        except Declined as error:
            raise Declined(f"method {method!r} declines {loaded.problem.name!r}: {error}") from error


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
        target_identity="" if meter is None else meter.target.identity,
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
