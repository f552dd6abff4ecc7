"""Curves over what was spent, targets, and expected running times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from studies import hand_made

from pruneframe.comparison.anytime import CLOCK, PROCESSOR, Curve, curves_of, running_time


def curve(spent: list[float], reached: list[float]) -> Curve:
    passes = np.array(spent)
    return Curve({"passes": passes, "seconds": passes / 10}, np.array(reached))


def test_a_curve_is_what_was_reached_by_then() -> None:
    one = curve([1.0, 2.5, 4.0], [0.2, 0.2, 0.6])
    assert one.at(np.array([0.0, 0.9, 1.0, 3.9, 4.0, 9.0]), "passes").tolist() == [0, 0, 0.2, 0.2, 0.6, 0.6]
    assert one.at(0.4, "seconds") == 0.6
    assert one.hits([0.0, 0.2, 0.3, 0.6, 0.7], "passes").tolist() == [1.0, 1.0, 4.0, 4.0, np.inf]
    assert (one.end("passes"), one.last) == (4.0, 0.6)


def test_a_run_without_answers_reaches_nothing() -> None:
    none = curve([], [])
    assert none.at(3.0, "passes") == 0
    assert none.hits([0.1], "passes").tolist() == [np.inf]
    assert (none.end("passes"), none.last) == (0.0, 0.0)


def test_seconds_are_those_of_processors_but_on_a_gpu_and_where_they_are_not_known() -> None:
    table, study = hand_made()
    [board], timed = study.boards, table.assign(processor_seconds=0.25)
    gpu = replace(board, rules={"device": "cuda:0"})
    for rows, place, end, clock in (
        (timed, board, 0.25, PROCESSOR),
        (timed, gpu, 2.5, CLOCK),
        (table, board, 2.5, CLOCK),
        (table.assign(processor_seconds=np.nan), board, 2.5, CLOCK),
    ):
        one = curves_of(rows, place, study.runs)["first", 0, 0]
        assert (one.end("seconds"), one.clock) == (end, clock)
    assert curves_of(table.iloc[:0], board, study.runs) == {}


def test_running_time_is_all_that_was_spent_over_successes() -> None:
    runs = [curve([1.0, 5.0], [0.3, 0.9]), curve([2.0, 7.0], [0.9, 0.9]), curve([3.0, 30.0], [0.1, 0.4])]
    assert running_time(runs, [0.9] * 3, "passes") == (pytest.approx((5 + 2 + 30) / 2), 2)
    assert running_time(runs, [0.9] * 3, "seconds") == (pytest.approx((0.5 + 0.2 + 3) / 2), 2)
    assert running_time(runs, [0.95] * 3, "passes") == (np.inf, 0)
    assert running_time(runs, [0.3, 0.9, 0.4], "passes") == (pytest.approx((1 + 2 + 30) / 3), 3), "each has its own"
