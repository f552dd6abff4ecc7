"""Pruning and retraining in turn: what goes stays gone, schedules end where they should, training is charged."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from searches import searched
from tiny import registry

from pruneframe.search.ledger import BudgetSpent
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.iterative_magnitude import IterativeMagnitude, pruned, schedule_of


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_contract_holds(units: str) -> None:
    check_method(IterativeMagnitude(), units)


@given(st.sampled_from(["geometric", "cubic"]), st.floats(0.01, 0.9), st.integers(1, 20))
def test_schedules_fall_to_the_final_share(schedule: str, final: float, rounds: int) -> None:
    shares = schedule_of(schedule, final, rounds)
    assert len(shares) == rounds
    assert shares[-1] == pytest.approx(final)
    assert np.all(np.diff(np.append(1, shares)) < 0)
    steps = -np.diff(np.append(1, shares))
    assert np.all(np.diff(steps) <= 1e-12)  # ever fewer go


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_what_goes_is_the_least_of_what_is_left(units: str, scope: str) -> None:
    task = make_task(tiny_problem(units))
    layout, scores = task.layout, task.scores("magnitude")
    before = task.layout.full()
    for share in (0.7, 0.3, 1e-3):
        keep = pruned(scores, before, share, scope)
        assert keep.within(before)[0]
        assert np.all(keep.layer_counts()[0] >= [group.least for group in layout.groups])
        if share > 0.1 and scope == "global":
            assert keep.counts()[0] == round(share * layout.total)
        if share > 0.1 and scope == "layer":
            assert keep.layer_counts()[0] == pytest.approx(share * np.array(layout.sizes), abs=0.5)
        gone = before.unpack(0) & ~keep.unpack(0)
        for left, lost, own in zip(*map(layout.split, (keep.unpack(0), gone, scores)), strict=True):
            assert own[lost].max(initial=0) <= own[left].min()
        before = keep


def test_every_round_gives_a_network_with_new_weights_and_the_budget_is_used() -> None:
    task = searched("iterative-magnitude[rounds=5,final=0.1]", 100)
    found = task.archive.evaluations
    assert len(found) == 6
    assert len({one.weights for one in found}) == 6
    sizes = np.array([one.values[1] for one in found]) - (task.network.total_params - task.layout.total)
    assert np.rint(task.layout.total * 0.1 ** (np.arange(6) / 5)).tolist() == sizes.tolist()
    assert 99 < task.budget.spent <= 100 + 1e-9
    training = task.budget.spent - 6 * task.prices.evaluation
    assert training == pytest.approx(94, abs=1)
    assert "train" in task.account.seconds_by_kind


def test_rounds_that_learn_from_the_unpruned_networks_logits_pay_for_them() -> None:
    taught, plain = (searched(f"iterative-magnitude[rounds=3,final=0.1,alpha={alpha}]", 60) for alpha in (0.1, 0))
    assert 59 < taught.budget.spent <= 60 + 1e-9
    assert not {one.weights for one in taught.archive.evaluations[1:]} & {
        one.weights for one in plain.archive.evaluations
    }


def test_without_retraining_rounds_are_cuts_of_one_score() -> None:
    assert not IterativeMagnitude().deterministic
    assert IterativeMagnitude(retraining=False).deterministic
    tasks = [searched("iterative-magnitude[retraining=false]", 60, seed) for seed in (0, 1)]
    assert [one.mask for one in tasks[0].archive.evaluations] == [one.mask for one in tasks[1].archive.evaluations]
    assert {one.weights for one in tasks[0].archive.evaluations} == {"dense"}
    assert tasks[0].budget.spent == len(tasks[0].archive.evaluations)


def test_rounds_are_as_many_as_the_budget_pays_for() -> None:
    assert len(searched("iterative-magnitude", 20).archive.evaluations) == 1 + 19 // 4
    assert len(searched("iterative-magnitude", 300, units="filter").archive.evaluations) == 1 + 21


def test_a_score_that_costs_is_charged_in_every_round() -> None:
    task = searched("iterative-magnitude[scorer=taylor,rounds=3,retraining=false]", 300)
    assert task.budget.spent == pytest.approx(4 * task.prices.evaluation + task.price_of_scores("taylor"))
    task = searched("iterative-magnitude[scorer=taylor,rounds=3]", 300)
    assert 297 < task.budget.spent <= 300  # whole images in each of many epochs


def test_the_papers_preset_prunes_by_magnitude() -> None:
    spec = "iterative-magnitude[{},final=0.1,rounds=3,retraining=false]"
    given = [searched(spec.format(one), 30) for one in ("preset=paper", "scorer=magnitude", "preset=best")]
    masks = [[one.mask for one in task.archive.evaluations] for task in given]
    assert masks[0] == masks[1] != masks[2]


@pytest.mark.parametrize("rate", [20, 1e15])
def test_rounds_go_on_where_a_training_diverges(rate: float) -> None:
    task = make_task(registry().problem("lenet-digits"), 150)
    with contextlib.suppress(BudgetSpent):
        IterativeMagnitude(learning_rate=rate).search(task)
    assert len(task.archive.members) > 2
