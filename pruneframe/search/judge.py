"""The judge: asks objectives about candidates, and lends each of them a network of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..model.network import Network
from ..objective import Candidate, Objective
from .loans import Loan


class Judge:
    """Values of candidates of one network; what an objective does to its network harms no other."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._loans: dict[str, Loan] = {}

    def values(self, objective: Objective, candidates: Sequence[Candidate]) -> list[float]:
        """An objective's values for some candidates; raises InputError where one is no number, or infinite."""
        network = self._lent(objective)
        found = objective.measure_all([candidate.seen_by(objective, network) for candidate in candidates])
        if not np.all(np.isfinite(found)):
            raise InputError(f"objective {objective!r} must give finite numbers, but gave {found}")
        return found

    def reference(self, objective: Objective, dense: Candidate) -> float:
        """What counts as 1 in an objective."""
        return float(objective.reference(dense.seen_by(objective, self._lent(objective))))

    def settle(self) -> None:
        """Raise Overstepped where an objective has changed its network, or has run it."""
        for who, loan in self._loans.items():
            loan.settle(who, way_out="look at candidate.logits")

    def _lent(self, objective: Objective) -> Network:
        return self._loans.setdefault(f"objective {objective!r}", Loan(self._network)).network
