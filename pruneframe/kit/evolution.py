"""Evolutionary search on packed genomes: pymoo's algorithms, our variation, duplicates found by hash.

pymoo keeps genomes as it is given them, one row of bytes a candidate, so a million bits cost what a million bits weigh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.moead import ParallelMOEAD
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.selection.tournament import TournamentSelection
from pymoo.util.ref_dirs import get_reference_directions

from ..encoding import Genomes, Variables
from ..errors import InputError
from ..search.task import Task
from ..variation import Chain

Vary = Callable[[Genomes, int], Genomes]  # parents [2n, width], n -> children [n, width]
Algorithm = Literal["nsga2", "moead"]

ROOM = 1 << 32  # bytes that a population may take
INDIVIDUAL = 1000  # bytes that pymoo keeps of a genome beside it
GENERATIONS = 10  # the default population leaves room for so many
SMALLEST, LARGEST = 4, 100  # populations that a default is between
NEIGHBOURS = 20
IDLE = 20  # generations on end that asked nothing new, and so cost nothing: little is left to be found
# the entry of pymoo, for methods that are built on it
BIBTEX = """
@article{blank2020pymoo,
  author = {Blank, Julian and Deb, Kalyanmoy},
  title = {pymoo: Multi-Objective Optimization in Python},
  journal = {IEEE Access},
  volume = {8},
  pages = {89497--89509},
  year = {2020}
}
"""


def default_population(evaluations: int) -> int:
    """Population for a budget of so many evaluations: at least five generations wherever five of four fit."""
    return max(SMALLEST, min(LARGEST, evaluations // GENERATIONS))


def evolve(
    task: Task,
    algorithm: Algorithm,
    start: Genomes,
    vary: Vary,
    evaluate: Callable[[Genomes], Any],
    references: NDArray[np.float64] | None = None,
) -> None:
    """Run one of pymoo's algorithms until the budget is spent, or until nothing new can be made.

    `start` are genomes[population, width]; `evaluate` gives objective values float64[n, objectives], which are divided
    by `references` float64[objectives], the task's own unless given, before the algorithm compares them.
    """
    references = task.references if references is None else references
    engine = _ALGORITHMS[algorithm](start, len(references), _Mating(vary))
    problem = Problem(n_var=start.shape[1], n_obj=len(references))
    engine.setup(problem, seed=int(task.rng.integers(2**31)), termination=NoTermination(), verbose=False)
    idle = 0
    while idle < IDLE and (asked := engine.ask()) is not None and len(asked):
        spent = task.budget.spent
        asked.set("F", evaluate(asked.get("X")) / references)
        for individual in asked:
            individual.evaluated.add("F")
        engine.tell(infills=asked)
        idle = idle + 1 if task.budget.spent == spent else 0


def _nsga2(start: Genomes, objectives: int, mating: _Mating) -> NSGA2:
    """Deb, Pratap, Agarwal and Meyarivan, IEEE Trans. Evol. Comput. 6(2), 2002."""
    return NSGA2(
        pop_size=len(start),
        sampling=Population.new(X=start),
        mating=mating,
        eliminate_duplicates=_SameBytes(),
    )


def _moead(start: Genomes, objectives: int, mating: _Mating) -> ParallelMOEAD:
    """Zhang and Li, IEEE Trans. Evol. Comput. 11(6), 2007; a whole generation is evaluated at once."""
    directions = reference_directions(objectives, len(start))
    if len(directions) == 1:  # neighbours mate in pairs
        directions = np.repeat(directions, len(start), axis=0)
    algorithm = ParallelMOEAD(directions, n_neighbors=min(NEIGHBOURS, len(directions)), prob_neighbor_mating=0.9)
    algorithm.initialization.sampling = Population.new(X=start[: len(directions)])
    algorithm.mating = mating
    return algorithm


_ALGORITHMS = {"nsga2": _nsga2, "moead": _moead}


def reference_directions(objectives: int, population: int) -> NDArray[np.float64]:
    """At most `population` weight vectors, evenly spread: float64[k, objectives]."""
    if objectives == 1:
        return np.ones((1, 1))
    if population < objectives:  # the corners alone are as many as the objectives
        return np.eye(objectives)[:population]
    partitions = 1
    while _simplex(objectives, partitions + 1) <= population:
        partitions += 1
    return get_reference_directions("das-dennis", objectives, n_partitions=partitions)


def _simplex(objectives: int, partitions: int) -> int:
    """Number of Das-Dennis points: (objectives + partitions - 1) over partitions."""
    count = 1
    for i in range(1, objectives):
        count = count * (partitions + i) // i
    return count


class _SameBytes(DuplicateElimination):
    """Duplicates by hash of the genome's bytes."""

    def _do(self, pop: Any, other: Any, is_duplicate: NDArray[np.bool_]) -> NDArray[np.bool_]:
        seen = {_digest(individual.X) for individual in other} if other is not None else set()
        for i, individual in enumerate(pop):
            own = _digest(individual.X)
            is_duplicate[i] |= own in seen
            seen.add(own)
        return is_duplicate


