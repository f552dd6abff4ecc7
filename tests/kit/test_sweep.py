"""Sweeps: thresholds on a score, what they cost, and which of many candidates are evaluated."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import registry

from pruneframe.kit.sweep import TRIED, UNFELT, Sweep, best, fill
from pruneframe.mask import Masks
from pruneframe.search.ledger import BudgetSpent
from pruneframe.search.task import Task
from pruneframe.testing import make_task, tiny_problem


@pytest.fixture
def task() -> Task:
    return make_task(tiny_problem(), 100)


@pytest.fixture
def digits() -> Task:
    return make_task(registry().problem("lenet-digits"), 100)


def test_the_best_are_the_highest_scores_and_of_equal_ones_the_first(task: Task) -> None:
    scores = np.zeros(task.layout.total, dtype=np.float32)
    scores[[7, 3]] = 2, 1
    kept = [np.flatnonzero(best(scores, task.layout, [count]).unpack(0)).tolist() for count in range(5)]
    assert kept == [[], [7], [3, 7], [0, 3, 7], [0, 1, 3, 7]]
    assert best(scores, task.layout, [task.layout.total]).digests() == task.layout.full().digests()
    assert len(best(scores, task.layout, [])) == 0


def test_thresholds_on_one_score_are_nested(task: Task) -> None:
    masks = best(task.scores("magnitude"), task.layout, np.arange(0, task.layout.total, 7))
    assert masks.counts().tolist() == list(range(0, task.layout.total, 7))
    assert all(masks[[row]].within(masks[[row + 1]])[0] for row in range(len(masks) - 1))


def test_a_sweep_is_charged_per_threshold(digits: Task) -> None:
    scores, sweep = digits.scores("magnitude"), Sweep(digits, 72)
    before = digits.budget.spent
    sweep.damage(scores, np.array([0.2, 0.5, 0.9]))
    assert digits.budget.spent - before == pytest.approx(3 * sweep.price)
    assert sweep.price == pytest.approx(72 / 360)
    assert not digits.archive.evaluations


def test_the_region_is_where_pruning_is_felt_and_does_not_destroy(digits: Task) -> None:
    scores, sweep = digits.scores("magnitude"), Sweep(digits, 360)
    least, most = sweep.region(scores)
    assert TRIED[0] <= least < most <= TRIED[-1]
    masks = best(scores, digits.layout, np.rint(TRIED * digits.layout.total).astype(int))
    distortions = digits.probe("distortion", masks, count=360)
    assert np.all(distortions[most < TRIED] <= UNFELT)
    assert distortions[list(TRIED).index(most)] > UNFELT


def test_damage_grows_with_what_is_removed(digits: Task) -> None:
    scores, sweep = digits.scores("magnitude"), Sweep(digits, 360)
    damages = [sweep.damage(scores, np.array([share])) for share in (0.8, 0.4, 0.2, 0.1)]
    assert damages == sorted(damages)
    assert damages[0] > 0  # not even where no image is wrong


def test_fill_takes_the_ends_and_then_what_splits_the_largest_gaps(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = best(task.scores("magnitude"), task.layout, np.linspace(task.layout.total, 0, 33).astype(int))
    rows = {digest: row for row, digest in enumerate(masks.digests())}
    asked: list[list[int]] = []

    def evaluate(chosen: Masks) -> np.ndarray:
        asked.append([rows[digest] for digest in chosen.digests()])
        errors = np.array([0.0 if rows[digest] < 24 else 0.5 for digest in chosen.digests()])
        return np.stack([errors, chosen.counts()], axis=1)

    monkeypatch.setattr(task, "evaluate", evaluate)
    fill(task, masks, 20)
    assert asked[0] == [0, 32]
    assert [chosen[0] for chosen in asked[1:5]] == [16, 24, 20, 22]  # always around the only step


def test_fill_stops_at_the_number_it_is_given_or_at_the_end(task: Task) -> None:
    masks = best(task.scores("magnitude"), task.layout, np.linspace(task.layout.total, 0, 33).astype(int))
    fill(task, masks, 10)
    assert 10 <= len(task.archive.evaluations) < 10 + 4
    fill(task, masks[:3], 10)
    assert len({evaluation.mask for evaluation in task.archive.evaluations[-3:]}) == 3
    before = task.budget.spent
    fill(task, masks[:0], 10)
    assert task.budget.spent == before
    poor = make_task(tiny_problem(), 20)
    with pytest.raises(BudgetSpent):
        fill(poor, masks, 33)
