"""Encodings: one bit per unit, or one number per layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

import pruneframe as pf
from pruneframe.kit import Highest, ranks

LOWEST_DENSITY = 0.05  # of the sparsest genome in a sample


def densities(n: int) -> np.ndarray:
    """N shares kept, evenly spread from 1 (the dense network) down, float64[n]."""
    return np.linspace(1.0, LOWEST_DENSITY, n)


def per_layer(layout: pf.Layout, kind: str, lower: np.ndarray, upper: np.ndarray) -> pf.Variables:
    """One variable for every layer."""
    layers = len(layout.sizes)
    return pf.Variables(kind, layers, lower, upper, (1,) * layers)  # type: ignore[arg-type]


def least(layout: pf.Layout) -> np.ndarray:
    """Units of each layer that stay at least, int64[layers]: none where it can go entirely."""
    return np.array([group.least for group in layout.groups], dtype=np.int64)


def keep_best(kept: np.ndarray, layout: pf.Layout, scores: pf.Scores) -> pf.Masks:
    """Masks that keep the `kept` int64[n, layers] highest-scored units of each layer; ties fall to the first unit."""
    highest = [Highest(part) for part in layout.split(scores)]
    masks = pf.Masks(np.zeros((len(kept), layout.width), dtype=np.uint8), layout)
    for bits, row in zip(masks.bits, kept, strict=True):
        bits[:] = np.packbits(np.concatenate([best(int(k)) for best, k in zip(highest, row, strict=True)]))
    return masks


def per_unit(layout: pf.Layout, kind: Literal["binary", "real"]) -> pf.Variables:
    """One variable from 0 to 1 for every unit; the bounds of millions take no memory."""
    lower, upper = (np.broadcast_to(np.float64(bound), layout.total) for bound in (0, 1))
    return pf.Variables(kind, layout.total, lower, upper, layout.sizes)


def blurring(ranks: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Ranks float32[units] with normal noise of this standard deviation."""
    found = rng.standard_normal(len(ranks), dtype=np.float32)
    found *= np.float32(noise)
    found += ranks
    return found


@dataclass(frozen=True, repr=False)
class Mask(pf.Encoding):
    """One bit per unit: the genome is the mask."""

    name = "mask"
    noise: float = pf.setting(
        0.1, "standard deviation, in ranks from 0 to 1, that blurs the scores when sampling", least=0
    )

    def variables(self, layout: pf.Layout) -> pf.Variables:
        return per_unit(layout, "binary")

    def decode(self, genomes: pf.Genomes, layout: pf.Layout, scores: pf.Scores) -> pf.Masks:
        return pf.Masks(genomes, layout)

    def sample(self, n: int, layout: pf.Layout, scores: pf.Scores, rng: np.random.Generator) -> pf.Genomes:
        places = ranks(scores)
        genomes = np.empty((n, layout.width), dtype=np.uint8)
        for genome, density in zip(genomes, densities(n), strict=True):
            blurred = blurring(places, self.noise, rng)
            kept = round(density * layout.total)
            threshold = np.partition(blurred, layout.total - kept)[layout.total - kept] if kept else np.inf
            genome[:] = np.packbits(blurred >= threshold)
        return genomes


@dataclass(frozen=True, repr=False)
class UnitThreshold(pf.Encoding):
    """A real number per unit; units with at least one half are kept."""

    name = "unit-threshold"
    noise: float = pf.setting(
        0.1, "standard deviation, in ranks from 0 to 1, that blurs the scores when sampling", least=0
    )

    def variables(self, layout: pf.Layout) -> pf.Variables:
        return per_unit(layout, "real")

    def decode(self, genomes: pf.Genomes, layout: pf.Layout, scores: pf.Scores) -> pf.Masks:
        return pf.Masks(np.packbits(genomes >= 0.5, axis=-1), layout)

    def sample(self, n: int, layout: pf.Layout, scores: pf.Scores, rng: np.random.Generator) -> pf.Genomes:
        """As Encoding.sample; float32, since there are many."""
        places = ranks(scores)
        genomes = np.empty((n, layout.total), dtype=np.float32)
        for genome, density in zip(genomes, densities(n), strict=True):
            genome[:] = blurring(places, self.noise, rng)
            removed = layout.total - max(1, round(density * layout.total))
            genome -= np.partition(genome, removed)[removed] - np.float32(0.5)
        return np.clip(genomes, 0, 1, out=genomes)


@dataclass(frozen=True, repr=False)
class LayerThreshold(pf.Encoding):
    """One quantile per layer: the share of the layer's units, least important first, that is removed.

    Rounded down, or to the nearest where a layer can go entirely.
    """

    name = "layer-threshold"
    highest: float = pf.setting(0.95, "largest share of a layer that may be removed", above=0, most=1)

    def variables(self, layout: pf.Layout) -> pf.Variables:
        layers = len(layout.sizes)
        return per_layer(layout, "real", np.zeros(layers), np.full(layers, self.highest))

    def decode(self, genomes: pf.Genomes, layout: pf.Layout, scores: pf.Scores) -> pf.Masks:
        sizes, rounding = np.array(layout.sizes), np.where(least(layout), 0.0, 0.5)
        return keep_best(sizes - np.floor(np.clip(genomes, 0, 1) * sizes + rounding).astype(int), layout, scores)

    def sample(self, n: int, layout: pf.Layout, scores: pf.Scores, rng: np.random.Generator) -> pf.Genomes:
        removed = np.outer(1 - densities(n), np.ones(len(layout.sizes)))
        spread = removed * rng.uniform(0.5, 1.5, removed.shape)
        return np.clip(spread, 0.0, self.highest)


