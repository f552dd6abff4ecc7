"""Turns: sources of candidates compete for a budget by what each has lately gained with what it was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from ..search.task import Task
from .evolution import IDLE
from .phase import reached

MEMORY = 0.25  # of what a source gained in its turns before
WAITING = 5  # every so many turns the source that has waited longest has one


class Turns:
    """Gives turns to sources until the budget is spent, or until none of them finds anything to ask.

    After a turn each, the next goes to the source that has lately gained most hypervolume per pass; every fifth to the
    one that has waited longest, since what gained nothing once may gain later. What each did is in the table `sources`.
    Credit by what was gained is the adaptive operator selection of Fialho, Da Costa, Schoenauer and Sebag, "Analyzing
    bandit-based adaptive operator selection mechanisms", Ann. Math. Artif. Intell. 60, 2010; the rule is simpler.
    """

    def __init__(self, task: Task, sources: Mapping[str, Callable[[], None]]) -> None:
        self._task = task
        self._sources = dict(sources)
        self._rates: dict[str, float] = {}  # hypervolume per pass
        self._latest = dict.fromkeys(sources, -1)
        self._totals = {name: [0, 0.0, 0.0] for name in sources}  # turns, passes and hypervolume
        self._turn = 0

    def __call__(self) -> None:
        idle = 0
        try:
            while idle < IDLE:
                idle = 0 if self._give(self._next()) else idle + 1
        finally:
            rows = [{"source": name, "turns": t, "passes": p, "gain": g} for name, (t, p, g) in self._totals.items()]
            self._task.record("sources", pd.DataFrame(rows))

    def _next(self) -> str:
        """Whose turn it is."""
        waiting = min(self._sources, key=lambda name: self._latest[name])
        if len(self._rates) < len(self._sources) or self._turn % WAITING == WAITING - 1:
            return waiting
        return max(self._rates, key=lambda name: self._rates[name])

    def _give(self, name: str) -> bool:
        """One turn; whether it cost anything."""
        spent, before = self._task.budget.spent, reached(self._task)
        try:
            self._sources[name]()
        finally:
            passes, gain = self._task.budget.spent - spent, reached(self._task) - before
            rate = gain / passes if passes else 0.0
            self._rates[name] = MEMORY * self._rates.get(name, rate) + (1 - MEMORY) * rate
            self._latest[name], self._turn = self._turn, self._turn + 1
            self._totals[name] = [a + b for a, b in zip(self._totals[name], (1, passes, gain), strict=True)]
        return passes > 0
