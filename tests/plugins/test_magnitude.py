"""One-shot pruning: what a sweep removes, globally and layer by layer, and that nothing is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from searches import searched

from pruneframe.testing import check_method
from pruneframe_plugins.magnitude import MOST, Magnitude, sweep


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_contract_holds(units: str) -> None:
    check_method(Magnitude(), units)


@given(st.integers(0, 2**32 - 1), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_a_sweep_removes_the_lowest_share_of_every_run_of_units(seed: int, removed: list[float]) -> None:
    sizes = (7, 20, 1)
    scores = np.random.default_rng(seed).integers(0, 9, sum(sizes)).astype(np.float32)
    keep = np.array(list(sweep(scores, sizes, np.array(removed))))
    for row, share in zip(keep, removed, strict=True):
        for kept, own in zip(np.split(row, [7, 27]), np.split(scores, [7, 27]), strict=True):
            assert np.count_nonzero(~kept) == int(share * len(own))
            assert own[~kept].max(initial=0) <= own[kept].min(initial=9)


def test_half_of_the_sparsities_are_global_and_half_are_layer_by_layer() -> None:
    task = searched("magnitude", 40)
    counts = [evaluation.values[1] for evaluation in task.archive.evaluations]
    assert len(counts) == 40  # both begin with the dense network, which is evaluated once
    assert counts[0] == task.network.total_params
    for half in (counts[:21], counts[21:]):
        assert half == sorted(half, reverse=True)
    assert len(searched("magnitude", 2 * MOST).archive.evaluations) == MOST


def test_every_seed_asks_the_same() -> None:
    assert Magnitude().deterministic
    one, other = (searched("magnitude", 20, seed).archive.front_values() for seed in (0, 1))
    assert np.array_equal(one, other)
