"""Turns: one for each source, then for what gains, and now and then for what waits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import pytest

from pruneframe.kit.evolution import IDLE
from pruneframe.kit.turns import WAITING, Turns
from pruneframe.mask import Masks
from pruneframe.search.ledger import BudgetSpent
from pruneframe.search.task import Task
from pruneframe.testing import make_task, tiny_problem


def sources(task: Task, gains: dict[str, float], order: list[str]) -> dict[str, Callable[[], None]]:
    """Sources that ask for one random mask a turn, and pretend to gain so much hypervolume by it."""

    def turn(name: str) -> Callable[[], None]:
        def ask() -> None:
            order.append(name)
            keep = np.random.default_rng(len(order)).random((1, task.layout.total)) < 0.5
            task.evaluate(Masks.pack(keep, task.layout))

        return ask

    return {name: turn(name) for name in gains}


def given(gains: dict[str, float], budget: float, patch: pytest.MonkeyPatch) -> tuple[Task, list[str]]:
    """Who had the turns, in order."""
    task, order = make_task(tiny_problem(), budget), list[str]()
    patch.setattr("pruneframe.kit.turns.reached", lambda task: sum(gains[name] for name in order))
    with contextlib.suppress(BudgetSpent):
        Turns(task, sources(task, gains, order))()
    return task, order


def test_each_has_a_turn_then_the_one_that_gains_most_and_each_fifth_who_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, order = given({"a": 0.0, "b": 0.1, "c": 0.01}, 12, monkeypatch)
    assert order[:3] == ["a", "b", "c"]
    assert [name for turn, name in enumerate(order[:12]) if turn >= 3 and turn % WAITING != WAITING - 1] == ["b"] * 7
    assert order[4] == "a"
    assert order[9] == "c"
    table = task.records["sources"].set_index("source")
    assert table.passes.sum() == task.budget.spent == 12
    assert table.loc["b", "gain"] == pytest.approx(0.1 * order.count("b"))


def test_what_gained_once_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    task, order = make_task(tiny_problem(), 40), list[str]()
    gained = {"a": 0.5, "b": 0.3}

    def reached(task: Task) -> float:
        return sum(gained[name] for name in set(order)) + 0.01 * order.count("b")  # a gains in its first turn alone

    monkeypatch.setattr("pruneframe.kit.turns.reached", reached)
    with contextlib.suppress(BudgetSpent):
        Turns(task, sources(task, gained, order))()
    assert order[-20:].count("b") >= 15


def test_it_ends_where_no_source_finds_anything_to_ask() -> None:
    task, order = make_task(tiny_problem(), 40), list[str]()
    Turns(task, {"a": lambda: order.append("a"), "b": lambda: order.append("b")})()
    assert len(order) == IDLE
    assert task.budget.spent == 0
