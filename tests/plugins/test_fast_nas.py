"""FastNAS: a table of losses, thresholds on it, and networks that keep within their limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from searches import PHYSICAL, searched
from tiny import lookup

from pruneframe.errors import Declined
from pruneframe.method import Method
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.fast_nas import FastNAS
from pruneframe_plugins.widths import Pool, children_of, narrowest


@pytest.mark.parametrize("spec", ["fast-nas", "fast-nas[preset=paper]"])
def test_the_contract_holds(spec: str) -> None:
    check_method(lookup(Method, spec), "filter")


def test_units_that_cannot_be_taken_out_and_problems_without_an_error_are_declined() -> None:
    with pytest.raises(Declined, match="searches widths"):
        FastNAS().search(make_task(tiny_problem("weight")))
    with pytest.raises(Declined, match="objective 'error'"):
        FastNAS().search(make_task(tiny_problem("filter", objectives=("distortion", "params"))))


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_a_threshold_gives_the_narrowest_width_that_loses_no_more(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    choices = np.cumsum(rng.integers(1, 5, (6, 3)), axis=0)
    table = np.sort(rng.random((6, 3)), axis=0)[::-1]
    table[-1] = 0
    found = narrowest(table, choices, threshold)
    for layer, width in enumerate(found):
        row = choices[:, layer].tolist().index(width)
        assert table[row, layer] <= threshold
        assert row == 0 or table[row - 1, layer] > threshold


@given(st.integers(0, 2**32 - 1))
def test_children_are_mutants_and_crossings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    choices = np.tile(np.arange(1, 9)[:, None] * 10, (1, 5))
    parents = np.tile(np.arange(1, 4)[:, None] * 10 + 1, (1, 5))  # no choices, so that what is drawn anew can be told
    children = children_of(parents, 40, choices, 0.1, rng)
    drawn = children % 10 == 0
    assert not drawn[1::2].any()
    assert np.all(drawn[::2].sum(axis=1) >= 1)
    assert drawn[::2].mean() < 0.6
    assert all(len(set(row[~own].tolist())) <= 1 for row, own in zip(children[::2], drawn[::2], strict=True))
    assert np.all(np.isin(children[1::2], parents))


def test_what_takes_too_much_is_narrowed_in_proportion() -> None:
    task = make_task(tiny_problem("filter"))
    pool = Pool(task, task.scores("magnitude"), "params")
    sizes, rng = np.array(task.layout.sizes), np.random.default_rng(0)
    widths, fewest = rng.integers(1, sizes + 1, (30, len(sizes))), np.ones_like(sizes)
    found = pool.narrowed(widths, 0.3, fewest)
    assert task.budget.spent == 0
    assert np.all(found <= widths)
    assert np.all(found >= fewest)
    before, after = pool.taken(widths), pool.taken(found)
    assert np.array_equal(found[before <= 0.3], widths[before <= 0.3])
    assert np.all(after[found.max(axis=1) > 1] <= 0.3)


def test_the_table_and_its_thresholds_are_what_sensitivity_asks() -> None:
    task = searched("fast-nas[preset=paper,choices=4]", 300, units="filter")
    layers = len(task.layout.sizes)
    assert len(task.archive.evaluations) <= 1 + 3 * layers + 4 * layers
    assert task.budget.spent == len(task.archive.evaluations)  # norms and parameters cost nothing
    assert task.records["phases"].phase.tolist() == ["sensitivity"]


def test_evolution_fills_the_front_below_the_limits() -> None:
    task = searched("fast-nas[searcher=evolution,scorer=magnitude,limits=4,lowest=0.2]", 200, units="filter")
    assert task.records["phases"].phase.tolist() == ["evolution"]
    assert task.budget.spent > 100
    shares = np.array([one.values[1] for one in task.archive.evaluations[1:]]) / task.network.total_params
    assert shares.max() <= 0.2 ** (1 / 4)
    assert shares.min() <= 0.2


def test_a_resource_can_be_latency() -> None:
    task = searched("fast-nas[resource=latency]", 100, **PHYSICAL)
    assert len(task.archive.evaluations) > 20
