"""Room for what is needed for a while: where each piece of memory lies that others may take over later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stay:
    """So many floats, needed from one step to another, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: Stay) -> bool:
        """Whether both are needed at once."""
        return self.first <= other.last and other.first <= self.last


def placed(stays: Sequence[Stay]) -> tuple[list[int], int]:
    """Where each begins, and the size of all together: the largest first, each at the lowest place that is free.

    "Greedy by size" of Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference (2020).
    """
    starts: dict[int, int] = {}
    for one in sorted(range(len(stays)), key=lambda at: -stays[at].size):
        taken = sorted((starts[at], starts[at] + stays[at].size) for at in starts if stays[at].meets(stays[one]))
        start = 0
        for begin, end in taken:
            if begin - start >= stays[one].size:
                break
            start = max(start, end)
        starts[one] = start
    ends = (starts[at] + stay.size for at, stay in enumerate(stays))
    return [starts[at] for at in range(len(stays))], max(ends, default=0)
