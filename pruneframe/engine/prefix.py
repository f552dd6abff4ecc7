"""Candidates that begin alike share what their first layers compute: the order of work that does each thing once.

A candidate's key is one number per step: two candidates with equal numbers up to a step compute the same up to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .plan import WIDE, Plan

Key = tuple[int, ...]
FAMILY = 100  # candidates at most that are computed together
WORTH = 0.05  # share of the network that two candidates must have in common to be computed together
# The columns of an order; mirrors Order in kernel.cpp.
ORDER = ("step", "starts", "biases", "runs", "candidate", "level", "in_level", "add_level", "packed")


@dataclass(frozen=True)
class Shared:
    """How many of a plan's first steps can be shared, and the share of the network's work up to each of them.

    A concatenation, which several steps write, is shared as a whole or not at all: `bounds` are where candidates may
    part.
    """

    steps: int
    work: NDArray[np.float64]  # [steps + 1]
    bounds: tuple[int, ...]  # from 0 to `steps`

    def stretch(self, step: int) -> slice:
        """The steps from one on that are shared together."""
        return slice(step, next(bound for bound in self.bounds if bound > step))


def work_of(plan: Plan) -> NDArray[np.int64]:
    """Multiply-adds of each step."""
    weights = [0 if w is None else w.outputs * len(w.offsets) for w in plan.weights]
    return np.array(weights) * plan.column("rows") * plan.column("columns")


def shared_steps(plan: Plan) -> Shared:
    """Up to the first one that writes what linear layers read, which every candidate keeps for itself."""
    wide = plan.column("out_space") == WIDE
    work = work_of(plan)
    steps = int(np.flatnonzero(wide)[0])
    first: dict[int, int] = {}
    inside: set[int] = set()  # steps before which a buffer has been written to, and will be again
    for step, buffer in enumerate(plan.writes):
        if buffer is not None:
            inside.update(range(first.setdefault(buffer, step) + 1, step + 1))
    bounds = tuple(step for step in range(steps + 1) if step not in inside)
    steps = bounds[-1]
    return Shared(steps, np.concatenate([[0.0], np.cumsum(work)[:steps]]) / work.sum(), bounds)


def families(keys: Sequence[Key], shared: Shared) -> list[list[int]]:
    """Candidates in groups that begin alike, by their places in `keys`."""
    found: list[list[int]] = []
    for place in sorted(range(len(keys)), key=keys.__getitem__):
        last = found[-1] if found else []
        if last and len(last) < FAMILY and shared.work[_common(keys[last[-1]], keys[place], shared)] >= WORTH:
            last.append(place)
        else:
            found.append([place])
    return found


def _common(one: Key, other: Key, shared: Shared) -> int:
    """The number of first steps in which two candidates agree."""
    alike = next((i for i in range(shared.steps) if one[i] != other[i]), shared.steps)
    return max(bound for bound in shared.bounds if bound <= alike)


@dataclass
class Work:
    """What the kernel shall do for a family, as orders for each group of images and for the tail.

    Candidates that part from the others write to a level of their own, an arena each, and read what they share where it
    is; so what the others still need stays as it is.
    """

    plan: Plan
    shared: Shared
    keys: Sequence[Key]
    orders: list[dict[str, int]] = field(default_factory=list)
    levels: int = 1

    def __post_init__(self) -> None:
        self._visit(list(range(len(self.keys))), 0, 0, {})

    @property
    def tail(self) -> list[dict[str, int]]:
        """The steps after the last feature map, candidate by candidate."""
        steps = np.flatnonzero(self.plan.column("tail")).tolist()
        return [{"step": step, "candidate": c} for c in range(len(self.keys)) for step in steps]

    def _visit(self, members: list[int], step: int, level: int, at: dict[int, int]) -> None:
        """From a step on that all members reach with the same activations; `at` is the level of each buffer so far."""
        self.levels = max(self.levels, level + 1)
        while step < self.shared.steps and len({self.keys[m][self.shared.stretch(step)] for m in members}) == 1:
            stretch = self.shared.stretch(step)
            for own in range(stretch.start, stretch.stop):
                self._order(own, members[0], level, at)
            step = stretch.stop
        if step == self.shared.steps:
            branches = [[member] for member in members]
        else:
            alike: dict[Key, list[int]] = {}
            for member in members:
                alike.setdefault(self.keys[member][self.shared.stretch(step)], []).append(member)
            branches = sorted(alike.values(), key=len)
        go_on = self._finish if step == self.shared.steps else self._visit
        for branch in branches[:-1]:
            go_on(branch, step, level + 1, dict(at))
        go_on(branches[-1], step, level, at)  # the largest last, when nothing is kept for others any more

    def _finish(self, members: list[int], step: int, level: int, at: dict[int, int]) -> None:
        """What one candidate does for itself, before the tail."""
        self.levels = max(self.levels, level + 1)
        for own in range(step, len(self.plan.steps)):
            if not self.plan.column("tail")[own]:
                self._order(own, members[0], level, at)

    def _order(self, step: int, candidate: int, level: int, at: dict[int, int]) -> None:
        levels = [level if buffer is None else at[buffer] for buffer in self.plan.reads[step]]
        written = self.plan.writes[step]
        if written is not None:
            at[written] = level
        row = {"step": step, "candidate": candidate, "level": level}
        self.orders.append(row | dict(zip(("in_level", "add_level"), levels, strict=True)))
