"""Rates of mutation: they fall with the budget, or follow how many children succeed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneframe.kit.sweep import best
from pruneframe.testing import make_task, tiny_problem
from pruneframe_plugins.rates import STEP, Rates, decayed


@given(st.floats(1e-4, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_rate_falls_from_the_first_to_the_last(first: float, share: float, done: float) -> None:
    last = first * share
    assert decayed(first, last, 0) == pytest.approx(first)
    assert decayed(first, last, 1) == pytest.approx(last)
    assert last - 1e-9 <= decayed(first, last, done) <= first + 1e-9


def test_a_decaying_rate_follows_the_budget() -> None:
    task = make_task(tiny_problem(), 40)
    rates = Rates(task, 0.1, 0.001, "decay")
    masks = best(task.scores("magnitude"), task.layout, range(100, 500, 10))
    for rows in (slice(0), slice(20), slice(20, 40)):
        task.evaluate(masks[rows])
        assert rates.next() == pytest.approx(decayed(0.1, 0.001, task.budget.spent / 40))


def test_a_rate_by_success_rises_and_falls_with_what_enters_the_front() -> None:
    task = make_task(tiny_problem(), 40)
    rates = Rates(task, 0.1, 0.08, "success")
    full, empty = task.layout.full(), task.layout.full() - task.layout.full()
    scores = task.scores("magnitude")
    good, bad = best(scores, task.layout, [500]), best(-scores, task.layout, [500, 501])  # the most important units go
    assert rates.next() == 0.1  # nothing is known yet
    task.evaluate(full)
    assert rates.next() == 0.1  # it is never more than at first
    task.evaluate(full)  # which is nothing new
    assert rates.next() == 0.1
    task.evaluate(good)
    task.evaluate(bad[:1])  # no better than what is there
    assert rates.next() == 0.1  # one of two is
    task.evaluate(bad[1:])
    assert rates.next() == pytest.approx(0.1 / STEP)
    task.evaluate(best(-scores, task.layout, [502]))
    assert rates.next() == 0.08  # nor less than at last
    task.evaluate(empty)
    assert rates.next() == pytest.approx(0.08 * STEP)