def _digest(genome: NDArray[Any]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(genome).data, digest_size=16).digest()


class _Mating(InfillCriterion):
    """Parents by binary tournament, or as the algorithm chose them; children by our variation."""

    n_parents = 2

    def __init__(self, vary: Vary) -> None:
        super().__init__(eliminate_duplicates=_SameBytes(), n_max_iterations=20)
        self._vary = vary
        self._selection = TournamentSelection(func_comp=binary_tournament)
        self.crossover = self  # MOEA/D asks its mating's crossover how many parents to choose

    def do(self, *args: Any, parents: Any = None, **kwargs: Any) -> Any:
        if parents is None:
            return super().do(*args, **kwargs)
        return self._children(parents)  # MOEA/D chooses the pairs, and wants exactly one child of each

    def _do(self, problem: Any, pop: Any, n: int, **kwargs: Any) -> Any:
        return self._children(self._selection.do(problem, pop, n, self.n_parents, **kwargs))

    def _children(self, parents: Any) -> Any:
        """One child from each row of individuals [n, 2]."""
        genomes = np.array([parent.X for parent in parents.reshape(-1)])
        return Population.new(X=self._vary(genomes, len(parents)))


def start_and_vary(
    task: Task, encoding: str, scorer: str, variation: str | None, population: int | None
) -> tuple[Genomes, Vary, Callable[[Genomes], Any]]:
    """What an evolutionary method needs, from the names in its settings: first genomes, variation, evaluation."""
    coder = task.encoding(encoding)
    variables = coder.variables(task.layout)
    vary = suitable_variation(task, variation, variables)
    if population is not None:
        check_population(population, variables.width * (1 if variables.kind == "binary" else 8))
    scores = task.scores(scorer)
    bit_scores = scores if variables.number == task.layout.total else None
    start = coder.sample(population or default_population(task.affordable), task.layout, scores, task.rng)
    return (
        start,
        lambda parents, n: vary.vary(parents, n, variables, task.rng, bit_scores),
        lambda genomes: task.evaluate(coder.decode(genomes, task.layout, scores)),
    )


def check_population(population: int, width: int) -> None:
    """Raise InputError for more genomes, of so many bytes each, than memory is for."""
    if (size := population * (width + INDIVIDUAL)) > ROOM:
        raise InputError(
            f"a population must take at most {ROOM:,} bytes, but {population:,} genomes of {width:,} bytes take "
            f"{size:,}; choose a smaller one"
        )


def suitable_variation(task: Task, name: str | None, variables: Variables) -> Chain:
    """The operators of this name, or what suits the kind of variables; one that cannot vary them is refused here."""
    variation = task.variation(name or ("uniform+bit-flip" if variables.kind == "binary" else "sbx-pm"))
    blank = np.zeros((2, variables.width), dtype=np.uint8)
    if variables.kind != "binary":
        blank = np.tile(variables.lower, (2, 1))
    variation.vary(blank, 1, variables, np.random.default_rng(0))
    return variation


def search_by(
    algorithm: Algorithm,
    task: Task,
    encoding: str,
    scorer: str,
    variation: str | None,
    population: int | None,
) -> None:
    """The whole search of a plain evolutionary method."""
    start, vary, evaluate = start_and_vary(task, encoding, scorer, variation, population)
    evolve(task, algorithm, start, vary, evaluate)