@dataclass(frozen=True, repr=False)
class GlobalCut(pf.Encoding):
    """The share of all units that one threshold on all scores keeps, and per layer a factor's logarithm on its scores.

    Factors of 1 (logarithm 0) give the global threshold of a one-shot sweep, and the samples hold one. It is found
    before the factors apply, so that a layer's factor changes that layer alone.
    """

    name = "global-cut"
    reach: float = pf.setting(2.0, "largest size of a factor's natural logarithm", least=0)
    noise: float = pf.setting(
        0.1, "standard deviation of the logarithms in every second sample; 0 in the others", least=0
    )

    def variables(self, layout: pf.Layout) -> pf.Variables:
        layers = len(layout.sizes)
        lower, upper = np.full(layers + 1, -self.reach), np.full(layers + 1, self.reach)
        lower[0], upper[0] = 0, 1
        return pf.Variables("real", layers + 1, lower, upper, (2,) + (1,) * (layers - 1))

    def decode(self, genomes: pf.Genomes, layout: pf.Layout, scores: pf.Scores) -> pf.Masks:
        logs = np.log(np.maximum(scores, np.finfo(np.float32).tiny))
        removed = layout.total - np.rint(np.clip(genomes[:, 0], 0, 1) * layout.total).astype(int)
        in_order = np.sort(logs)
        thresholds = np.where(removed < len(in_order), in_order[np.minimum(removed, len(in_order) - 1)], np.inf)
        layers = layout.split(logs)
        for layer in layers:
            layer.sort()
        kept = np.empty((len(genomes), len(layers)), dtype=np.int64)
        for column, layer in enumerate(layers):
            own = thresholds - genomes[:, column + 1].astype(np.float32)
            kept[:, column] = len(layer) - np.searchsorted(layer, own)
        kept[removed == 0] = layout.sizes  # nothing goes, whatever the factors
        return keep_best(kept, layout, scores)

    def sample(self, n: int, layout: pf.Layout, scores: pf.Scores, rng: np.random.Generator) -> pf.Genomes:
        factors = np.clip(self.noise * rng.standard_normal((n, len(layout.sizes))), -self.reach, self.reach)
        factors[::2] = 0
        return np.column_stack([densities(n), factors])


@dataclass(frozen=True, repr=False)
class LayerRatio(pf.Encoding):
    """The share kept per layer, most important units first; one stays where a layer cannot go entirely."""

    name = "layer-ratio"

    def variables(self, layout: pf.Layout) -> pf.Variables:
        layers = len(layout.sizes)
        return per_layer(layout, "real", np.zeros(layers), np.ones(layers))

    def decode(self, genomes: pf.Genomes, layout: pf.Layout, scores: pf.Scores) -> pf.Masks:
        sizes = np.array(layout.sizes)
        kept = np.rint(np.clip(genomes, 0, 1) * sizes).astype(int)
        return keep_best(np.maximum(least(layout), kept), layout, scores)

    def sample(self, n: int, layout: pf.Layout, scores: pf.Scores, rng: np.random.Generator) -> pf.Genomes:
        kept = np.outer(densities(n), np.ones(len(layout.sizes)))
        return np.clip(kept ** rng.uniform(0.5, 1.5, kept.shape), 0.0, 1.0)


@dataclass(frozen=True, repr=False)
class ChannelCount(pf.Encoding):
    """An integer per layer: units kept, in steps; a layer keeps at least one step, or all of it if it has fewer.

    A layer that can go entirely keeps nothing at 0.
    """

    name = "channel-count"
    step: int = pf.setting(1, "units per step; 8 suits the vector units of most processors", least=1)

    def _steps(self, layout: pf.Layout) -> np.ndarray:
        return np.array([-(-size // self.step) for size in layout.sizes], dtype=np.float64)

    def variables(self, layout: pf.Layout) -> pf.Variables:
        return per_layer(layout, "integer", least(layout).astype(np.float64), self._steps(layout))

    def decode(self, genomes: pf.Genomes, layout: pf.Layout, scores: pf.Scores) -> pf.Masks:
        kept = np.minimum(np.maximum(genomes, least(layout)).astype(int) * self.step, np.array(layout.sizes))
        return keep_best(kept, layout, scores)

    def sample(self, n: int, layout: pf.Layout, scores: pf.Scores, rng: np.random.Generator) -> pf.Genomes:
        steps = self._steps(layout)
        kept = np.outer(densities(n), np.ones(len(steps))) ** rng.uniform(0.5, 1.5, (n, len(steps)))
        return np.clip(np.rint(kept * steps), least(layout), steps).astype(np.int64)


@pf.hookimpl
def pruneframe_encodings() -> Sequence[type[pf.Encoding]]:
    return [Mask, UnitThreshold, LayerThreshold, GlobalCut, LayerRatio, ChannelCount]
