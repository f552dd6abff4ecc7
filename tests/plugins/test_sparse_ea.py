"""The method sparse-ea: ranks of single units, what a child may change, what is charged and what is declined."""

from __future__ import annotations

import numpy as np
import pytest
from searches import searched
from tiny import layout, lookup

from pruneframe.errors import Declined, InputError
from pruneframe.mask import Masks
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.sparse import one_by_one
from pruneframe_plugins.sparse_ea import SparseEA, flip_one, offspring, winners

LAYOUT = layout(a=10, b=7)


def some(n: int, rng: np.random.Generator) -> Masks:
    return Masks.pack(rng.random((n, LAYOUT.total)) < 0.5, LAYOUT)


@pytest.mark.parametrize("spec", ["sparse-ea", "sparse-ea[preset=paper]"])
def test_the_contract_holds(spec: str) -> None:
    check_method(lookup(SparseEA, spec), "filter")


def test_a_score_ranks_weights() -> None:
    check_method(lookup(SparseEA, "sparse-ea[order=score]"), "weight")


def test_more_units_than_half_of_the_budget_pays_for_are_declined() -> None:
    with pytest.raises(
        Declined, match=r"1,008 units by itself first, but 0\.5 of the budget pays for 150; .*order=score"
    ):
        lookup(SparseEA, "sparse-ea").search(make_task(tiny_problem("weight"), 300))
    units = tiny_problem("filter")
    total = make_task(units).layout.total
    with pytest.raises(Declined, match="larger budget"):
        lookup(SparseEA, "sparse-ea").search(make_task(units, 2 * total - 1))
    searched("sparse-ea[share=1]", 2 * total - 1, units="filter")


@pytest.mark.parametrize(("order", "kept"), [("removal", -1), ("alone", 1)])
def test_every_unit_is_tried_once_before_all_else(order: str, kept: int) -> None:
    task = searched(f"sparse-ea[order={order}]", 60, units="filter")
    total = task.layout.total
    masks = task.layout.full(total) if kept < 0 else task.layout.full(total) - task.layout.full(total)
    for unit, bits in enumerate(masks.bits):
        bits[unit // 8] ^= 128 >> unit % 8
    first = task.archive.evaluations[:total]
    assert [one.mask for one in first] == masks.digests()
    assert first[-1].spent == total, "each is charged as any evaluation"


def test_units_whose_removal_is_better_are_less_important() -> None:
    task = make_task(tiny_problem("filter"), 60)
    scores = one_by_one(task, "removal", 1)
    values = np.array([one.values for one in task.archive.evaluations])
    better = np.all(values[:, None] <= values, axis=2) & np.any(values[:, None] < values, axis=2)
    assert better.any()
    assert all(scores[one] < scores[other] for one, other in np.argwhere(better))


def test_a_child_is_at_most_two_flips_from_its_first_parent_and_they_follow_the_scores() -> None:
    rng = np.random.default_rng(0)
    first, second, scores = some(200, rng), some(200, rng), rng.random(LAYOUT.total, dtype=np.float32)
    children = offspring(first, second, scores, rng)
    changes = np.bitwise_count(children.bits ^ first.bits).sum(axis=1)
    assert set(changes) == {0, 1, 2}
    cleared = np.concatenate([scores[(first - children).unpack(row)] for row in range(200)])
    added = np.concatenate([scores[(children - first).unpack(row)] for row in range(200)])
    assert cleared.mean() < scores.mean() < added.mean()


def test_a_flip_is_among_those_that_may_flip_or_does_not_happen() -> None:
    rng, scores = np.random.default_rng(0), np.arange(LAYOUT.total, dtype=np.float32)
    child = LAYOUT.full().bits[0].copy()
    flip_one(child, np.zeros_like(child), scores, rng)
    assert np.array_equal(child, LAYOUT.full().bits[0])
    among = Masks.pack(np.arange(LAYOUT.total)[None] == 3, LAYOUT).bits[0]
    flip_one(child, among, scores, rng)
    assert np.array_equal(child ^ LAYOUT.full().bits[0], among)


def test_the_first_of_equals_wins() -> None:
    scores = np.array([1, 2, 2], dtype=np.float32)
    assert winners(np.array([[0, 1], [1, 0], [1, 2], [2, 1]]), scores).tolist() == [1, 1, 1, 2]


@pytest.mark.parametrize("spec", ["sparse-ea[population=3]", "sparse-ea[share=0]", "sparse-ea[order=any]"])
def test_bad_settings_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match=spec.partition("[")[2].partition("=")[0]):
        lookup(SparseEA, spec)
