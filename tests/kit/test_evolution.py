"""Evolution on packed genomes: duplicates, seeds, and selection that is pymoo's own."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from searches import searched

from pruneframe.encoding import Variables
from pruneframe.errors import InputError
from pruneframe.front import hypervolume
from pruneframe.kit.evolution import (
    LARGEST,
    SMALLEST,
    Algorithm,
    default_population,
    evolve,
    reference_directions,
    suitable_variation,
)
from pruneframe.mask import Masks
from pruneframe.search.ledger import BudgetSpent
from pruneframe.search.task import Task
from pruneframe.testing import make_task, tiny_problem

ALGORITHMS: tuple[Algorithm, ...] = ("nsga2", "moead")
BITS = 64
POPULATION, GENERATIONS = 12, 8
BITWISE = Variables("binary", BITS, np.zeros(BITS), np.ones(BITS), (BITS,))
COSTS = np.random.default_rng(5).random((2, BITS)) / BITS  # of a kept bit, of a removed one: a front without ties


@dataclass
class Trace:
    """What an algorithm asked: the parents behind each generation, its genomes, and their normalised values."""

    parents: list[np.ndarray] = field(default_factory=list)
    genomes: list[np.ndarray] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)


def task_of(objectives: int = 2, seed: int = 0) -> Task:
    names = ("error", "params", "macs", "size", "distortion")[:objectives]
    return make_task(tiny_problem(objectives=names), seed=seed)


def values_of(genomes: np.ndarray, objectives: int) -> np.ndarray:
    """Opposed costs of kept and removed bits, and mixtures of them: float64[n, objectives]."""
    kept = np.unpackbits(genomes, axis=1, count=BITS).astype(float)
    two = np.stack([kept @ COSTS[0], (1 - kept) @ COSTS[1]], axis=1)
    return np.stack([two[:, i % 2] ** (1 + i // 2) for i in range(objectives)], axis=1)


def start_of(n: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, BITS // 8), dtype=np.uint8)


def traced(algorithm: Algorithm, start: np.ndarray, objectives: int = 2, seed: int = 0) -> Trace:
    """Run `GENERATIONS` generations on made-up objectives."""
    task, trace = task_of(objectives, seed), Trace()
    vary = task.variation("uniform+bit-flip[rate=0.05]")

    def children(parents: np.ndarray, n: int) -> np.ndarray:
        trace.parents.append(parents.copy())
        return vary.vary(parents, n, BITWISE, task.rng)

    def evaluate(genomes: np.ndarray) -> np.ndarray:
        if len(trace.genomes) == GENERATIONS:
            raise BudgetSpent
        trace.genomes.append(genomes.copy())
        trace.values.append(values_of(genomes, objectives))
        return trace.values[-1] * task.references

    with contextlib.suppress(BudgetSpent):
        evolve(task, algorithm, start, children, evaluate)
    return trace


def rows(genomes: np.ndarray) -> list[bytes]:
    return [genome.tobytes() for genome in genomes]


def survivors(genomes: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """The rows that stock NSGA-II keeps."""
    population = Population.new(X=np.arange(len(genomes))[:, None], F=values)
    kept = RankAndCrowding().do(
        Problem(n_var=1, n_obj=2), population, n_survive=n, random_state=np.random.default_rng(0)
    )
    return kept.get("X")[:, 0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_equal_seeds_ask_equal_questions(algorithm: Algorithm) -> None:
    first, again, other = (traced(algorithm, start_of(POPULATION), seed=seed) for seed in (1, 1, 2))
    asked = [[rows(genomes) for genomes in trace.genomes] for trace in (first, again, other)]
    assert len(asked[0]) == GENERATIONS
    assert asked[0] == asked[1]
    assert asked[0][0] == asked[2][0]  # the start is given
    assert asked[0][1:] != asked[2][1:]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_search_improves_on_its_start(algorithm: Algorithm) -> None:
    values = traced(algorithm, start_of(POPULATION)).values
    assert hypervolume(np.vstack(values)) > hypervolume(values[0]) + 0.01


def test_duplicates_in_the_start_are_asked_once() -> None:
    start = start_of(POPULATION)
    trace = traced("nsga2", np.vstack([start, start[::-1]]))
    assert rows(trace.genomes[0]) == rows(start)


def test_nsga2_asks_no_genome_twice_while_it_is_in_the_population() -> None:
    trace = traced("nsga2", start_of(POPULATION))
    population, values = trace.genomes[0], trace.values[0]
    for genomes, found in zip(trace.genomes[1:], trace.values[1:], strict=True):
        assert len(set(rows(genomes))) == len(genomes) == POPULATION
        assert not set(rows(genomes)) & set(rows(population))
        population, values = np.vstack([population, genomes]), np.vstack([values, found])
        kept = survivors(population, values, POPULATION)
        population, values = population[kept], values[kept]


def test_nsga2s_parents_are_what_stock_nsga2_keeps() -> None:
    trace = traced("nsga2", start_of(POPULATION))
    genomes, values = trace.genomes[0], trace.values[0]
    for generation, parents in enumerate(trace.parents[: GENERATIONS - 1]):
        assert set(rows(parents)) <= set(rows(genomes))
        genomes = np.vstack([genomes, trace.genomes[generation + 1]])
        values = np.vstack([values, trace.values[generation + 1]])
        kept = survivors(genomes, values, POPULATION)
        genomes, values = genomes[kept], values[kept]


def test_nsga2s_tournament_is_never_won_by_the_worst_nor_lost_by_the_best() -> None:
    best = np.packbits(COSTS[0] < COSTS[1])[None]
    others, ends = start_of(500), values_of(np.vstack([best, ~best]), 2)
    between = np.all((values_of(others, 2) > ends[0]) & (values_of(others, 2) < ends[1]), axis=1)
    start = np.vstack([best, ~best, others[between][: POPULATION - 2]])
    assert len(start) == POPULATION
    parents = rows(traced("nsga2", start).parents[0])
    assert parents.count(best.tobytes()) == 4  # as often as each is drawn for two parents a child, in pairs
    assert (~best).tobytes() not in parents


def test_moead_asks_one_child_for_every_direction() -> None:
    trace = traced("moead", start_of(POPULATION))
    assert [len(genomes) for genomes in trace.genomes] == [len(reference_directions(2, POPULATION))] * GENERATIONS
    assert [len(parents) for parents in trace.parents[:-1]] == [2 * POPULATION] * (GENERATIONS - 1)


def test_moeads_parents_come_from_those_evaluated() -> None:
    trace = traced("moead", start_of(POPULATION))
    seen: set[bytes] = set()
    for genomes, parents in zip(trace.genomes, trace.parents, strict=False):
        seen |= set(rows(genomes))
        assert set(rows(parents)) <= seen


@pytest.mark.parametrize("objectives", [1, 2, 3, 5])
@pytest.mark.parametrize("population", [2, 4, 12])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_any_number_of_objectives_can_be_searched(algorithm: Algorithm, population: int, objectives: int) -> None:
    trace = traced(algorithm, start_of(population), objectives)
    assert len(trace.genomes) == GENERATIONS
    assert all(values.shape[1] == objectives for values in trace.values)


def test_a_space_without_new_genomes_ends_the_search() -> None:
    task, asked = task_of(), []
    variables = Variables("binary", 2, np.zeros(2), np.ones(2), (2,))
    vary = task.variation("bit-flip")

    def evaluate(genomes: np.ndarray) -> np.ndarray:
        asked.extend(rows(genomes))
        return values_of(np.repeat(genomes, BITS // 8, axis=1), 2) * task.references

    start = np.array([[0], [64], [128], [192]], dtype=np.uint8)
    evolve(task, "nsga2", start, lambda parents, n: vary.vary(parents, n, variables, task.rng), evaluate)
    assert asked == rows(start)


def test_a_search_ends_when_all_answers_are_known() -> None:
    task, calls = make_task(tiny_problem("filter[inner=true]"), 1e6), []  # 7 + 6 filters: the budget would never end
    layout = task.layout
    variables, vary = task.encoding("mask").variables(layout), task.variation("uniform+bit-flip")

    def evaluate(masks: Masks) -> np.ndarray:
        calls.append(len(masks))
        return task.evaluate(masks)

    few = layout.full().bits & np.array([0b11100000, 0], dtype=np.uint8)  # all others are removed
    evolve(
        task,
        "nsga2",
        task.encoding("mask").sample(8, layout, task.scores("magnitude"), task.rng),
        lambda parents, n: vary.vary(parents, n, variables, task.rng),
        lambda genomes: evaluate(Masks(genomes & few, layout)),
    )
    assert task.budget.spent == len(task.archive.evaluations) <= 8 < sum(calls)


@pytest.mark.parametrize("encoding", ["mask", "layer-threshold", "layer-ratio", "channel-count"])
@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_methods_front_is_pymoos_of_all_that_it_evaluated(algorithm: str, units: str, encoding: str) -> None:
    task = searched(f"{algorithm}[encoding={encoding},population=6]", units=units, objectives=("distortion", "params"))
    _, front = task.archive.front()
    values = np.array([evaluation.values for evaluation in task.archive.evaluations])
    expected = values[NonDominatedSorting().do(values, only_non_dominated_front=True)]
    assert {evaluation.values for evaluation in front} == {tuple(row) for row in expected.tolist()}
    assert len(front) > 1


@pytest.mark.parametrize("spec", ["nsga2[population=7]", "moead[population=7]", "nsga2", "moead"])
@pytest.mark.parametrize("budget", [3, 24.5, 40])
def test_a_search_spends_its_budget_to_the_last_evaluation(spec: str, budget: float) -> None:
    task = searched(spec, budget)
    assert len(task.archive.evaluations) == int(budget)
    assert task.budget.spent == int(budget)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_start_holds_the_dense_network(algorithm: str) -> None:
    task = searched(f"{algorithm}[population=5]", 5)
    assert task.layout.full().digests()[0] in {evaluation.mask for evaluation in task.archive.evaluations}


def test_what_these_tests_prune_can_be_pruned_badly() -> None:
    problem = tiny_problem()
    task = make_task(problem)
    shares = np.bincount(problem.data.search.labels) / len(problem.data.search)
    assert shares.max() < 0.9  # otherwise a network without weights is right too
    empty = task.layout.full() - task.layout.full()
    assert task.evaluate(empty)[0, 0] > task.evaluate(task.layout.full())[0, 0]


@given(st.integers(1, 6), st.integers(2, 120))
def test_reference_directions_are_spread_over_the_simplex(objectives: int, population: int) -> None:
    directions = reference_directions(objectives, population)
    assert directions.shape[1] == objectives
    assert 1 <= len(directions) <= population
    assert directions.sum(axis=1) == pytest.approx(1)
    assert np.all(directions >= 0)
    assert len(np.unique(directions, axis=0)) == len(directions)


def test_two_objectives_have_as_many_directions_as_asked_for() -> None:
    assert [len(reference_directions(2, n)) for n in (2, 3, 50, 100)] == [2, 3, 50, 100]


@given(st.integers(0, 10_000))
def test_the_default_population_leaves_room_for_generations(evaluations: int) -> None:
    population = default_population(evaluations)
    assert SMALLEST <= population <= LARGEST
    if evaluations >= 5 * SMALLEST:
        assert evaluations // population >= 5
    assert default_population(evaluations + 1) >= population


def test_the_default_variation_suits_the_kind() -> None:
    task = make_task(tiny_problem())
    for encoding, expected in (("mask", "uniform+bit-flip"), ("channel-count", "sbx-pm"), ("layer-ratio", "sbx-pm")):
        variables = task.encoding(encoding).variables(task.layout)
        assert suitable_variation(task, None, variables) == task.variation(expected)
    with pytest.raises(InputError, match="binary"):
        suitable_variation(task, "bit-flip", variables)
