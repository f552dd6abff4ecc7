"""Beforehand: how many seeds or instances a comparison needs so that its tests can claim anything at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..spec import ranges
from .effort import counted
from .statistics import MOST, RANK_SUM, SIGNED_RANKS, needed, pairs_of

Fixed = Mapping[str, bool]  # by method, whether it gives the same under every seed


@dataclass(frozen=True)
class Need:
    """What the comparison of some methods on one problem needs: so many seeds, or instances where there are several.

    `number` is None where no number up to 30 is enough, and `comparisons` 0 where nothing is tested.
    """

    methods: int
    comparisons: int
    over: str
    number: int | None

    @classmethod
    def of(cls, fixed: Fixed, instances: int, control: str | None) -> Need:
        """Of some methods, all with all or with a control, on so many instances."""
        pairs = pairs_of(fixed, control)
        if instances > 1:
            tests = [SIGNED_RANKS] * len(pairs)
        else:
            tests = [
                SIGNED_RANKS if fixed[one] or fixed[other] else RANK_SUM
                for one, other in pairs
                if not (fixed[one] and fixed[other])
            ]
        return cls(len(fixed), len(tests), "instance" if instances > 1 else "seed", needed(tests))

    def told(self, asked: int) -> str:
        """In a line, where so many are asked for; empty where nothing is compared."""
        if not self.comparisons:
            return ""
        compared = f"{counted(self.comparisons, 'comparison')} of {counted(self.methods, 'method')}"
        verb = "needs" if self.comparisons == 1 else "need"
        if self.number is None:
            return f"{compared} {verb} more than {MOST} {self.over}s for a claim; name a --control, or fewer methods"
        if asked >= self.number:
            return f"{compared} {verb} {counted(self.number, self.over)} for a claim, and {asked} are asked for"
        way_out = f"--{self.over}s {ranges(range(self.number))}"
        return f"{counted(asked, self.over)} can claim nothing: {compared} {verb} {self.number}, as by {way_out}"
