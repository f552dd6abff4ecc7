"""Levels: how much each layer has lost, in steps of about equal numbers of parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import pruneframe as pf

from .encodings import keep_best, least

Counts = NDArray[np.int64]  # levels that layers have lost, [layers], or rows of them


def spread(total: int, room: Counts) -> Counts:
    """So many whole levels over layers with so much room, in proportion; the largest remainders round up."""
    if total <= 0:
        return np.zeros_like(room)
    shares = total * room / room.sum()
    levels = np.floor(shares).astype(np.int64)
    order = np.argsort(levels - shares, kind="stable")
    order = order[levels[order] < room[order]]
    levels[order[: total - levels.sum()]] += 1
    return levels


def switched(levels: Counts, highest: Counts, switches: int, rng: np.random.Generator) -> Counts:
    """A child with the same total: so many times one layer goes up a level, and another one down."""
    child = levels.copy()
    for _ in range(switches):
        down = rng.permutation(np.flatnonzero(child > 0))[:1]
        up = rng.permutation(np.setdiff1d(np.flatnonzero(child < highest), down))[:1]
        if len(up) and len(down):
            child[up] += 1
            child[down] -= 1
    return child


class Levels:
    """Networks by how many levels each layer has lost, the least important units first.

    A level is about so many parameters: of single weights exactly, else as near as whole units come. A layer that is
    smaller than a level loses nothing.
    """

    def __init__(self, task: pf.Task, scores: pf.Scores, steps: int) -> None:
        self._layout, self._scores, self._sizes = task.layout, scores, np.array(task.layout.sizes)
        lacking = task.layout.full(len(self._sizes))  # one unit of a layer each
        for row, part in zip(lacking.bits, task.layout.slices, strict=True):
            pf.flip(row, np.array([part.start]))
        prices = np.maximum(1, task.network.total_params - task.network.params(lacking))
        level = max(np.median(prices), prices @ self._sizes / steps)
        self._units = np.maximum(1, np.rint(level / prices).astype(np.int64))
        self.highest: Counts = (self._sizes - least(task.layout)) // self._units

    def masks(self, lost: Counts) -> pf.Masks:
        """One mask for each row of int64[n, layers]."""
        return keep_best(self._sizes - lost * self._units, self._layout, self._scores)
