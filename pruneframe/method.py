"""Methods: a way to search for good masks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from .component import Claim, Component
from .reproduction.experiment import Experiment
from .search.task import Task


@dataclass(frozen=True, repr=False)
class Method(Component):
    """A search that asks a Task until its budget is spent.

    `provenance` says which parts are published and which are a reconstruction, `bibtex` holds the entries of the
    papers that it rests on, `claims` what they report that the bundled table of the literature does not have,
    `experiments` what `pruneframe reproduce` tries of that. Where all seeds give the same front, apart from what a
    scorer draws, override the property `deterministic`; statistics treat such methods so.
    """

    kind = "method"
    provenance: ClassVar[str] = ""
    bibtex: ClassVar[str] = ""
    claims: ClassVar[tuple[Claim, ...]] = ()
    experiments: ClassVar[tuple[Experiment, ...]] = ()

    @property
    def deterministic(self) -> bool:
        """Whether all seeds give the same front, apart from what a scorer draws."""
        return False

    @abstractmethod
    def search(self, task: Task) -> None:
        """Ask `task` for evaluations; what was evaluated is the result, so nothing is returned.

        Before a study begins, `search` is called once with nothing left to spend, to see whether it declines: it may
        call `task.decline(reason)` before it spends anything, and raise InputError for settings that do not fit. The
        first question that costs something then ends it with BudgetSpent, as the end of the budget does later; that
        passes through the method from inside. It may also stop early by returning.
        """
