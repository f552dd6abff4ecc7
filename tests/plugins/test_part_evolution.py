"""The evolution of a part: every layer keeps a share of its units, and a phase leaves what is reserved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import layout

from pruneframe.mask import Masks
from pruneframe.search.ledger import BudgetSpent
from pruneframe.testing import make_task, tiny_problem
from pruneframe_plugins.part_evolution import Genomes, Ration, floored

LAYOUT = layout("filter", a=10, b=7, c=1)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_a_share_of_every_layer_stays(seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    masks = Masks.pack(rng.random((5, LAYOUT.total)) < rng.random((5, 1)), LAYOUT)
    scores = rng.random(LAYOUT.total).astype(np.float32)
    found = floored(masks, scores, least)
    assert np.all(masks.within(found))
    needed = np.ceil(least * np.array(LAYOUT.sizes))
    assert np.array_equal(found.layer_counts(), np.maximum(masks.layer_counts(), needed))
    nothing = floored(LAYOUT.full() - LAYOUT.full(), scores, 0.3).unpack(0)
    assert nothing[:10].tolist() == (scores[:10] >= np.sort(scores[:10])[-3]).tolist()  # the best come back


def test_masks_of_a_part_keep_the_rest_and_so_much_of_every_layer() -> None:
    task = make_task(tiny_problem())
    part, asked = task.part(1, 3), []

    def evaluate(masks: Masks) -> np.ndarray:
        asked.append(masks)
        if len(asked) > 3:
            raise BudgetSpent
        return np.stack([-masks.counts(), masks.counts()], axis=1).astype(np.float64)

    settings = {"encoding": "mask", "variation": None, "population": 8, "generations": 1, "least": 0.4}
    genomes = Genomes(task, "magnitude", **settings)  # type: ignore[arg-type] # of mixed types
    with pytest.raises(BudgetSpent):
        genomes.evolve(part, evaluate, 1.0, np.ones(2))
    keep = np.array([masks.unpack(row) for masks in asked for row in range(len(masks))])
    outside = np.ones(task.layout.total, dtype=bool)
    outside[part.units] = False
    assert keep[:, outside].all()
    assert not keep[:, part.units].all()
    for layer in task.layout.split(keep):
        assert np.all(layer.mean(axis=1) >= 0.4)


@pytest.mark.parametrize(("reserve", "free"), [(0, 100), (30, 70), (80, 50)])
def test_a_phase_may_spend_its_share_of_what_is_not_reserved(reserve: float, free: float) -> None:
    task = make_task(tiny_problem(), 100)
    with Ration(task, reserve)(1, 3):
        assert task.budget.left == pytest.approx(free / 4)
