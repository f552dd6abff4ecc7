"""Adapter to Platypus, a library of evolutionary algorithms under the GPL-3; nothing else imports it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import pruneframe as pf
from pruneframe.kit import IDLE, start_and_vary

EPSILON = 0.01  # box size of EpsMOEA's archive, in normalised objectives


@dataclass(frozen=True, repr=False)
class Platypus(pf.Method):
    """An algorithm of the Platypus library on any encoding; GDE3 on real encodings alone."""

    name = "platypus"
    provenance = (
        "Published algorithms as implemented by Platypus (Hadka): NSGA-II, SPEA2, epsilon-MOEA, IBEA, MOEA/D, GDE3. "
        "Ours: the start, spread over densities, and our variation in place of the library's, except in GDE3."
    )
    algorithm: Literal["NSGAII", "SPEA2", "EpsMOEA", "IBEA", "MOEAD", "GDE3"] = pf.setting(
        "NSGAII", "which one", tried=()
    )
    encoding: str = pf.setting("layer-threshold", "what a genome is", kind="encoding")
    scorer: str = pf.setting(
        "magnitude", "importance behind the start, the encoding and guided variation", kind="scorer"
    )
    variation: str | None = pf.setting(
        None, "operators in turn, joined by +; none: uniform+bit-flip or sbx-pm", kind="variation"
    )
    population: int | None = pf.setting(
        None, "genomes per generation; none: a tenth of the budget, from 4 to 100", least=4
    )

    def search(self, task: pf.Task) -> None:
        variables = task.encoding(self.encoding).variables(task.layout)
        if self.algorithm == "GDE3" and variables.kind != "real":
            task.decline(
                f"GDE3 needs a real encoding, but {self.encoding!r} is {variables.kind}; use encoding=layer-threshold"
            )
        start, vary, evaluate = start_and_vary(task, self.encoding, self.scorer, self.variation, self.population)
        with seeded(int(task.rng.integers(2**31))):
            self._run(task, variables, start, vary, lambda genomes: evaluate(genomes) / task.references)

    def _run(
        self,
        task: pf.Task,
        variables: pf.Variables,
        start: pf.Genomes,
        vary: Callable[[pf.Genomes, int], pf.Genomes],
        evaluate: Callable[[pf.Genomes], np.ndarray],
    ) -> None:
        import platypus

        native = self.algorithm == "GDE3"
        number = variables.number if native else 1
        problem = platypus.Problem(number, len(task.objectives))
        problem.types[:] = (
            [platypus.Real(a, b) for a, b in zip(variables.lower, variables.upper, strict=True)]
            if native
            else _genome_type(platypus)()
        )
        settings: dict[str, Any] = {
            "population_size": len(start),
            "generator": _start_generator(platypus)(start, native),
            "evaluator": _whole_generations(platypus)(evaluate, native),
        }
        if not native:
            settings["variator"] = _our_variator(platypus)(vary)
        if self.algorithm == "EpsMOEA":
            settings["epsilons"] = [EPSILON]
        algorithm = getattr(platypus, self.algorithm)(problem, **settings)
        spent, repeats = task.budget.spent, task.account.repeats
        while task.account.repeats - repeats < IDLE * len(start):  # a step is a generation, or one child
            algorithm.step()
            if task.budget.spent > spent:
                spent, repeats = task.budget.spent, task.account.repeats


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's global generator, the only one that Platypus offers, seeded inside and restored after."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def genome_of(solution: Any, native: bool) -> np.ndarray:
    """The genome of a Platypus solution: its real variables, or the array that is its only variable."""
    return np.array(solution.variables[:]) if native else solution.variables[0]


def _genome_type(platypus: Any) -> type:
    class Genome(platypus.Type):
        """A whole genome as one variable."""

        def rand(self) -> Any:
            raise AssertionError("the start is given, never drawn")

    return Genome


def _start_generator(platypus: Any) -> type:
    class Start(platypus.Generator):
        """Hands out the given genomes in turn."""

        def __init__(self, genomes: pf.Genomes, native: bool) -> None:
            super().__init__()
            self.genomes, self.native, self.given = genomes, native, 0

        def generate(self, problem: Any) -> Any:
            solution = platypus.Solution(problem)
            genome = self.genomes[self.given % len(self.genomes)]
            solution.variables[:] = list(genome) if self.native else [genome]
            self.given += 1
            return solution

    return Start


def _our_variator(platypus: Any) -> type:
    class Ours(platypus.Variator):
        """Two parents, one child, by our variation."""

        def __init__(self, vary: Callable[[pf.Genomes, int], pf.Genomes]) -> None:
            super().__init__(2)
            self.vary = vary

        def evolve(self, parents: Any) -> Any:
            genomes = np.array([parent.variables[0] for parent in parents])
            child = platypus.Solution(parents[0].problem)
            child.variables[0] = self.vary(genomes, 1)[0]
            return [child]

    return Ours


def _whole_generations(platypus: Any) -> type:
    class Batches(platypus.Evaluator):
        """Evaluates all that Platypus hands over at once, in one question to the task."""

        def __init__(self, evaluate: Callable[[pf.Genomes], np.ndarray], native: bool) -> None:
            super().__init__()
            self.evaluate, self.native = evaluate, native

        def evaluate_all(self, jobs: Any, **kwargs: Any) -> Any:
            solutions = [job.solution for job in jobs]
            values = self.evaluate(np.array([genome_of(s, self.native) for s in solutions]))
            for solution, row in zip(solutions, values, strict=True):
                solution.objectives[:] = row.tolist()
                solution.constraint_violation, solution.feasible, solution.evaluated = 0.0, True, True
            return jobs

    return Batches


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [Platypus]
