"""Methods: a way to search for good masks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from .component import Component
from .task import Task


@dataclass(frozen=True)
class Claim:
    """What a paper reports under its own protocol: shown behind measured fronts, never compared with them by a test."""

    paper: str  # as it is cited in a line: "Yang et al., 2019"
    text: str  # the claim, in a few words
    protocol: str  # what is known of how it was measured
    problems: tuple[str, ...] = ()  # the problems here that have the same network and data
    removed: float | None = None  # share of all parameters, where the claim is about that


@dataclass(frozen=True, repr=False)
class Method(Component):
    """A search that asks a Task until its budget is spent.

    `provenance` says which parts are published and which are a reconstruction, `bibtex` holds the entries of the papers
    that it rests on, `claims` what they report; `deterministic` methods give the same front for every seed, as
    long as they ask no scorer that draws, and statistics treat them so.
    """

    provenance: ClassVar[str] = ""
    bibtex: ClassVar[str] = ""
    claims: ClassVar[tuple[Claim, ...]] = ()

    @property
    def deterministic(self) -> bool:
        """Whether all seeds give the same front, apart from what a scorer draws."""
        return False

    @abstractmethod
    def search(self, task: Task) -> None:
        """Ask `task` for evaluations; what was evaluated is the result, so nothing is returned.

        May call `task.decline(reason)` before it spends anything; may stop early. BudgetSpent ends it from inside.
        """
