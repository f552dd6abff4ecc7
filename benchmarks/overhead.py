"""Seconds and memory of a method's own work per generation, at ResNet-56's 848,944 weights and a population of 100.

    python benchmarks/overhead.py [--methods nsga2,pymoo-stock] [--generations 3] [--json]

Beside every method of the registry, with its default settings but for the population, stand the NSGA-II of two
libraries with their own operators for bits: pymoo-stock and platypus-stock (one generation: it takes minutes).
Evaluations are a count and a checksum of the packed mask, and what they take is subtracted. What is left is variation,
decoding and selection, and, for our methods, all that the task does for a candidate: its digest, the journal on disk,
the archive. A generation is as many evaluations as the population has, for methods without one, too; the first is the
start and does not count. The figure is the median over the others.

Each row has a process of its own: base_mb is its peak before the search, peak_mb what the search added to it. A method
that cannot run, or needs more memory than the machine has, gets a row with the error.
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
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
import torch
from memory import peak_mb
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.operators.mutation.bitflip import BitflipMutation
from pymoo.operators.sampling.rnd import BinaryRandomSampling

from pruneframe.mask import Bits, Masks
from pruneframe.method import Method
from pruneframe.model.data import Data, Split
from pruneframe.objective import Objective
from pruneframe.problem import LoadedProblem, Problem
from pruneframe.registry import Registry
from pruneframe.search.journal import Answer, Journal, Question
from pruneframe.search.ledger import BudgetSpent, Ledger
from pruneframe.search.shelf import Shelf
from pruneframe.search.task import Task
from pruneframe.search.workbench import Images, Workbench
from pruneframe.spec import names, parse_spec
from pruneframe_problems.cifar_resnet import resnet

IMAGES, CLASSES = 20, 10  # of each split; scorers look at them, evaluations do not
PYMOO, PLATYPUS = "pymoo-stock", "platypus-stock"
EVALUATIONS = ("evaluate", "probe", "part")  # the kinds of questions that are about one candidate

Row = dict[str, Any]


@dataclass
class Clock:
    """The time when each generation had been evaluated, less all the time that evaluations took until then."""

    population: int
    generations: int
    evaluations: int = 0
    free: float = 0.0
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
        added = peak_mb() - base_mb
        return {
            "method": method,
            "seconds_per_generation": round(float(np.median(np.diff(self.stamps))), 4),
            "peak_mb": round(added, 1),
            "base_mb": round(base_mb, 1),
            "generations": len(self.stamps) - 1,
            "population": self.population,
            "bits": bits,
        }


def answer(bits: Bits) -> tuple[float, float]:
    """An error, which grows with what is removed and hangs on every bit, and the kept bits of a mask uint8[bytes]."""
    kept = int(np.bitwise_count(bits).sum())
    chance = zlib.crc32(bits.tobytes()) / 2**32
    return (1 - kept / (8 * len(bits))) * (1 + chance) / 2, float(kept)


def timed_answer(keep: NDArray[np.bool_], clock: Clock) -> tuple[float, float]:
    """The answer to a mask that is not packed, bool[units]."""
    start = time.perf_counter()
    values = answer(np.packbits(keep))
    clock.passed(time.perf_counter() - start)
    return values


def random_problem(depth: int) -> LoadedProblem:
    """A ResNet with random weights, and random images."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(3, IMAGES, 3, 32, 32)).astype(np.float32)
    train, search, test = (Split(images, np.arange(IMAGES) % CLASSES) for images in pixels)
    return Problem("random", resnet(depth), Data(train, search, test)).load(Registry().component)


class FreeWorkbench(Workbench):
    """Knows what a candidate is worth without running the network."""

    def measure(
        self, masks: Masks, weights: Sequence[str], objectives: Sequence[Objective], images: Images
    ) -> Iterator[list[float]]:
        """As the workbench's, from the mask alone."""
        for bits in masks.bits:
            error, kept = answer(bits)
            yield [kept if objective.name == "params" else error for objective in objectives]


