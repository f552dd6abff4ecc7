"""The corridor between two masks: what both keep stays, what neither keeps is gone, the bits between are free.

Khan and Asilian Bidgoli, "A Hierarchical Importance-Guided Multi-objective Evolutionary Framework for Deep Neural
Network Pruning", arXiv 2604.01076, search inside such a corridor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..mask import Bits, Masks

LEVELS = 1 << 12  # importances are told apart to one part in so many when sampling
HALVINGS = 40  # of the interval that holds the threshold; more than the levels need


@dataclass(frozen=True)
class Corridor:
    """All masks that keep what `lower` keeps and nothing but what `upper` keeps; one mask each."""

    lower: Masks
    upper: Masks

    def __post_init__(self) -> None:
        if len(self.lower) != 1 or len(self.upper) != 1 or not self.lower.within(self.upper)[0]:
            raise ValueError("a corridor needs one lower mask inside one upper mask")

    @classmethod
    def between(cls, first: Masks, second: Masks) -> Corridor:
        """The narrowest corridor that holds two masks."""
        return cls(first & second, first | second)

    @classmethod
    def below(cls, upper: Masks) -> Corridor:
        """Everything inside one mask, the empty mask included."""
        return cls(upper - upper, upper)

    @property
    def free(self) -> Bits:
        """The bits that may change, packed uint8[bytes]."""
        return (self.upper - self.lower).bits[0]

    @cached_property
    def width(self) -> int:
        """How many bits may change."""
        return int(np.bitwise_count(self.free).sum())

    def holds(self, masks: Masks) -> NDArray[np.bool_]:
        """Which masks lie inside, bool[n]."""
        return masks.within(self.upper) & ~np.any(self.lower.bits & ~masks.bits, axis=1)

    def repair(self, masks: Masks) -> Masks:
        """The nearest masks inside."""
        return (masks | self.lower) & self.upper

    def sample(
        self,
        kept: NDArray[np.int64],
        importance: NDArray[np.float32],
        temperature: float,
        rng: np.random.Generator,
    ) -> Masks:
        """One mask per entry of `kept` int64[n], which says how many free bits it keeps in expectation.

        Bit i is kept with chance sigmoid((importance[i] - threshold) / temperature); importance float32[units], from
        0 to 1.
        """
        layout = self.lower.layout
        positions = np.flatnonzero(np.unpackbits(self.free, count=layout.total))
        levels = np.rint(importance[positions] * (LEVELS - 1)).astype(np.intp)
        counts = np.bincount(levels, minlength=LEVELS)
        rows = np.repeat(self.lower.bits, len(kept), axis=0)
        for row, wanted in zip(rows, kept, strict=True):
            chances = keep_chances(counts, int(wanted), temperature)
            keep = np.zeros(layout.total, dtype=bool)
            keep[positions] = rng.random(len(positions), dtype=np.float32) < chances[levels]
            row |= np.packbits(keep)
        return Masks(rows, layout)


def keep_chances(counts: NDArray[np.int64], wanted: int, temperature: float) -> NDArray[np.float32]:
    """Chance to be kept at each of len(counts) levels from 0 to 1, so that `wanted` of sum(counts) are, expected.

    sigmoid((level - threshold) / temperature), the threshold found by bisection.
    """
    levels = np.linspace(0.0, 1.0, len(counts))
    lowest, highest = -40 * temperature, 1 + 40 * temperature  # where float32 keeps all, and nothing
    for _ in range(HALVINGS):
        threshold = (lowest + highest) / 2
        chances = 1 / (1 + np.exp((threshold - levels) / temperature))
        if counts @ chances > wanted:
            lowest = threshold
        else:
            highest = threshold
    return chances.astype(np.float32)
