"""Searches by bundled methods on the tiny problem, in memory."""

from __future__ import annotations

import contextlib
from typing import Any

from tiny import lookup, registry

from pruneframe.method import Method
from pruneframe.search.ledger import BudgetSpent
from pruneframe.search.task import Task
from pruneframe.testing import make_task, tiny_problem

# Filters, and objectives of what is left of the network; the target is one on which small networks are faster.
PHYSICAL: dict[str, Any] = {
    "units": "filter",
    "objectives": ("error", "latency", "memory"),
    "target": "analytic[start=0]",
}


def searched(spec: str, budget: float = 40, seed: int = 0, **problem: Any) -> Task:
    """A task after a method has spent its budget; the rest are fields of the problem."""
    task = make_task(tiny_problem(**problem), budget, seed, registry())
    with contextlib.suppress(BudgetSpent):
        lookup(Method, spec).search(task)
    return task
