"""Methods: a way to search for good masks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from .component import Component
from .task import Task


@dataclass(frozen=True, repr=False)
class Method(Component):
    """A search that asks a Task until its budget is spent.

    `provenance` says which parts are published and which are a reconstruction; `deterministic` methods give the same
    front for every seed, and statistics treat them so.
    """

    provenance: ClassVar[str] = ""

    @property
    def deterministic(self) -> bool:
        """Whether all seeds give the same front."""
        return False

    @abstractmethod
    def search(self, task: Task) -> None:
        """Ask `task` for evaluations; what was evaluated is the result, so nothing is returned.

        May call `task.decline(reason)` before it spends anything; may stop early. BudgetSpent ends it from inside.
        """
