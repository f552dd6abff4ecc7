"""The outlook: how long all runs of a command will still take, from what they have taken so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import fmean

from .progress import Progress
from .run import Run

LEAST = 1.0  # seconds that a pace is measured over


class Outlook:
    """Seconds until all runs have ended, whatever number of them is carried out at once.

    What is left of a run is what others on its problem took until they had ended, fine-tuning included, less what it
    has taken; where none has ended, what its own pace says. All of that passes as quickly as what was done since the
    first answer, for which workers had to begin. What it says changes little from one moment to the next, since no
    run's own pace counts for much.
    """

    def __init__(self, tracked: Mapping[Run, Progress], clock: Callable[[], float] = time.monotonic) -> None:
        self._tracked = tracked
        self._clock = clock
        self._first: tuple[float, float] | None = None  # when something was first seen to be done, and how much
        for progress in tracked.values():
            progress.refresh()
        self._before = {run: progress.worked for run, progress in tracked.items()}  # by an earlier command
        self._whole: dict[str, dict[Run, float]] = {}  # by problem, what the runs that have ended took

    def end(self, run: Run) -> None:
        """A run has ended, in one way or another."""
        self._whole.setdefault(run.problem, {})[run] = self._tracked[run].worked

    @property
    def seconds_left(self) -> float | None:
        """None as long as nothing is done that says anything."""
        done = sum(progress.worked - self._before[run] for run, progress in self._tracked.items())
        now = self._clock()
        if done > 0 and self._first is None:
            self._first = now, done
        if self._first is None or done <= self._first[1] or now < self._first[0] + LEAST:
            return None
        expected = self._paces() | {problem: fmean(own.values()) for problem, own in self._whole.items()}
        other = fmean(expected.values()) if expected else 0.0
        left = sum(
            max(expected.get(run.problem, other) - progress.worked, 0.0)
            for run, progress in self._tracked.items()
            if run not in self._whole.get(run.problem, {})
        )
        return left / (done - self._first[1]) * (now - self._first[0])

    def _paces(self) -> dict[str, float]:
        """By problem, what a whole run takes at the pace of those that are under way."""
        found: dict[str, list[float]] = {}
        for run, progress in self._tracked.items():
            if progress.seconds_left is not None:
                found.setdefault(run.problem, []).append(progress.worked + progress.seconds_left)
        return {problem: fmean(own) for problem, own in found.items()}


def told(seconds: float) -> str:
    """Seconds, minutes or hours, as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
