"""A tiny network that decides which units stay, by features of each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import pruneframe as pf
from pruneframe.kit import ranks

from .encodings import densities

OF_THE_SCORE = 2  # features, the last ones


def features_of(layout: pf.Layout, scores: pf.Scores) -> NDArray[np.float32]:
    """What the network is told of each unit, float32[units, features], from -1 to 1."""
    layers = np.repeat(np.arange(len(layout.sizes)), layout.sizes)
    logs = np.log1p(np.array(layout.sizes))
    columns = [
        layers / max(1, len(layout.sizes) - 1),
        (logs / logs.max())[layers],
        np.concatenate([ranks(part) for part in layout.split(scores)]),
        ranks(scores),
    ]
    return (2 * np.column_stack(columns) - 1).astype(np.float32)


class Decider:
    """The network: a hidden layer of tanh, and one output; a unit stays where that is above 0.

    A genome is its weights, float64[genes], from -1 to 1: of the hidden layer [features, hidden] and its biases, then
    of the output, whose bias comes last and may outweigh all of them.
    """

    def __init__(self, features: NDArray[np.float32], layout: pf.Layout, hidden: int) -> None:
        self._features, self._layout, self._hidden = features, layout, hidden
        genes = (features.shape[1] + 2) * hidden + 1
        bounds = np.append(np.ones(genes - 1), hidden)
        self.variables = pf.Variables("real", genes, -bounds, bounds, (genes,))

    def _outputs(self, genome: NDArray[np.float64]) -> NDArray[np.float32]:
        """Of every unit, without the last bias, float32[units]."""
        hidden = self._hidden
        into, bias, out = np.split(genome[:-1].astype(np.float32), [-2 * hidden, -hidden])
        found: NDArray[np.float32] = np.tanh(self._features @ into.reshape(-1, hidden) + bias) @ out
        return found

    def masks(self, genomes: pf.Genomes) -> pf.Masks:
        """One mask for each genome."""
        bits = [np.packbits(self._outputs(genome) > -genome[-1]) for genome in genomes]
        return pf.Masks(np.array(bits), self._layout)

    def sample(self, n: int, monotone: bool, rng: np.random.Generator) -> pf.Genomes:
        """Random weights, with biases that spread the shares kept; `monotone`: a higher score never counts against."""
        genomes = rng.uniform(-1, 1, (n, self.variables.number))
        if monotone:
            into = genomes[:, : -2 * self._hidden - 1].reshape(n, -1, self._hidden)
            into[:, -OF_THE_SCORE:] = np.abs(into[:, -OF_THE_SCORE:])
            out = genomes[:, -self._hidden - 1 : -1]
            out[:] = np.abs(out)
        for genome, share in zip(genomes, densities(n), strict=True):
            genome[-1] = self.variables.upper[-1] if share == 1 else -np.quantile(self._outputs(genome), 1 - share)
        return genomes
