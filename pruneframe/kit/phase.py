"""Phases of a search: what each spent, and what it added."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

from ..front import hypervolume
from ..search.task import Task


@contextmanager
def recorded(task: Task, phase: str) -> Iterator[None]:
    """Record what a phase spent, and the hypervolume before and after it, also when the budget ends it.

    All are in the table `phases`, hypervolumes on the search split and of everything evaluated so far.
    """
    spent, before = task.budget.spent, reached(task)
    try:
        yield
    finally:
        after = reached(task)
        row = {"phase": phase, "passes": task.budget.spent - spent, "before": before, "after": after}
        earlier = task.records.get("phases", pd.DataFrame())
        task.record("phases", pd.concat([earlier, pd.DataFrame([row | {"gain": after - before}])], ignore_index=True))


def reached(task: Task) -> float:
    """The hypervolume of everything evaluated so far, on the search split."""
    values = task.archive.front_values()
    return hypervolume(values / task.references) if len(values) else 0.0
