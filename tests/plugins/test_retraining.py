"""Pruning and retraining in turn: networks shrink from round to round, weights are handed on, descents begin again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny import registry

from pruneframe.kit.sweep import Curve, Staircase
from pruneframe.mask import Masks
from pruneframe.model.recipe import Recipe
from pruneframe.search.task import Task
from pruneframe.search.workbench import DENSE
from pruneframe.testing import make_task
from pruneframe_plugins.encodings import least
from pruneframe_plugins.retraining import FINAL, KEPT, PIECE, Retraining
from pruneframe_plugins.sources import opening


class Watched(Task):
    """What a task was asked to train: masks, the weights before, and recipes."""

    trained: list[tuple[Masks, str, Recipe]]

    def train(self, mask: Masks, weights: str = DENSE, recipe: Recipe | None = None) -> str:
        assert recipe is not None
        self.trained.append((mask, weights, recipe))
        return super().train(mask, weights, recipe)


def retrained(
    rounds: int, budget: float = 600, units: str = "weight", rate: float = 0.05
) -> tuple[Watched, Retraining]:
    """So many rounds behind an opening on a small LeNet."""
    task: Any = make_task(registry().problem("lenet-digits").with_settings(units=units), budget)
    task.__class__, task.trained = Watched, []
    stairs = Staircase(task)
    curves = opening(task, stairs, ("magnitude",))
    found = Retraining(task, stairs, rate)
    for _ in range(rounds):
        found.round(lambda kept: curves[0])
    return task, found


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_a_descent_shrinks_and_hands_its_weights_on_and_the_next_begins_at_its_top_for_longer(units: str) -> None:
    task, found = retrained(11, units=units)
    table = task.records["retraining"]
    first = table[table["descent"] == 1]
    assert 1 < len(first) < 11
    masks = Masks.join([mask for mask, _, _ in task.trained])
    rows = range(len(first))
    assert all(masks[[row]].within(masks[[row - 1]])[0] for row in rows[1:])
    assert np.all(np.diff(first["kept"]) < 0)
    assert first["kept"].to_list() == pytest.approx((masks.counts() / task.layout.total)[: len(first)].tolist())
    assert np.all(masks.layer_counts() >= least(task.layout))
    before = [weights for _, weights, _ in task.trained]
    assert before[0] == DENSE
    assert before[1 : len(first)] == [curve.weights for curve in found.curves[: len(first) - 1]]
    again = len(first)
    assert masks[[again]].digests() == masks[[0]].digests()
    assert before[again] == found.curves[0].weights
    images = table["images"]
    assert images[again] > 1.8 * images[0]


def test_a_descent_ends_above_the_least_share_and_each_round_keeps_so_much_of_the_one_before() -> None:
    task, _ = retrained(8)
    kept = task.records["retraining"].groupby("descent")["kept"].apply(np.array)
    assert kept[1][1:] == pytest.approx(KEPT * kept[1][:-1], rel=0.02)
    assert kept[1][-1] >= FINAL > KEPT * kept[1][-1]


def test_a_round_costs_what_a_piece_may_and_its_cuts_are_of_its_own_weights() -> None:
    task, found = retrained(0)
    spent = task.budget.spent
    found.round(lambda kept: opening_of(task))
    own = [one for one in task.archive.evaluations if one.weights == found.curves[0].weights]
    assert len(own) == 3
    assert PIECE - 1 < task.budget.spent - spent <= PIECE
    sizes = np.array([one.values[1] for one in own]) - (task.network.total_params - task.layout.total)
    assert sizes.max() == found.curves[0].most
    assert sizes.min() > KEPT * found.curves[0].most


def opening_of(task: Task) -> Curve:
    """The magnitudes' curve."""
    return Curve(task.scores("magnitude"), task.layout, Staircase(task))


def test_retraining_helps_where_the_front_has_fallen() -> None:
    task, _ = retrained(1)
    mask, _, _ = task.trained[0]
    before, after = task.evaluate(mask)[0, 0], task.records["retraining"]["error"][0] * task.references[0]
    assert after < 0.8 * before


def test_what_the_budget_does_not_pay_for_is_not_asked() -> None:
    task, found = retrained(0, budget=8)
    spent = task.budget.spent
    found.round(lambda kept: opening_of(task))
    assert task.budget.spent == spent
    assert not found.curves
