"""The judge: asks objectives about candidates, and lends each of them a network of its own."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from ..errors import Faulty, faults_of
from ..model.network import Network
from ..objective import Candidate, Objective
from .loans import Loan


class Judge:
    """Values of candidates of one network; what an objective does to its network harms no other."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._loans: dict[str, Loan] = {}

    def values(self, objective: Objective, candidates: Sequence[Candidate]) -> list[float]:
        """An objective's values for some candidates; raises Faulty where one is no number, infinite, or below 0."""
        network = self._lent(objective)
        seen = [candidate.seen_by(objective, network) for candidate in candidates]
        with faults_of("objective", repr(objective)):
            found = list(objective.measure_all(seen))
        if len(found) != len(candidates) or not all(_finite(value) and value >= 0 for value in found):
            told = f"one finite number per candidate, {len(candidates)} and none below 0, but gave {_short(found)}"
            raise Faulty(f"objective {objective!r} must give {told}", "objective", repr(objective))
        return [float(value) for value in found]

    def reference(self, objective: Objective, dense: Candidate) -> float:
        """What counts as 1 in an objective."""
        seen = dense.seen_by(objective, self._lent(objective))
        with faults_of("objective", repr(objective)):
            found = objective.reference(seen)
        if not _finite(found) or found <= 0:
            told = f"must have a reference above 0, but gave {_short(found)}"
            raise Faulty(f"objective {objective!r} {told}", "objective", repr(objective))
        return float(found)

    def settle(self) -> None:
        """Raise Overstepped where an objective has changed its network, or has run it."""
        for spec, loan in self._loans.items():
            loan.settle("objective", spec, way_out="look at candidate.logits")

    def _lent(self, objective: Objective) -> Network:
        return self._loans.setdefault(repr(objective), Loan(self._network)).network


def _finite(value: object) -> bool:
    """Whether something is a finite number, of Python, NumPy or torch."""
    try:
        return not isinstance(value, str | bytes) and math.isfinite(value)  # type: ignore[arg-type] # it is tried
    except (TypeError, ValueError, OverflowError):
        return False


def _short(value: object) -> str:
    return textwrap.shorten(repr(value), 60)
