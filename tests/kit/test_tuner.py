"""Tuning in pieces, judged by what its cuts err where it was tuned."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny import registry

from pruneframe.kit.phase import reached
from pruneframe.kit.sweep import Curve, Staircase, split
from pruneframe.kit.tuner import DEPTH, EDGE, JUDGES, Tuner, edge, shoulder, slope
from pruneframe.mask import Masks
from pruneframe.search.task import Task
from pruneframe.search.tuning import Tuning
from pruneframe.testing import make_task, tiny_problem


def begun(task: Task, rate: float = 0.1) -> tuple[Tuner, Staircase, Curve]:
    """A tuner where cuts of the magnitude have been evaluated."""
    stairs = Staircase(task)
    curve = Curve(task.scores("magnitude"), task.layout, stairs)
    curve.cut(np.array([task.layout.total // 2, task.layout.total]))
    for _ in range(6):
        split(stairs, [curve], 1)
    return Tuner(task, stairs, rate), stairs, curve


def test_a_piece_costs_what_it_is_given_and_its_judges() -> None:
    task = make_task(registry().problem("lenet-digits"), 200)
    tuner, stairs, curve = begun(task)
    spent, before = task.budget.spent, reached(task)
    tuned = tuner.piece(curve, 20, *slope(stairs))
    assert task.budget.spent - spent == pytest.approx(20 + JUDGES, abs=0.1)  # less than an image is left
    assert np.array_equal(np.sort(tuned.scores), np.sort(curve.scores))
    assert reached(task) > before + 0.02
    [row] = task.records["tuning"].itertuples()
    assert row.taken
    assert row.after < row.before


def test_slope_and_shoulder_meet_where_the_front_has_fallen(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tiny_problem(), 100)
    total = task.layout.total

    def evaluate(masks: Masks, weights: str) -> np.ndarray:
        shares = masks.counts() / total
        return np.stack([(1 - shares) * task.references[0], shares], axis=1)

    monkeypatch.setattr(task, "evaluate", evaluate)
    _, stairs, curve = begun(task)
    split(stairs, [curve], 50)
    least, most = slope(stairs)
    assert most == pytest.approx(0.9, abs=0.05)
    assert least == DEPTH * most
    assert shoulder(stairs)[0] == most
    assert shoulder(stairs)[1] == pytest.approx(0.99, abs=0.02)
    assert edge(stairs) == (EDGE * shoulder(stairs)[1], 1)


@pytest.mark.parametrize("better", [True, False])
def test_a_piece_is_taken_where_it_errs_less_and_rates_fall(better: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tiny_problem(), 400)
    tuner, stairs, curve = begun(task)
    asked: list[Tuning] = []

    def tune(scores: np.ndarray, tuning: Tuning) -> np.ndarray:
        asked.append(tuning)
        return scores

    def cut(self: Curve, kept: np.ndarray) -> np.ndarray:
        return curve.errors(kept) + (-1 if better else 0) * 0.1 * len(asked)

    monkeypatch.setattr(task, "tune", tune)
    monkeypatch.setattr(Curve, "cut", cut)
    found = [tuner.piece(curve, 10, *slope(stairs)) for _ in range(3)]
    assert task.records["tuning"].taken.tolist() == [better] * 3
    assert [one is not curve for one in found] == [better] * 3
    assert [tuning.rate for tuning in asked] == pytest.approx([asked[0].rate / math.sqrt(n) for n in (1, 2, 3)])
    assert {tuning.last_rate for tuning in asked} == {0}


@pytest.mark.parametrize("left", [0.0, 0.01, JUDGES])
def test_what_cannot_be_judged_is_not_begun(left: float) -> None:
    task = make_task(tiny_problem(), 100)
    tuner, stairs, curve = begun(task)
    spent = task.budget.spent
    with task.share(max(left, 1e-9) / 100):
        assert tuner.piece(curve, 10, *slope(stairs)) is curve
    assert task.budget.spent == spent
    assert "tuning" not in task.records
