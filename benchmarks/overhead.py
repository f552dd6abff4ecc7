"""Seconds and memory of a method's own work per generation, at ResNet-56's 848,944 weights and a population of 100.

    python benchmarks/overhead.py [--methods 'nsga2[preset=textbook],pymoo-stock'] [--generations 3] [--json]
    python benchmarks/overhead.py --network resnet50 --population 50 [--units filter]

Beside every method of the registry, with its default settings but for the population, and beside nsga2 and moead on raw
bits, stand the NSGA-II of two libraries with their own operators for bits: pymoo-stock and platypus-stock (one
generation: it takes minutes).
Evaluations are a count and a checksum of the packed mask, and what they take is subtracted. What is left is variation,
decoding and selection, and, for our methods, all that the task does for a candidate: its digest, the journal on disk,
the archive. A generation is as many evaluations as the population has, for methods without one, too; the first is the
start and does not count. The figure is the median over the others.

Each row has a process of its own: base_mb is its peak before the search, peak_mb what the search added to it. A method
that cannot run, or needs more memory than the machine has, gets a row with the error.

At the end of a method's last generation, while all that it keeps is in memory, some candidates are really evaluated: of
half the units, drawn at random, on 16 images and on 32. The difference is what an image costs, and --images of them are
an evaluation. share is a generation's own seconds as a share of all of it, evaluations included. --network names a
model of torchvision, with random weights and images of 224 pixels.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
import torch
from free_evaluations import FreeWorkbench, answer
from memory import peak_mb
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.operators.mutation.bitflip import BitflipMutation
from pymoo.operators.sampling.rnd import BinaryRandomSampling
from random_networks import random_problem

from pruneframe.errors import InputError
from pruneframe.method import Method
from pruneframe.problem import LoadedProblem
from pruneframe.registry import Registry
from pruneframe.search.answer import Answer, Question
from pruneframe.search.journal import Journal
from pruneframe.search.ledger import BudgetSpent, Ledger
from pruneframe.search.shelf import Shelf
from pruneframe.search.task import Task
from pruneframe.spec import names, parse_spec

PYMOO, PLATYPUS = "pymoo-stock", "platypus-stock"
RAW = ("nsga2[preset=textbook]", "moead[preset=textbook]")  # what the libraries' own are set beside
EVALUATIONS = ("evaluate", "probe", "part")  # the kinds of questions that are about one candidate

Row = dict[str, Any]


@dataclass
class Clock:
    """The time when each generation had been evaluated, less all the time that evaluations took until then."""

    population: int
    generations: int
    evaluations: int = 0
    free: float = 0.0
    began: float = field(default_factory=lambda: time.perf_counter())
    stamps: list[float] = field(default_factory=list)

    def passed(self, seconds: float, evaluation: bool = True) -> None:
        """Subtract what an answer took, and count it if it was an evaluation."""
        self.free += seconds
        self.evaluations += evaluation
        if evaluation and self.evaluations % self.population == 0:
            self.stamps.append(time.perf_counter() - self.free)

    @property
    def enough(self) -> bool:
        """Whether all generations have been timed; the start comes before them."""
        return len(self.stamps) > self.generations

    def row(self, method: str, bits: int, base_mb: float) -> Row:
        """One row of the table, from how much memory had been used before the search."""
        if len(self.stamps) < 2:
            raise click.ClickException(f"it has ended before a second generation of {self.population}")
        added = max(0.0, peak_mb() - base_mb)  # the kernel counts pages in batches, so that a peak can seem to fall
        return {
            "method": method,
            "seconds_per_generation": round(float(np.median(np.diff(self.stamps))), 4),
            "start_seconds": round(self.stamps[0] - self.began, 4),
            "peak_mb": round(added, 1),
            "base_mb": round(base_mb, 1),
            "generations": len(self.stamps) - 1,
            "population": self.population,
            "bits": bits,
        }


def timed_answer(keep: NDArray[np.bool_], clock: Clock) -> tuple[float, float]:
    """The answer to a mask that is not packed, bool[units]."""
    start = time.perf_counter()
    values = answer(np.packbits(keep))
    clock.passed(time.perf_counter() - start)
    return values


class WatchedJournal(Journal):
    """Tells a clock of every answer; when that has seen enough, real evaluations are timed, and the search ends."""

    def __init__(self, path: Path, clock: Clock, bench: FreeWorkbench) -> None:
        super().__init__(path, {})
        self._clock = clock
        self._bench = bench
        self.image_seconds = math.nan

    def write(
        self,
        question: Question,
        values: list[Any],
        charge: float,
        seconds: float,
        own: float = 0.0,
        processor: float = 0.0,
    ) -> Answer:
        """As the journal's."""
        written = super().write(question, values, charge, seconds, own, processor)
        self._clock.passed(seconds, question.kind in EVALUATIONS)
        if self._clock.enough:
            self.image_seconds = self._bench.image_seconds()
            raise BudgetSpent(math.inf)
        return written


def with_population(registry: Registry, spec: str, population: int) -> Method:
    """The method that a spec describes, of this population where it has such a setting and the spec leaves it open."""
    name, settings = parse_spec(spec)
    kind = registry.entry("method", name).value
    sized = settings | {"population": str(population)}
    if "population" in settings or "population" not in {f.name for f in dataclasses.fields(kind)}:
        sized = settings
    try:
        return cast(Method, kind.configured(sized))
    except InputError:  # a preset of it has none
        return cast(Method, kind.configured(settings))


