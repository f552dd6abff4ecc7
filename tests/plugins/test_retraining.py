"""Pruning and retraining in turn: networks shrink from round to round, weights are handed on, descents begin again."""

from __future__ import annotations

from collections.abc import Sequence
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
from pruneframe_plugins.retraining import FALL, KEPT, LITTLE, PIECE, Network, Retraining
from pruneframe_plugins.sources import opening

ALPHA = 0.1


class Watched(Task):
    """What a task was asked to train: masks, the weights before, and recipes."""

    trained: list[tuple[Masks, str, Recipe]]

    def train(self, mask: Masks, weights: str = DENSE, recipe: Recipe | None = None, alpha: float = 0.0) -> str:
        assert recipe is not None
        assert alpha == ALPHA
        self.trained.append((mask, weights, recipe))
        return super().train(mask, weights, recipe, alpha)


def retrained(
    rounds: int,
    budget: float = 600,
    units: str = "weight",
    rate: float = 0.05,
    scorers: Sequence[str] = ("magnitude", "lamp", "reconstruction"),
) -> tuple[Watched, Retraining]:
    """So many rounds behind an opening on a small LeNet."""
    task: Any = make_task(registry().problem("lenet-digits").with_settings(units=units), budget)
    task.__class__, task.trained = Watched, []
    stairs = Staircase(task)
    curves = opening(task, stairs, ("magnitude",))
    found = Retraining(task, stairs, rate, ALPHA, scorers)
    for _ in range(rounds):
        found.round(lambda kept: curves[0])
    return task, found


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_a_descent_shrinks_and_hands_its_weights_on_and_later_ones_go_down_two_series_of_sizes_in_turn(
    units: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pruneframe_plugins.retraining.PIECE", 8)
    task, found = retrained(40, units=units, budget=3000)
    table = task.records["retraining"]
    lengths = table.groupby("descent").size()
    first, second, third, fourth, fifth, *_ = lengths.cumsum() - lengths  # where each begins
    masks = Masks.join([mask for mask, _, _ in task.trained])
    kept, images = table["kept"], table["images"]
    assert kept.to_list() == pytest.approx((masks.counts() / task.layout.total).tolist())
    assert np.all(masks.layer_counts() >= least(task.layout))
    for start, length in zip((first, second, third), lengths, strict=False):
        rows = range(start + 1, start + length)
        assert length > 1
        assert all(masks[[row]].within(masks[[row - 1]])[0] for row in rows)
        assert np.all(np.diff(kept[start : start + length]) < 0)
    before = [weights for _, weights, _ in task.trained]
    assert before[first] == before[second] == before[third] == DENSE
    assert before[1:second] == [curve.weights for curve in found.curves[: second - 1]]
    assert kept[second] >= kept[first]
    assert kept[third] > kept[second] > kept[third + 1]
    for again, top in ((fourth, second), (fifth, third)):
        assert masks[[again]].digests() == masks[[top]].digests()
        assert before[again] == found.curves[top].weights
    assert images[fourth] > 1.8 * images[third] > 3 * images[second]


def test_a_descent_ends_where_little_can_lie_below_and_each_round_keeps_so_much_of_the_one_before() -> None:
    task, _ = retrained(10, budget=900)
    first, again = (rows for _, rows in task.records["retraining"].groupby("descent"))
    kept = first["kept"].to_numpy()
    assert kept[1:] == pytest.approx(KEPT[0] * kept[:-1], rel=0.02)
    below = kept * (1 - first["after"])
    assert np.all(below[:-1] >= LITTLE)
    assert below.iloc[-1] < LITTLE
    assert again["kept"].iloc[0] > kept[0]


def test_a_round_costs_what_a_piece_may_and_its_cuts_are_of_its_own_weights() -> None:
    task, found = retrained(0)
    spent = task.budget.spent
    found.round(lambda kept: opening_of(task))
    own = [one for one in task.archive.evaluations if one.weights == found.curves[0].weights]
    assert len(own) == 3  # the network, and a cut each by magnitude and lamp; reconstruction costs something
    assert PIECE - 1 < task.budget.spent - spent <= PIECE + 1  # and a cut before it
    sizes = np.array([one.values[1] for one in own]) - (task.network.total_params - task.layout.total)
    assert sizes.max() == found.curves[0].most
    assert sizes.min() == pytest.approx(KEPT[0] * found.curves[0].most, rel=0.01)


def opening_of(task: Task) -> Curve:
    """The magnitudes' curve."""
    return Curve(task.scores("magnitude"), task.layout, Staircase(task))


def test_retraining_helps_where_the_front_has_fallen() -> None:
    task, _ = retrained(1)
    mask, _, _ = task.trained[0]
    row = task.records["retraining"].iloc[0]
    assert row["before"] * task.references[0] == pytest.approx(task.evaluate(mask)[0, 0], abs=0.3)
    assert row["after"] < 0.8 * row["before"]


def test_the_score_whose_cut_errs_least_has_the_next_round() -> None:
    task, found = retrained(1, units="filter")
    weights = found.curves[0].weights
    own = {one.values[0] for one in task.archive.evaluations if one.weights == weights}
    retrained_ = task.records["retraining"]["after"][0] * task.references[0]
    cuts = own - {retrained_}
    assert len(cuts) > 1
    found.round(lambda kept: opening_of(task))
    assert task.records["retraining"]["before"][1] * task.references[0] == pytest.approx(min(cuts))


def test_without_a_score_that_is_free_cuts_are_by_magnitude() -> None:
    _, found = retrained(1, scorers=("reconstruction",))
    assert len(found.curves) == 1


def test_a_training_in_vain_is_done_once_more_at_a_lower_rate_and_that_stays() -> None:
    task, found = retrained(2, rate=0.8)
    table = task.records["retraining"]
    assert table["rate"].to_list()[:2] == [0.8, 0.8 / FALL]
    assert table["kept"][0] == table["kept"][1]
    assert task.trained[0][1] == task.trained[1][1] == DENSE
    assert table["after"][1] < min(table["after"][0], table["before"][0])
    assert table["rate"][2] == 0.8 / FALL
    assert task.trained[2][1] in {found.curves[0].weights}


@pytest.mark.parametrize(("second", "then"), [(-0.01, 0.05 / FALL), (0.01, 0.05)])
def test_a_lower_rate_stays_only_where_it_errs_less_than_before_any_training(
    second: float, then: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, rates = [0.02, second, 0.0, 0.0], []

    def trained(self: Retraining, began: Network, recipe: Recipe) -> Network:
        rates.append(recipe.learning_rate)
        error = began.error + changes[len(rates) - 1]
        return Network(began.keep, DENSE, error, error)

    monkeypatch.setattr(Retraining, "_trained", trained)
    retrained(2, scorers=("magnitude",))
    assert rates[:3] == [0.05, 0.05 / FALL, then]


def test_a_rate_that_serves_stays() -> None:
    task, _ = retrained(4)
    assert set(task.records["retraining"]["rate"]) == {0.05}


def test_a_cut_that_only_guesses_is_made_again_of_fewer_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe_plugins.retraining.DEAD", 0.0)  # so that all do
    _, found = retrained(1, units="filter")
    first = found.curves[0]
    assert set(first._known) == {first.most, *(int(share * first.most) for share in KEPT)}


def test_what_the_budget_does_not_pay_for_is_not_asked() -> None:
    task, found = retrained(0, budget=8)
    spent = task.budget.spent
    found.round(lambda kept: opening_of(task))
    assert task.budget.spent == spent
    assert not found.curves
