"""Tuning in pieces, judged: what does not help is taken back, and the rate follows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny import registry

from pruneframe.kit.sweep import Sweep
from pruneframe.kit.tuner import PIECE, SLOWER, Tuner
from pruneframe.search.task import Task
from pruneframe.search.tuning import Tuning
from pruneframe.testing import make_task, tiny_problem


def tuner_of(task: Task, rate: float = 0.045) -> Tuner:
    return Tuner(task, Sweep(task, max(1, task.search_images // 5)), rate)


def test_it_spends_its_share_and_no_more() -> None:
    task = make_task(registry().problem("lenet-digits"), 200)
    scores = task.scores("magnitude")
    before = task.budget.spent
    with task.share(0.5):
        tuned = tuner_of(task).tuned(scores, 0.1, 0.5)
    assert task.budget.spent - before == pytest.approx(100, abs=0.1)  # less than an image a piece is left
    assert task.budget.spent - before <= 100 + 1e-9
    assert np.array_equal(np.sort(tuned), np.sort(scores))
    assert Sweep(task, 360).damage(tuned, np.array([0.1, 0.5])) < Sweep(task, 360).damage(scores, np.array([0.1, 0.5]))


def test_what_does_not_help_is_taken_back_and_slows_down(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tiny_problem(), 10 * PIECE)
    scores, asked = task.scores("magnitude"), []

    def worse(self: Sweep, scores: np.ndarray, shares: np.ndarray) -> float:
        return float(len(asked))

    def tune(scores: np.ndarray, tuning: Tuning) -> np.ndarray:
        asked.append(tuning)
        return -scores

    monkeypatch.setattr(Sweep, "damage", worse)
    monkeypatch.setattr(task, "tune", tune)
    tuned = tuner_of(task).tuned(scores, 0.2, 0.5)
    assert tuned is scores
    assert not task.records["tuning"].taken.iloc[1:].any()
    wanted = [asked[0].rate * SLOWER**piece / math.sqrt(piece + 1) for piece in range(len(asked))]
    assert [tuning.rate for tuning in asked] == pytest.approx(wanted)


def test_the_rate_falls_by_piece_and_the_next_call_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = make_task(tiny_problem(), 10 * PIECE)
    scores, asked, helps = task.scores("magnitude"), [], True

    def tune(scores: np.ndarray, tuning: Tuning) -> np.ndarray:
        asked.append(tuning)
        return scores

    monkeypatch.setattr(Sweep, "damage", lambda self, scores, shares: (-1 if helps else 1) * float(len(asked)))
    monkeypatch.setattr(task, "tune", tune)
    tuner = tuner_of(task)
    tuner.tuned(scores, 0.2, 0.5)
    pieces = len(asked)
    helps = False
    tuner.tuned(scores, 0.2, 0.5)
    tuner.tuned(scores, 0.2, 0.5)
    failures = [0] * (pieces + 1) + list(range(1, 2 * pieces))
    wanted = [asked[0].rate * SLOWER**failed / math.sqrt(n + 1) for n, failed in enumerate(failures)]
    assert [tuning.rate for tuning in asked] == pytest.approx(wanted)
    assert {tuning.last_rate for tuning in asked} == {0}


@pytest.mark.parametrize("budget", [0.0, 0.01, 1.0])
def test_too_little_budget_leaves_the_score_and_costs_nothing(budget: float) -> None:
    task = make_task(tiny_problem(), 10 + budget)
    scores = np.arange(task.layout.total, dtype=np.float32)
    with task.share(budget / task.budget.total if budget else 1e-12):
        assert tuner_of(task).tuned(scores, 0.2, 0.5) is scores
    assert task.budget.spent == 0
    assert "tuning" not in task.records
