"""What a search has spent: compute in passes, and seconds.

One pass is one dense forward pass over the search set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

ROUNDING = 1e-9  # sums of charges such as 0.1 are compared with this tolerance, so that ten of them fit into 1


class BudgetSpent(BaseException):
    """The budget, or the share of it that the current phase has, is spent.

    A BaseException so that it passes through the optimisation libraries, which catch Exception. `passes` is the price
    of what did not fit.
    """

    def __init__(self, passes: float = 0.0) -> None:
        super().__init__(passes)
        self.passes = passes


class OnlyRepeats(BudgetSpent):
    """A method has asked nothing new for so long that its search ends, whatever is left to spend; no phase holds it."""


class Ledger:
    """The account of one run; `total` passes may be spent in all."""

    def __init__(self, total: float) -> None:
        self.total = total
        self.spent = 0.0
        self.seconds = 0.0
        self._limits = [total]
        self._rounding = ROUNDING * max(1.0, total)

    @property
    def left(self) -> float:
        """Passes that may still be spent, within the current phase's share."""
        return max(0.0, min(self._limits) - self.spent)

    def affords(self, passes: float) -> bool:
        """Whether `passes` still fit."""
        return passes <= self.left + self._rounding

    def affordable(self, price: float, wanted: int) -> int:
        """How many of `wanted` answers at `price` passes still fit."""
        if price <= 0:
            return wanted
        return min(wanted, math.floor((self.left + self._rounding) / price))

    def charge(self, passes: float, seconds: float = 0.0) -> None:
        """Book an answer; raises BudgetSpent, and books nothing, when it does not fit."""
        if not self.affords(passes):
            raise BudgetSpent(passes)
        self.spent += passes
        self.seconds += seconds

    @contextmanager
    def share(self, share: float) -> Iterator[None]:
        """Limit what the block spends to `share` of the total, on top of what is spent when it begins.

        The block ends quietly when its part is spent; when what did not fit would not fit after the block either,
        BudgetSpent goes on.
        """
        if not 0 < share <= 1:
            raise ValueError(f"0 < share <= 1 must hold, but got {share}")
        self._limits.append(self.spent + share * self.total)
        refused = None
        try:
            yield
        except BudgetSpent as error:
            refused = error
        finally:
            self._limits.pop()
        if isinstance(refused, OnlyRepeats):
            raise refused
        if refused is not None and (self.left <= ROUNDING or not self.affords(refused.passes)):
            raise refused


class Budget:
    """A method's read-only view of its ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def total(self) -> float:
        """Passes of the whole search."""
        return self._ledger.total

    @property
    def spent(self) -> float:
        """Passes charged so far."""
        return self._ledger.spent

    @property
    def left(self) -> float:
        """Passes that the current phase may still spend."""
        return self._ledger.left
