"""Sweeps: thresholds on a score, the steps of what has been evaluated, and where the next cuts belong."""

from __future__ import annotations

import numpy as np
import pytest

from pruneframe.kit.sweep import NONE, Curve, Staircase, ablest, best, middles, split
from pruneframe.mask import Masks
from pruneframe.search.task import Task
from pruneframe.search.workbench import DENSE
from pruneframe.testing import make_task, tiny_problem


@pytest.fixture
def task() -> Task:
    return make_task(tiny_problem(), 100)


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


def stepped(task: Task, patch: pytest.MonkeyPatch, alive: int) -> Staircase:
    """A staircase on a problem where so many units are enough, and fewer guess."""

    def evaluate(masks: Masks, weights: str) -> np.ndarray:
        return np.stack([np.where(masks.counts() < alive, 1.0, 0.1) * task.references[0], masks.counts()], axis=1)

    patch.setattr(task, "evaluate", evaluate)
    return Staircase(task)


def test_the_first_gap_is_all_there_is_and_cuts_close_in_on_the_step(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = task.layout.total // 3
    stairs = stepped(task, monkeypatch, alive)
    curve = Curve(task.scores("magnitude"), task.layout, stairs)
    stairs.evaluate(task.layout.full())
    assert stairs.gaps(3).tolist() == [task.layout.total // 2]
    for _ in range(20):
        split(stairs, [curve], 1)
    counts, sizes, errors = stairs.steps()
    assert {alive, alive - 1} <= set(counts)
    assert errors.tolist() == pytest.approx([1.0 if count < alive else 0.1 for count in counts])
    assert np.all(np.diff(sizes) >= 0)
    assert len(stairs.gaps(3)) == 0  # nothing lies between


def test_steps_are_the_least_error_up_to_a_size(task: Task) -> None:
    stairs, scores = Staircase(task), task.scores("random")
    kept = np.linspace(1, task.layout.total, 9).astype(int)
    errors = stairs.evaluate(best(scores, task.layout, kept))
    assert np.array_equal(stairs.steps()[2][1:], np.minimum(1, np.minimum.accumulate(errors)))
    assert errors.max() <= 1


def test_a_curve_knows_its_cuts_and_guesses_between_them(task: Task) -> None:
    stairs = Staircase(task)
    curve = Curve(task.scores("magnitude"), task.layout, stairs)
    kept = np.array([task.layout.total // 4, task.layout.total])
    errors = curve.cut(kept)
    assert np.array_equal(curve.errors(kept), errors)
    assert curve.errors(np.array([0]))[0] == 1
    between = curve.errors(np.array([(kept.sum()) // 2]))[0]
    assert between == pytest.approx(errors[1] + np.sqrt((errors[0] - errors[1]) * NONE), rel=0.05)
    other = Curve(task.scores("random"), task.layout, stairs)
    assert other.errors(kept[1:]) == errors[1:]  # of what all scores share
    spent = task.budget.spent
    curve.errors(np.arange(100))
    assert task.budget.spent == spent


def test_a_gap_is_cut_by_the_score_that_errs_least_there(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    stairs = Staircase(task)
    good, bad = (Curve(task.scores(name), task.layout, stairs) for name in ("magnitude", "random"))
    good._known |= {task.layout.total // 4: 0.1, task.layout.total: 0.0}
    bad._known |= {task.layout.total: 0.0}
    stairs.evaluate(task.layout.full())
    split(stairs, [good, bad], 1)
    assert task.layout.total // 2 in good._known
    assert task.layout.total // 2 not in bad._known


def test_at_each_size_the_curve_that_errs_least_serves_and_of_equal_ones_the_latest(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = task.layout.total // 4, task.layout.total // 2
    stairs = stepped(task, monkeypatch, few)
    curves = [Curve(task.scores("magnitude"), task.layout, stairs) for _ in range(3)]
    monkeypatch.setattr(task, "evaluate", lambda masks, weights: np.array([[0.2, 0], [0.5, 0]]) * task.references[0])
    curves[0].cut(np.array([few, many]))
    monkeypatch.setattr(task, "evaluate", lambda masks, weights: np.array([[0.3, 0], [0.1, 0]]) * task.references[0])
    curves[1].cut(np.array([few, many]))
    curves[2].cut(np.array([few, many]))
    assert ablest(curves, np.array([few, many])).tolist() == [0, 2]


def test_middles_lie_at_equal_ratios_and_fewer_where_they_fall_together() -> None:
    assert middles(0.1, 0.8, 2, 1000).tolist() == [200, 400]
    assert middles(0.01, 0.02, 4, 100).tolist() == [1, 2]


def test_a_curve_of_trained_weights_asks_for_them_and_says_nothing_of_more_than_was_trained(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    stairs, asked = Staircase(task), list[str]()
    total = task.layout.total

    def evaluate(masks: Masks, weights: str = DENSE) -> np.ndarray:
        asked.append(weights)
        error = 0.5 if weights == DENSE else 0.2
        return np.column_stack([np.full(len(masks), error * task.references[0]), masks.counts()])

    monkeypatch.setattr(task, "evaluate", evaluate)
    plain = Curve(task.scores("magnitude"), task.layout, stairs)
    trained = Curve(task.scores("magnitude"), task.layout, stairs, "trained", total // 2)
    plain.cut(np.array([total // 4, total]))
    before = stairs.steps()
    trained.cut(np.array([total // 4, total // 2]))
    assert asked == [DENSE, "trained"]
    assert trained.errors(np.array([total // 2]))[0] == pytest.approx(0.2)
    assert trained.errors(np.array([total // 2 + 1]))[0] == np.inf
    assert ablest([plain, trained], np.array([total // 4, total])).tolist() == [1, 0]
    assert stairs.ends[total] == pytest.approx(0.5)
    assert [part.tolist() for part in stairs.steps(trained=False)] == [part.tolist() for part in before]
    assert stairs.steps()[2].min() == pytest.approx(0.2)
