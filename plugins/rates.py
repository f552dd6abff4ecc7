"""Rates of mutation that change from generation to generation."""

from __future__ import annotations

from typing import Literal

import pruneframe as pf

SUCCESS, STEP = 0.2, 1.22  # Rechenberg's one-fifth rule, and by how much the rate moves after a generation


class Rates:
    """A rate from `first` to `last`, generation by generation: by decay, or by the one-fifth success rule."""

    def __init__(self, task: pf.Task, first: float, last: float, schedule: Literal["decay", "success"]) -> None:
        self._task = task
        self._first, self._last = first, last
        self._decays = schedule == "decay"
        self._rate = first
        self._budget = max(task.budget.left, 1e-9)
        self._seen = len(task.archive.evaluations)

    def next(self) -> float:
        """The rate of the next generation."""
        if self._decays:
            return decayed(self._first, self._last, 1 - self._task.budget.left / self._budget)
        self._rate = min(self._first, max(self._last, self._rate * self._factor()))
        return self._rate

    def _factor(self) -> float:
        """Larger than 1 where more than a fifth of the latest generation is on the front."""
        archive = self._task.archive
        latest = {evaluation.number for evaluation in archive.evaluations[self._seen :]}
        self._seen = len(archive.evaluations)
        if not latest:
            return 1.0
        entered = sum(member.number in latest for member in archive.members)
        return STEP if entered > SUCCESS * len(latest) else 1 / STEP


def decayed(first: float, last: float, done: float) -> float:
    """Geometric from `first` to `last` as `done` goes from 0 to 1; linear where the last is 0."""
    if last == 0:  # a geometric fall never ends
        return first * (1 - done)
    return first * (last / first) ** done
