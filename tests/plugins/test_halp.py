"""HALP: an exact knapsack, latencies that are met, and nothing that is drawn."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from searches import PHYSICAL, searched

from pruneframe.errors import Declined
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.halp import Halp, Table, knapsack


def test_the_contract_holds_where_latency_is_no_objective() -> None:
    check_method(Halp(), "filter", declines="latency")


def test_without_latency_and_for_units_that_cannot_be_taken_out_it_declines() -> None:
    with pytest.raises(Declined, match="--objectives error,params,latency"):
        Halp().search(make_task(tiny_problem("filter")))
    with pytest.raises(Declined, match="cannot be taken out"):
        Halp().search(make_task(tiny_problem("weight")))


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4), st.integers(0, 30))
def test_the_knapsack_is_exact(seed: int, choices: int, layers: int, need: int) -> None:
    rng = np.random.default_rng(seed)
    lost, saved = rng.integers(0, 9, (choices, layers)).astype(float), rng.integers(0, 12, (choices, layers))
    found = knapsack(lost, saved, need)
    columns = np.arange(layers)
    rows = np.array(list(product(range(choices), repeat=layers)))
    enough = saved[rows, columns].sum(axis=1) >= need
    if enough.any():
        assert saved[found, columns].sum() >= need
        assert lost[found, columns].sum() == lost[rows[enough], columns].sum(axis=1).min()
    else:
        assert np.array_equal(saved[found, columns], saved.max(axis=0))


@pytest.mark.parametrize("knapsack", ["true", "false"])
def test_latencies_fall_and_are_met(knapsack: str) -> None:
    task = searched(f"halp[latencies=10,knapsack={knapsack},preset=paper]", 200, **PHYSICAL)
    latencies = np.array([one.values[1] for one in task.archive.evaluations])
    assert latencies[0] == 1
    table = Table(task, task.scores("taylor"), 8)
    fastest = table.latencies(table.fewest[None])[0]
    wanted = fastest + np.geomspace(1, 0.01, 11) * (1 - fastest)
    for latency in wanted[1:]:
        within = latencies[latencies <= latency + 1e-9]
        assert len(within)
    assert np.all(np.diff(latencies) < 1e-9)
    assert task.budget.spent == pytest.approx(len(latencies) * task.prices.evaluation + task.price_of_scores("taylor"))


def test_the_knapsack_keeps_more_importance_at_a_latency_than_a_threshold() -> None:
    task = make_task(tiny_problem(**PHYSICAL), 100)
    scores = task.scores("taylor")
    table = Table(task, scores, 8)
    fastest = table.latencies(table.fewest[None])[0]
    worth = [np.append(0, np.cumsum(np.sort(part)[::-1])) for part in task.layout.split(scores.astype(float))]
    kept = lambda widths: sum(own[width] for own, width in zip(worth, widths, strict=True))  # noqa: E731
    latency = fastest + 0.3 * (1 - fastest)
    bought, cut = table.bought(table.widest, latency), table.cut(latency)
    assert table.latencies(np.array([bought, cut])).max() <= latency + 1e-9
    assert kept(bought) >= 0.9 * kept(cut)


def test_every_seed_asks_the_same() -> None:
    assert Halp().deterministic  # apart from what a score draws
    one, other = (searched("halp[preset=paper]", 60, seed, **PHYSICAL) for seed in (0, 1))
    assert np.array_equal(one.archive.front_values(), other.archive.front_values())
