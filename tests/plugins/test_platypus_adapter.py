"""The adapter to Platypus: every algorithm keeps the contract, and Python's own randomness is left as it was."""

from __future__ import annotations

import random

import numpy as np
import pytest
from searches import searched
from tabled import problem

from pruneframe.errors import Declined
from pruneframe.kit import IDLE
from pruneframe.search.desk import REPEATS
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.platypus_adapter import Platypus, seeded


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("algorithm", ["NSGAII", "SPEA2", "EpsMOEA", "IBEA", "MOEAD", "GDE3"])
def test_the_contract_holds(algorithm: str, units: str) -> None:
    check_method(Platypus(algorithm=algorithm, population=6), units)  # type: ignore[arg-type] # one of its values


def test_binary_genomes_are_searched_too() -> None:
    check_method(Platypus(encoding="mask", population=6))


def test_differential_evolution_declines_genomes_that_are_not_real() -> None:
    with pytest.raises(Declined, match="GDE3 needs a real encoding, but 'mask' is binary"):
        Platypus(algorithm="GDE3", encoding="mask").search(make_task(tiny_problem()))


def test_pythons_own_generator_is_seeded_for_the_search_alone() -> None:
    random.seed(1)
    before = random.getstate()
    with seeded(7):
        first = random.random()
    assert random.getstate() == before
    searched("platypus")
    assert random.getstate() == before
    with seeded(7):
        assert random.random() == first


def test_another_seed_searches_elsewhere() -> None:
    one, other = (searched("platypus", seed=seed).archive.evaluations for seed in (0, 1))
    assert not np.array_equal([e.mask for e in one], [e.mask for e in other])


@pytest.mark.parametrize("algorithm", ["NSGAII", "EpsMOEA"])  # whose step is a generation, and one child
def test_it_ends_by_itself_where_many_generations_ask_nothing_new(algorithm: str) -> None:
    task = make_task(problem(), budget=1000)
    Platypus(algorithm=algorithm, population=5).search(task)
    assert 3 < task.budget.spent < 32
    assert IDLE * 5 <= task.account.repeats < REPEATS
