"""Races: what two methods had reached at equal seconds, and what may be said of them by that.

The quicker of the two has all that it ever reaches; the slower one is given no second more than the quicker one took
until its last evaluation, the median over its seeds on that instance. Runs of it that had ended by then keep their
front. Over the hypervolume on search images, since no other is known while a search goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..report import RunSummary, best_first
from .anytime import Curve, Curves
from .statistics import Values, pairs_of
from .verdicts import Verdict, fixed_of, judged, unequal

LISTED = 6  # pairs of which a sentence tells
LIMIT = "when the quicker of two had made its last evaluation"


@dataclass(frozen=True)
class Race:
    """Two methods by the hypervolume on search images: `after` some seconds, and in the end, at equal compute.

    `after` is the median over the instances that both have run on, `clock` says what its seconds are.
    """

    after: float
    clock: str
    then: Verdict
    ended: Verdict

    @property
    def turned(self) -> bool:
        """Whether the verdict at equal seconds is another one than at equal compute."""
        return self.then.text != self.ended.text

    @property
    def text(self) -> str:
        """Both verdicts."""
        found = self.then.found
        after = "" if self.then.obstacle else f" after {self.after:.3g} {self.clock}"
        return f"{found.second} against {found.first}: {self.then.text}{after}, {self.ended.text} at equal compute"


def races(runs: Sequence[RunSummary], curves: Curves, control: str | None) -> list[Race]:
    """The same pairs as `verdicts` has, and corrected as there: those at equal seconds together, and those in the end.

    `curves` has one for each of the finished runs.
    """
    field = Field(runs, curves)
    limits = {pair: field.limits(pair) for pair in pairs_of(best_first(runs), control)}
    then = judged(runs, {pair: field.reached(pair, limit) for pair, limit in limits.items()}, elsewhere)
    ended = judged(runs, {pair: field.reached(pair) for pair in limits}, unequal)
    after = [float(np.median(list(limit.values()))) if limit else float("nan") for limit in limits.values()]
    return [Race(*race) for race in zip(after, map(field.clock, limits), then, ended, strict=True)]


class Field:
    """The curves of some runs, by method and instance; of seeds that give the same front all have their median."""

    def __init__(self, runs: Sequence[RunSummary], curves: Curves) -> None:
        self._curves: dict[str, dict[int, list[Curve]]] = {}
        for run in sorted(runs, key=lambda run: (run.instance, run.seed)):
            self._curves.setdefault(run.method, {}).setdefault(run.instance, []).append(curves[run.key])
        self._fixed = fixed_of(runs)

    def clock(self, pair: tuple[str, str]) -> str:
        """What the seconds of two methods are."""
        found = {curve.clock for method in pair for own in self._curves[method].values() for curve in own}
        return " or ".join(sorted(found))

    def limits(self, pair: tuple[str, str]) -> dict[int, float]:
        """By instance that both have run on, after how many seconds two methods are looked at."""
        first, second = (self._ends(method) for method in pair)
        return {instance: min(first[instance], second[instance]) for instance in sorted(first.keys() & second.keys())}

    def reached(self, pair: tuple[str, str], limits: Mapping[int, float] | None = None) -> tuple[Values, Values]:
        """The hypervolumes of both by then, on the instances that have a limit; without limits those in the end."""
        return self._reached(pair[0], limits), self._reached(pair[1], limits)

    def _ends(self, method: str) -> dict[int, float]:
        """Seconds until the last evaluation, the median over seeds."""
        return {
            instance: float(np.median([curve.end("seconds") for curve in own]))
            for instance, own in self._curves[method].items()
        }

    def _reached(self, method: str, limits: Mapping[int, float] | None) -> Values:
        ends = self._ends(method)
        limits = ends if limits is None else limits
        found = {
            instance: [
                curve.last if ends[instance] <= limits[instance] else float(curve.at(limits[instance], "seconds"))
                for curve in own
            ]
            for instance, own in self._curves[method].items()
            if instance in limits
        }
        if method not in self._fixed:
            return found
        return {instance: [float(np.median(values))] * len(values) for instance, values in found.items()}


def elsewhere(runs: Sequence[RunSummary]) -> str:
    """Why seconds of some runs may not be compared: other machines or versions, or a run that has some of both."""
    if any("continued" in run.environment for run in runs):
        return "a run was continued under other versions"
    names = dict.fromkeys(name for run in runs for name in run.environment)
    apart = next((name for name in names if len({str(run.environment.get(name)) for run in runs}) > 1), "")
    return unequal(runs) or (f"seconds with another {apart}" if apart else "")


def told(found: Sequence[Race]) -> str:
    """In a sentence, where verdicts at equal seconds are others than at equal compute; nothing without a pair."""
    if not found:
        return ""
    look = f"At equal seconds, by the hypervolume on search images {LIMIT},"
    turned = [race for race in found if race.turned]
    if not turned:
        return f"{look} all verdicts are those at equal compute."
    reasons = {race.then.obstacle for race in found}
    if len(reasons) == 1 and (reason := reasons.pop()):
        return f"At equal seconds nothing is tested: {reason}."
    more = f"; and {len(turned) - LISTED} more" if len(turned) > LISTED else ""
    pairs = "; ".join(race.text for race in turned[:LISTED])
    return f"{look} {len(turned)} of {len(found)} verdicts differ{'s' * (len(turned) == 1)}: {pairs}{more}."
