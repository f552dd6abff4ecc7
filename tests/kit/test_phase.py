"""Phases: what each spent and added is recorded, also when the budget ends it."""

from __future__ import annotations

import pytest

from pruneframe.front import hypervolume
from pruneframe.kit.phase import recorded
from pruneframe.kit.sweep import best
from pruneframe.search.ledger import BudgetSpent
from pruneframe.search.task import Task
from pruneframe.testing import make_task, tiny_problem


def reached(task: Task) -> float:
    return hypervolume(task.archive.front_values() / task.references)


def test_a_phase_records_what_it_spent_and_added() -> None:
    task = make_task(tiny_problem(), 10)
    masks = best(task.scores("magnitude"), task.layout, [900, 700])
    with recorded(task, "first"):
        task.evaluate(masks[:1])
    first = reached(task)
    task.evaluate(masks[:1])  # between two phases
    with recorded(task, "second"):
        task.evaluate(masks[1:])
    table = task.records["phases"].set_index("phase")
    assert table.passes.tolist() == [1, 1]
    assert table.before.tolist() == [0, first]
    assert table.after.tolist() == [first, reached(task)]
    assert table.gain.tolist() == pytest.approx([first, reached(task) - first])
    assert table.gain.min() > 0


def test_a_phase_that_the_budget_ends_is_recorded() -> None:
    task = make_task(tiny_problem(), 3)
    with pytest.raises(BudgetSpent), recorded(task, "too long"):
        task.evaluate(best(task.scores("magnitude"), task.layout, [900, 800, 700, 600, 500]))
    assert task.records["phases"].passes.tolist() == [3]