def measure_method(spec: str, loaded: LoadedProblem, images: int, clock: Clock) -> Row:
    """A method of the registry on a task whose evaluations are almost free."""
    registry = Registry()
    method = with_population(registry, spec, clock.population)
    budget = float(clock.population * (clock.generations + 2))  # more than needed: scores are charged, too
    with tempfile.TemporaryDirectory() as folder:
        bench = FreeWorkbench(loaded, "cpu", Shelf(Path(folder)))
        with WatchedJournal(Path(folder) / "journal.jsonl", clock, bench) as journal:
            task = Task(bench, journal, Ledger(budget), 0, registry.component)
            base_mb = peak_mb()
            clock.began = time.perf_counter()
            with suppress(BudgetSpent):
                method.search(task)
            row = clock.row(spec, task.layout.total, base_mb)
        return row | shares(row, images * journal.image_seconds)


def shares(row: Row, evaluation: float) -> Row:
    """What a generation's own seconds are beside those of its evaluations, and all that the process needed."""
    own = row["seconds_per_generation"]
    share = own / (own + row["population"] * evaluation)
    return {
        "evaluation_seconds": round(evaluation, 3),
        "share": round(share, 6),
        "process_mb": round(peak_mb(), 1),
    }


class PymooBits(PymooProblem):
    """The same objectives for genomes bool[bits]."""

    def __init__(self, bits: int, clock: Clock) -> None:
        super().__init__(n_var=bits, n_obj=2, xl=0, xu=1, vtype=bool)
        self._clock = clock

    def _evaluate(self, x: NDArray[np.bool_], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        out["F"] = np.array([timed_answer(keep, self._clock) for keep in x])


def measure_pymoo(loaded: LoadedProblem, clock: Clock) -> Row:
    """NSGA-II as pymoo's documentation sets it up for binary variables."""
    bits = loaded.network.layout.total
    base_mb = peak_mb()
    algorithm = NSGA2(
        pop_size=clock.population,
        sampling=BinaryRandomSampling(),
        crossover=TwoPointCrossover(),
        mutation=BitflipMutation(),
        eliminate_duplicates=True,
    )
    algorithm.setup(PymooBits(bits, clock), seed=0, termination=NoTermination(), verbose=False)
    while not clock.enough:
        algorithm.next()
    return clock.row(PYMOO, bits, base_mb)


def in_own_process(spec: str, sizes: Sequence[str]) -> Row:
    """The row of one method, or why there is none; `sizes` are options of its script."""
    script = Path(__file__).with_name("platypus_stock.py") if spec == PLATYPUS else Path(__file__)
    command = [sys.executable, str(script), *sizes]
    command += ["--generations", "1"] if spec == PLATYPUS else ["--here", "--methods", spec]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout)
    if done.returncode < 0:
        return {"method": spec, "error": f"it was killed by signal {-done.returncode} (out of memory?)"}
    return {"method": spec, "error": done.stderr.strip().splitlines()[-1]}


def limit_memory() -> None:
    """Let allocations fail here and in all processes that are started, before they exceed the machine's memory."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resource.setrlimit(resource.RLIMIT_DATA, (machine if hard == resource.RLIM_INFINITY else min(machine, hard), hard))


def text(row: Row) -> str:
    """A row as a line of the table."""
    if "error" in row:
        return f"{row['method']:24} {row['error']}"
    figures = f"{row['seconds_per_generation']:9.3f} s a generation, {row['peak_mb']:7.0f} MB"
    line = f"{row['method']:24} {figures} on top of {row['base_mb']:.0f} MB"
    if "share" in row:
        line += f"; {row['share']:.4%} at {row['evaluation_seconds']:.1f} s an evaluation"
        line += f"; {row['process_mb']:.0f} MB in all"
    return line


@click.command()
@click.option("--methods", help="Methods, separated by commas [default: all, those on raw bits and the stock ones].")
@click.option("--depth", default=56, show_default=True, help="Layers of the ResNet: 6n + 2.")
@click.option("--network", help="A model of torchvision's in its place; the two libraries are left out.")
@click.option("--units", default="weight", show_default=True, help="What is pruned.")
@click.option("--images", default=5000, show_default=True, help="Images of a search set, for an evaluation.")
@click.option("--population", default=100, show_default=True, help="Candidates per generation.")
@click.option("--generations", default=3, show_default=True, help="Generations that are timed, after the start.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
@click.option("--here", is_flag=True, hidden=True, help="Measure one method in this process.")
def main(
    methods: str | None,
    depth: int,
    network: str | None,
    units: str,
    images: int,
    population: int,
    generations: int,
    as_json: bool,
    here: bool,
) -> None:
    """Print one row per method."""
    torch.set_num_threads(1)
    if here:
        clock = Clock(population, generations)
        loaded = random_problem(depth, network, units)
        row = measure_pymoo(loaded, clock) if methods == PYMOO else measure_method(str(methods), loaded, images, clock)
        print(json.dumps(row))
        return
    limit_memory()
    stock = () if network else (PYMOO, PLATYPUS)
    sizes = ["--depth", str(depth), "--population", str(population)]
    own = ["--units", units, "--images", str(images), "--generations", str(generations)]
    own += ["--network", network] if network else []
    for spec in names([methods]) if methods else [*Registry().names("method"), *RAW, *stock]:
        row = in_own_process(spec, sizes if spec == PLATYPUS else [*sizes, *own])
        print(json.dumps(row) if as_json else text(row), flush=True)


if __name__ == "__main__":
    main()
