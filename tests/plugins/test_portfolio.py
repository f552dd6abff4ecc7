"""The portfolio: each selection fills its quota of the places, and quotas follow what was gained."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searches import PHYSICAL
from tiny import registry

from pruneframe.search.task import Task
from pruneframe.testing import make_task, tiny_problem
from pruneframe_plugins.portfolio import Portfolio


def task_of_three() -> Task:
    return make_task(tiny_problem(**PHYSICAL), registry=registry())


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0, 1 / 3))
def test_a_portfolio_fills_all_places_by_quota(seed: int, gains: list[float], floor: float) -> None:
    rng = np.random.default_rng(seed)
    portfolio = Portfolio(task_of_three(), 20, floor)
    portfolio.credit(np.array([[0, 0], [1, 1], [2, 2]]), np.array(gains))
    assert portfolio.quotas.sum() == pytest.approx(1)
    assert np.all(portfolio.quotas >= floor - 1e-9)
    if sum(gains) > 0:
        assert np.argmax(portfolio.quotas) == np.argmax(gains) or floor > 0.33
    genomes = rng.integers(1, 9, size=(60, 4))
    chosen = portfolio.select(genomes, rng.random((60, 3)))
    assert len(chosen.genomes) == 20
    assert len(np.unique(chosen.genomes, axis=0)) == 20
    places = np.bincount(chosen.selectors, minlength=3)
    assert np.all(np.abs(places - 20 * portfolio.quotas) < 1 + 1e-9)


def test_without_a_portfolio_rank_and_crowding_fills_all_places() -> None:
    rng = np.random.default_rng(0)
    portfolio = Portfolio(task_of_three(), 20, None)
    portfolio.credit(np.array([[1, 2]]), np.array([1.0]))
    chosen = portfolio.select(rng.integers(1, 9, size=(60, 4)), rng.random((60, 3)))
    assert set(chosen.selectors) == {0}


def test_a_portfolio_never_loses_the_only_undominated_point() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0.5, 1, (40, 3))
    points[17] = 0.1
    chosen = Portfolio(task_of_three(), 6, 0.1).select(np.arange(160).reshape(40, 4), points)
    assert (chosen.points == 0.1).all(axis=1).sum() == 1
