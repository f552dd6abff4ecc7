"""Encodings of weight masks in the patterns that hardware multiplies fast: N of M along inputs, and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

import pruneframe as pf

from .encodings import densities, per_layer


def single_weights(layout: pf.Layout, name: str) -> None:
    """Raise InputError where units are not single weights: a pattern says where in a layer's weights they lie."""
    if not layout.single:
        raise pf.InputError(
            f"encoding {name!r} must have single weights as units, but got units={layout.units}; use units=weight"
        )


@dataclass(frozen=True, repr=False)
class NOfM(pf.Encoding):
    """An integer per layer: how many of every M weights along its inputs stay, the best by score; or all of them.

    1 to N of M stay, or, at N + 1, the whole layer: what sparse tensor cores run at N:M, with layers that stay dense.
    The M weights are those of consecutive inputs to one output, at one place of a convolution's kernel; fewer at the
    end, where inputs are not a multiple of M, of which as many stay. Which N each layer takes is searched, as in
    DominoSearch (Sun et al., NeurIPS 2021), at one M.
    """

    name = "n-m"
    n: int = pf.setting(2, "weights of every m that stay at most, in layers that are not dense", least=1)
    m: int = pf.setting(4, "consecutive inputs that make up a pattern", least=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n >= self.m:
            raise ValueError(f"n < m must hold, but got {self.n} and {self.m}")

    def variables(self, layout: pf.Layout) -> pf.Variables:
        single_weights(layout, self.name)
        layers = len(layout.sizes)
        return per_layer(layout, "integer", np.ones(layers), np.full(layers, self.n + 1.0))

    def decode(self, genomes: pf.Genomes, layout: pf.Layout, scores: pf.Scores) -> pf.Masks:
        parts = zip(layout.groups, layout.split(scores), strict=True)
        places = [self._places(group, part) for group, part in parts]
        kept = np.where(genomes > self.n, self.m, np.maximum(genomes, 1))
        rows = [
            np.packbits(np.concatenate([own < k for own, k in zip(places, row, strict=True)])).reshape(1, -1)
            for row in kept
        ]
        return pf.Masks(np.concatenate([np.empty((0, layout.width), dtype=np.uint8), *rows]), layout)

    def sample(self, n: int, layout: pf.Layout, scores: pf.Scores, rng: np.random.Generator) -> pf.Genomes:
        """The dense network, and for the others each layer's number drawn around the density, rounded up or down."""
        self.variables(layout)
        layers = len(layout.sizes)
        wanted = 1 + self.n * densities(n)[:, None] ** rng.uniform(0.5, 1.5, (n, layers))
        drawn = np.floor(wanted + rng.random((n, layers)))
        drawn[-1] = 1  # both ends of what can be said, and the dense network even where only one is asked for
        drawn[0] = self.n + 1
        return np.clip(drawn, 1, self.n + 1).astype(np.int64)

    def _places(self, group: pf.Group, scores: np.ndarray) -> np.ndarray:
        """Each weight's place among its M, int64[weights], the best 0; ties fall to the first input."""
        matrix = group.matrix(scores)
        outputs, inputs, _ = matrix.shape
        padded = np.pad(matrix, ((0, 0), (0, -inputs % self.m), (0, 0)), constant_values=-np.inf)
        patterns = padded.reshape(outputs, -1, self.m, matrix.shape[2])
        places = np.argsort(np.argsort(-patterns, axis=2, kind="stable"), axis=2)
        return group.in_order(places.reshape(padded.shape)[:, :inputs])


@dataclass(frozen=True, repr=False)
class Blocks(pf.Encoding):
    """One bit per block of the layers' weight matrices, whose rows are outputs; a block's weights stay or go together.

    Columns are inputs, at each place of a convolution's kernel; blocks at the edges are smaller. A block scores what
    its weights score on average.
    """

    name = "blocks"
    rows: int = pf.setting(4, "outputs of a block", least=1)
    columns: int = pf.setting(1, "inputs of a block", least=1)
    noise: float = pf.setting(
        0.1, "standard deviation, in ranks from 0 to 1, that blurs the scores when sampling", least=0
    )

    def variables(self, layout: pf.Layout) -> pf.Variables:
        single_weights(layout, self.name)
        _, counts = blocks(layout, self.rows, self.columns)
        total = sum(counts)
        return pf.Variables("binary", total, np.zeros(total), np.ones(total), counts)

    def decode(self, genomes: pf.Genomes, layout: pf.Layout, scores: pf.Scores) -> pf.Masks:
        places, counts = blocks(layout, self.rows, self.columns)
        bits = np.empty((len(genomes), layout.width), dtype=np.uint8)
        for row, genome in enumerate(genomes):
            bits[row] = np.packbits(np.unpackbits(genome, count=sum(counts))[places])
        return pf.Masks(bits, layout)

    def sample(self, n: int, layout: pf.Layout, scores: pf.Scores, rng: np.random.Generator) -> pf.Genomes:
        variables = self.variables(layout)
        places, _ = blocks(layout, self.rows, self.columns)
        sizes = np.bincount(places, minlength=variables.number)
        means = np.bincount(places, weights=scores, minlength=variables.number) / sizes
        ranks = np.argsort(np.argsort(means, kind="stable")) / max(1, variables.number - 1)
        genomes = []
        for density in densities(n):
            order = np.argsort(-(ranks + self.noise * rng.standard_normal(variables.number)), kind="stable")
            kept = np.zeros(variables.number, dtype=bool)
            kept[order[: np.searchsorted(np.cumsum(sizes[order]), density * layout.total) + 1]] = True
            genomes.append(np.packbits(kept))
        return np.array(genomes, dtype=np.uint8).reshape(n, variables.width)


@lru_cache(maxsize=4)  # as every decoding asks for the same
def blocks(layout: pf.Layout, rows: int, columns: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """The block of each weight, int64[weights], over all layers, and how many blocks each layer has."""
    places, counts, before = [], [], 0
    for group in layout.groups:
        outputs, inputs, kernel = group.matrix(np.arange(group.size)).shape
        across = -(-inputs // columns) * kernel
        down = np.arange(outputs)[:, None, None] // rows * across
        along = np.arange(inputs)[None, :, None] // columns * kernel + np.arange(kernel)
        places.append(before + group.in_order(down + along))
        counts.append(-(-outputs // rows) * across)
        before += counts[-1]
    return np.concatenate(places), tuple(counts)


@pf.hookimpl
def pruneframe_encodings() -> Sequence[type[pf.Encoding]]:
    return [NOfM, Blocks]