class WatchedJournal(Journal):
    """Tells a clock of every answer, and ends the search when that has seen enough."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, {})
        self._clock = clock

    def write(self, question: Question, values: list[Any], charge: float, seconds: float) -> Answer:
        """As the journal's."""
        written = super().write(question, values, charge, seconds)
        self._clock.passed(seconds, question.kind in EVALUATIONS)
        if self._clock.enough:
            raise BudgetSpent(math.inf)
        return written


def with_population(registry: Registry, spec: str, population: int) -> Method:
    """The method that a spec describes, of this population where it has such a setting and the spec leaves it open."""
    name, settings = parse_spec(spec)
    kind = registry.entry("method", name).value
    if "population" in {f.name for f in dataclasses.fields(kind)}:
        settings.setdefault("population", str(population))
    return cast(Method, kind.configured(settings))


def measure_method(spec: str, depth: int, clock: Clock) -> Row:
    """A method of the registry on a task whose evaluations are almost free."""
    registry = Registry()
    method = with_population(registry, spec, clock.population)
    bench = FreeWorkbench(random_problem(depth), "cpu", Shelf(None))
    budget = float(clock.population * (clock.generations + 2))  # more than needed: scores are charged, too
    with tempfile.TemporaryDirectory() as folder, WatchedJournal(Path(folder) / "journal.jsonl", clock) as journal:
        task = Task(bench, journal, Ledger(budget), 0, registry.component)
        base_mb = peak_mb()
        with suppress(BudgetSpent):
            method.search(task)
        return clock.row(spec, task.layout.total, base_mb)


class PymooBits(PymooProblem):
    """The same objectives for genomes bool[bits]."""

    def __init__(self, bits: int, clock: Clock) -> None:
        super().__init__(n_var=bits, n_obj=2, xl=0, xu=1, vtype=bool)
        self._clock = clock

    def _evaluate(self, x: NDArray[np.bool_], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        out["F"] = np.array([timed_answer(keep, self._clock) for keep in x])


def measure_pymoo(depth: int, clock: Clock) -> Row:
    """NSGA-II as pymoo's documentation sets it up for binary variables."""
    bits = random_problem(depth).network.layout.total
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


def in_own_process(spec: str, depth: int, population: int, generations: int) -> Row:
    """The row of one method, or why there is none."""
    script = Path(__file__).with_name("platypus_stock.py") if spec == PLATYPUS else Path(__file__)
    command = [sys.executable, str(script), "--depth", str(depth), "--population", str(population)]
    command += ["--generations", str(1 if spec == PLATYPUS else generations)]
    command += [] if spec == PLATYPUS else ["--here", "--methods", spec]
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
    return f"{row['method']:24} {figures} on top of {row['base_mb']:.0f} MB"


@click.command()
@click.option("--methods", help="Methods, separated by commas [default: all, pymoo-stock and platypus-stock].")
@click.option("--depth", default=56, show_default=True, help="Layers of the ResNet: 6n + 2.")
@click.option("--population", default=100, show_default=True, help="Candidates per generation.")
@click.option("--generations", default=3, show_default=True, help="Generations that are timed, after the start.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
@click.option("--here", is_flag=True, hidden=True, help="Measure one method in this process.")
def main(methods: str | None, depth: int, population: int, generations: int, as_json: bool, here: bool) -> None:
    """Print one row per method."""
    torch.set_num_threads(1)
    if here:
        clock = Clock(population, generations)
        row = measure_pymoo(depth, clock) if methods == PYMOO else measure_method(str(methods), depth, clock)
        print(json.dumps(row))
        return
    limit_memory()
    chosen = names([methods]) if methods else [*Registry().names("method"), PYMOO, PLATYPUS]
    for spec in chosen:
        row = in_own_process(spec, depth, population, generations)
        print(json.dumps(row) if as_json else text(row), flush=True)


if __name__ == "__main__":
    main()
