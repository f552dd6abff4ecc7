"""The herd: its fitness is a weighted sum that orders it, and the fittest survive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import layout

from pruneframe.testing import make_task, tiny_problem
from pruneframe_plugins.herd import Herd
from pruneframe_plugins.weighted_ga import SMALLEST, WeightedGA


@given(st.integers(0, 2), st.floats(0, 5))
def test_the_fitness_is_linear_in_each_weight_and_orders_the_herd(which: int, more: float) -> None:
    herd = Herd.__new__(Herd)  # the fitness needs nothing but masks and their terms
    herd.masks = layout("filter", a=9).full(12)
    herd.terms, herd.retrained = np.random.default_rng(0).random((12, 3)), 0.0
    before, after = np.array([0.2, 0.3, 0.4]), np.array([0.2, 0.3, 0.4])
    after[which] += more
    difference = herd.state(after)["mean fitness"] - herd.state(before)["mean fitness"]
    assert difference == pytest.approx(more * herd.terms[:, which].mean())
    herd.sort(after)
    by_hand = [sum(weight * term for weight, term in zip(after, terms, strict=True)) for terms in herd.terms]
    assert by_hand == sorted(by_hand)
    assert herd.state(after)["fitness"] == pytest.approx(by_hand[0])


@pytest.mark.parametrize(
    ("survivors", "size", "parents"), [(0.0, 6, 2), (0.5, 6, 3), (1.0, 6, 5), (0.5, SMALLEST, 2), (0.1, 30, 3)]
)
def test_two_genomes_survive_at_least_and_not_all(survivors: float, size: int, parents: int) -> None:
    task = make_task(tiny_problem(), budget=300)
    herd = Herd(task, WeightedGA(survivors=survivors, population=size, step=0.3).settled().suited(task.affordable))
    herd.sort(np.ones(3))
    before = herd.masks
    herd.breed()
    assert len(herd.masks) == size
    assert np.array_equal(herd.masks.bits[:parents], before.bits[:parents])
    assert task.budget.spent == pytest.approx((2 * size - parents) * task.prices.evaluation)
