"""Mutations of packed bits that follow their importance: in proportion, or block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import pruneframe as pf

SPAN = 10  # units of a block for every bit of it that flips
ROUNDS, TRIES = 16, 100  # of drawing by rejection, and how many positions each tries at least


def free_positions(number: int, free: pf.Bits | None) -> np.ndarray:
    """Positions of the bits that may change, int64[bits]."""
    return np.arange(number) if free is None else np.flatnonzero(np.unpackbits(free, count=number))


def relative_to_largest(scores: pf.Scores | None, number: int) -> np.ndarray:
    """Scores from 0 to 1, float32[number]; one half everywhere where there are none, or none above 0."""
    if scores is None or not scores.max() > 0:
        return np.full(number, 0.5, dtype=np.float32)
    return np.clip(scores / scores.max(), 0, 1)


def first_of_each(values: np.ndarray) -> np.ndarray:
    """The distinct values in the order of their first occurrence."""
    return values[np.sort(np.unique(values, return_index=True)[1])]


@dataclass(frozen=True, repr=False)
class WeightedFlip(pf.Variation):
    """Flips a share of the free bits: to clear, drawn with weight 1 - importance; to set, with weight importance.

    Importance is the score as a share of the largest. The flips clear and set in the proportion in which the free bits
    are kept and removed; where too few bits can be drawn, fewer flip. A reconstruction of the mutation of Khan and
    Asilian Bidgoli, arXiv 2604.01076.
    """

    name = "weighted-flip"
    rate: float = pf.setting(0.002, "share of the free bits that flip; at least one, unless it is 0", least=0, most=1)

    def vary(
        self,
        parents: pf.Genomes,
        n: int,
        variables: pf.Variables,
        rng: np.random.Generator,
        scores: pf.Scores | None = None,
        free: pf.Bits | None = None,
    ) -> pf.Genomes:
        pf.need(variables, ("binary",), self.name, "sbx-pm")
        children = pf.families(parents, n)[:, 0].copy()
        positions = free_positions(variables.number, free)
        if self.rate == 0 or len(positions) == 0:
            return children
        importance = relative_to_largest(scores, variables.number)
        flips = max(1, round(self.rate * len(positions)))
        for child in children:
            kept = np.bitwise_count(child if free is None else child & free).sum()
            clears = rng.binomial(flips, kept / len(positions))
            to_clear = draw(child, clears, True, positions, importance, rng)
            to_set = draw(child, flips - clears, False, positions, importance, rng)
            pf.flip(child, np.concatenate([to_clear, to_set]))
        return children


def draw(
    child: pf.Bits,
    count: int,
    kept: bool,
    positions: np.ndarray,
    importance: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """At most `count` distinct positions whose bits are `kept` or not, weighted; by rejection, so that few are read."""
    found = positions[:0]
    for _ in range(ROUNDS):
        if len(found) >= count:
            break
        tried = positions[rng.integers(0, len(positions), TRIES + 4 * count)]
        tried = tried[pf.bit(child, tried) == kept]
        weights = 1 - importance[tried] if kept else importance[tried]
        found = first_of_each(np.concatenate([found, tried[rng.random(len(tried)) < weights]]))
    return found[:count]


@dataclass(frozen=True, repr=False)
class BlockShift(pf.Variation):
    """In two blocks of neighbouring units, clears the least important bits or sets the most important ones.

    Each block goes its own way, so that half of the children trade units of one part of the network for those of
    another. Along a good order of removal it moves a filter's threshold, where single flips would leave that order.
    """

    name = "block-shift"
    rate: float = pf.setting(
        0.002, "share of the free bits that flip in a block; at least one, unless it is 0", least=0, most=1
    )

    def vary(
        self,
        parents: pf.Genomes,
        n: int,
        variables: pf.Variables,
        rng: np.random.Generator,
        scores: pf.Scores | None = None,
        free: pf.Bits | None = None,
    ) -> pf.Genomes:
        pf.need(variables, ("binary",), self.name, "sbx-pm")
        children = pf.families(parents, n)[:, 0].copy()
        positions = free_positions(variables.number, free)
        if self.rate == 0 or len(positions) == 0:
            return children
        if scores is None:
            scores = np.zeros(variables.number, dtype=np.float32)
        flips = max(1, round(self.rate * len(positions)))
        for child in children:
            for kept in rng.random(2) < 0.5:
                start = rng.integers(0, max(1, len(positions) - SPAN * flips + 1))
                block = positions[start : start + SPAN * flips]
                block = block[pf.bit(child, block) == kept]
                order = np.argsort(scores[block] if kept else -scores[block], kind="stable")
                pf.flip(child, block[order[:flips]])
        return children


@pf.hookimpl
def pruneframe_variations() -> Sequence[type[pf.Variation]]:
    return [WeightedFlip, BlockShift]
