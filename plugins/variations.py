"""Variation operators on packed bits and on numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import pruneframe as pf


def two_parents(parents: pf.Genomes, n: int) -> tuple[pf.Genomes, pf.Genomes]:
    """First and second parent of every child, [n, width] each; the first twice where a family has only one."""
    family = pf.families(parents, n)
    return family[:, 0], family[:, min(1, family.shape[1] - 1)]


def mixed(first: pf.Genomes, second: pf.Genomes, take_first: np.ndarray, free: pf.Bits | None) -> pf.Genomes:
    """Bits of the first parent where `take_first` (packed) is set, and wherever bits are not free."""
    if free is not None:
        take_first = take_first | ~free
    children = first ^ second  # in place from here: populations of millions of bits are large
    children &= take_first
    children ^= second
    return children


def leading_bits(counts: np.ndarray, width: int) -> pf.Bits:
    """Packed rows uint8[n, width] whose first counts[i] bits are set."""
    bits = np.zeros((len(counts), width), dtype=np.uint8)
    for row, count in zip(bits, counts, strict=True):
        row[: count // 8] = 0xFF
        if count % 8:
            row[count // 8] = 0xFF << (8 - count % 8) & 0xFF
    return bits


@dataclass(frozen=True, repr=False)
class Uniform(pf.Variation):
    """Every variable from either parent with equal chance (Syswerda, ICGA 1989)."""

    name = "uniform"

    def vary(
        self,
        parents: pf.Genomes,
        n: int,
        variables: pf.Variables,
        rng: np.random.Generator,
        scores: pf.Scores | None = None,
        free: pf.Bits | None = None,
    ) -> pf.Genomes:
        first, second = two_parents(parents, n)
        if variables.kind == "binary":
            return mixed(first, second, rng.integers(0, 256, first.shape, dtype=np.uint8), free)
        return np.where(rng.random(first.shape) < 0.5, first, second)


@dataclass(frozen=True, repr=False)
class LayerCrossover(pf.Variation):
    """One-point crossover in layer order: the layers before a random point from one parent, the rest from the other."""

    name = "layer-crossover"

    def vary(
        self,
        parents: pf.Genomes,
        n: int,
        variables: pf.Variables,
        rng: np.random.Generator,
        scores: pf.Scores | None = None,
        free: pf.Bits | None = None,
    ) -> pf.Genomes:
        first, second = two_parents(parents, n)
        starts = np.concatenate([[0], np.cumsum(variables.groups)])
        points = starts[rng.integers(0, len(starts), n)]
        if variables.kind == "binary":
            return mixed(first, second, leading_bits(points, variables.width), free)
        return np.where(np.arange(variables.number)[None, :] < points[:, None], first, second)


@dataclass(frozen=True, repr=False)
class BitFlip(pf.Variation):
    """Flips each free bit with a small chance; at least one bit in expectation."""

    name = "bit-flip"
    rate: float = pf.setting(
        0.001, "chance of each free bit to flip; at least one bit per genome in expectation", least=0, most=1
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
        eligible = None if free is None else np.flatnonzero(np.unpackbits(free, count=variables.number))
        number = variables.number if eligible is None else len(eligible)
        for child in children if number else ():
            count = rng.binomial(number, max(self.rate, 1 / number))
            positions = rng.choice(number, count, replace=False, shuffle=False)
            pf.flip(child, positions if eligible is None else eligible[positions])
        return children


@dataclass(frozen=True, repr=False)
class ImportanceGuided(pf.Variation):
    """Clears unimportant bits and sets important ones, each the winner of a tournament of two on the scores.

    Tian, Zhang, Wang and Jin, "An Evolutionary Algorithm for Large-Scale Sparse Multiobjective Optimization Problems",
    IEEE Trans. Evol. Comput. 24(2), 2020, flip one bit a child; here a share of all bits flips, half of it each way.
    """

    name = "importance-guided"
    rate: float = pf.setting(0.002, "share of the bits drawn for a tournament; at least two", least=0, most=1)

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
        if scores is None:
            scores = np.zeros(variables.number, dtype=np.float32)
        children = pf.families(parents, n)[:, 0].copy()
        for child in children:
            clears = rng.random() < 0.5
            pf.flip(child, self._winners(child, scores, clears, variables.number, rng, free))
        return children

    def _winners(
        self,
        child: pf.Bits,
        scores: pf.Scores,
        clears: bool,
        number: int,
        rng: np.random.Generator,
        free: pf.Bits | None,
    ) -> np.ndarray:
        """Distinct positions to flip: kept bits of low score when clearing, removed bits of high score when setting."""
        drawn = rng.integers(0, number, 2 * max(1, round(self.rate * number)))
        eligible = drawn[pf.bit(child, drawn) == clears]
        if free is not None:
            eligible = eligible[pf.bit(free, eligible)]
        pairs = eligible[: len(eligible) // 2 * 2].reshape(-1, 2)
        better = scores[pairs[:, 0]] > scores[pairs[:, 1]]
        return np.unique(np.where(better ^ clears, pairs[:, 0], pairs[:, 1]))


@dataclass(frozen=True, repr=False)
class SbxPm(pf.Variation):
    """Simulated binary crossover, then polynomial mutation, of real or integer variables, within their bounds.

    Deb and Agrawal, Complex Systems 9(2), 1995; Deb and Goyal, Computer Science and Informatics 26(4), 1996.
    """

    name = "sbx-pm"
    crossover: float = pf.setting(0.9, "chance of a pair to be crossed", least=0, most=1)
    spread: float = pf.setting(15.0, "distribution index of the crossover; larger stays nearer to the parents", least=0)
    mutation: float | None = pf.setting(
        None, "chance of a variable to be mutated; none: one over their number", least=0, most=1
    )
    reach: float = pf.setting(20.0, "distribution index of the mutation; larger moves less", least=0)

    def vary(
        self,
        parents: pf.Genomes,
        n: int,
        variables: pf.Variables,
        rng: np.random.Generator,
        scores: pf.Scores | None = None,
        free: pf.Bits | None = None,
    ) -> pf.Genomes:
        pf.need(variables, ("real", "integer"), self.name, "uniform+bit-flip")
        first, second = (p if p.dtype == np.float32 else p.astype(np.float64) for p in two_parents(parents, n))
        children = first.copy()
        for child, other in zip(children, second, strict=True):  # one at a time: a million variables are large
            self._cross(child, other, rng)
            self._mutate(child, variables, rng)
        np.clip(children, variables.lower, variables.upper, out=children, casting="same_kind")
        return np.rint(children).astype(np.int64) if variables.kind == "integer" else children

    def _cross(self, child: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> None:
        """Make of one parent one of the two children of SBX, in place; half the variables, by chance, are crossed."""
        if rng.random() >= self.crossover:
            return
        coins = np.frombuffer(rng.bytes(len(child) // 8 + 1), dtype=np.uint8)
        crossed = np.flatnonzero(np.unpackbits(coins, count=len(child)))
        u = rng.random(len(crossed), dtype=child.dtype)
        power = child.dtype.type(1 / (self.spread + 1))
        beta = np.where(u <= 0.5, 2 * u, 1 / (2 * (1 - u))) ** power
        own, others, sign = child[crossed], other[crossed], 1 if rng.random() < 0.5 else -1
        child[crossed] = 0.5 * ((own + others) + sign * beta * (own - others))

    def _mutate(self, child: np.ndarray, variables: pf.Variables, rng: np.random.Generator) -> None:
        """Polynomial mutation, in place, of the few variables that are drawn."""
        chance = 1 / variables.number if self.mutation is None else self.mutation
        drawn = rng.choice(len(child), rng.binomial(len(child), chance), replace=False, shuffle=False)
        u = rng.random(len(drawn))
        power = 1 / (self.reach + 1)
        delta = np.where(u < 0.5, (2 * u) ** power - 1, 1 - (2 * (1 - u)) ** power)
        child[drawn] += delta * (variables.upper[drawn] - variables.lower[drawn])


@pf.hookimpl
def pruneframe_variations() -> Sequence[type[pf.Variation]]:
    return [Uniform, LayerCrossover, BitFlip, ImportanceGuided, SbxPm]
