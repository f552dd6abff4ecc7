"""Rates of mutation: they fall with the budget, or follow how many children succeed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    for evaluations in (0, 20, 20):
        task.evaluate(task.layout.full(evaluations))
        assert rates.next() == pytest.approx(decayed(0.1, 0.001, task.budget.spent / 40))


def test_a_rate_by_success_rises_and_falls_with_what_enters_the_front() -> None:
    task = make_task(tiny_problem(), 40)
    rates = Rates(task, 0.1, 0.08, "success")
    full, empty = task.layout.full(), task.layout.full() - task.layout.full()
    assert rates.next() == 0.1  # nothing is known yet
    task.evaluate(full)
    assert rates.next() == 0.1  # it is never more than at first
    task.evaluate(full)  # no better than what is there
    assert rates.next() == pytest.approx(0.1 / STEP)
    task.evaluate(full)
    assert rates.next() == 0.08  # nor less than at last
    task.evaluate(empty)
    assert rates.next() == pytest.approx(0.08 * STEP)
