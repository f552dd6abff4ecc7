"""The subspace of some masks: what all of them share, and hidden bits that stand for those in which they differ.

Tian, Lu, Zhang, Tan and Jin, "Solving Large-Scale Multiobjective Optimization Problems With Sparse Optimal Solutions
via Unsupervised Neural Networks", IEEE Trans. Cybern. 51(6), 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import pruneframe as pf

from .boltzmann import Boltzmann, Rows

RATE, MOMENTUM = 0.1, 0.5  # of learning, as in public code


@dataclass(frozen=True)
class Subspace:
    """What some masks have in common, `shared` packed, and a machine for the bits in which they differ."""

    shared: pf.Bits
    varied: np.ndarray  # positions, int64[bits]
    machine: Boltzmann
    rng: np.random.Generator

    @classmethod
    def of(cls, masks: pf.Masks, epochs: int, rng: np.random.Generator) -> Subspace | None:
        """What is learned from some masks; None where they do not differ."""
        kept = unpacked(masks)
        shares = kept.mean(axis=0)
        varied = np.flatnonzero((shares > 0) & (shares < 1))
        if not len(varied):
            return None
        hidden = int(np.clip(np.sum(shares[varied] > rng.random(len(varied))), 1, len(masks)))
        machine = Boltzmann(len(varied), hidden, rng)
        machine.learn(kept[:, varied], epochs, RATE, MOMENTUM)
        return cls(np.packbits(shares == 1), varied, machine, rng)

    def crossed(self, first: pf.Masks, second: pf.Masks) -> pf.Masks:
        """Children by uniform crossover of hidden bits; what the masks had in common they have as well."""
        one, other = (self.machine.reduce(unpacked(masks)[:, self.varied]) for masks in (first, second))
        hidden = np.where(self.rng.random(one.shape) < 0.5, one, other)
        kept = np.repeat(np.unpackbits(self.shared, count=first.layout.total)[None].astype(bool), len(first), axis=0)
        kept[:, self.varied] = self.machine.recover(hidden)
        return pf.Masks.pack(kept, first.layout)


def unpacked(masks: pf.Masks) -> Rows:
    """Some masks of few units, bool[n, units]."""
    return np.unpackbits(masks.bits, axis=1, count=masks.layout.total).astype(bool)
