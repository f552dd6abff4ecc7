"""Nested values: seeds within instances, measured on a sample of images; intervals of differences, and what varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

from .statistics import Values, means, shared

RESAMPLES = 2000  # of a bootstrap

Draws = Mapping[int, Sequence[Sequence[float]]]  # by instance and seed, a value with each of some draws of its images


def difference(
    first: Values, second: Values, images: tuple[Draws, Draws] | None = None
) -> tuple[float, tuple[float, float] | None]:
    """The first's values minus the second's, and the 95 % interval by percentile bootstrap; None for a single value.

    On one instance, of medians over seeds (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).
    On several, the mean over instances of the difference of means over seeds, by the hierarchical bootstrap (Saravanan,
    Berman and Sober, Neurons, Behavior, Data Analysis and Theory 3(5), 2020): instances are drawn, within each of them
    seeds, and within `images`, where both methods have them, one draw of the images that both are measured on. The
    resampling is always the same.
    """
    instances = shared(first, second)
    if len(instances) == 1:
        return _between_medians(first[instances[0]], second[instances[0]])
    if not instances:
        return float("nan"), None
    found = float(np.mean(means(first, instances) - means(second, instances)))
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(instances), size=(RESAMPLES, len(instances)))
    known = images if images is not None and all(map(len, images)) else ({}, {})
    sides = [_Side.of(values, draws, instances) for values, draws in zip((first, second), known, strict=True)]
    columns = rng.integers(max(1, sides[0].draws), size=drawn.shape)
    one, two = (side.drawn(drawn, columns, rng) for side in sides)
    low, high = np.quantile((one - two).mean(axis=1), [0.025, 0.975])
    return found, (float(low), float(high))


def _between_medians(first: Sequence[float], second: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    samples = [np.asarray(values, dtype=np.float64) for values in (first, second)]
    found = float(np.median(samples[0]) - np.median(samples[1]))
    if min(map(len, samples)) < 2:
        return found, None

    def statistic(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.median(a, axis=axis) - np.median(b, axis=axis)

    rng = np.random.default_rng(0)
    low, high = bootstrap(samples, statistic, method="percentile", n_resamples=RESAMPLES, rng=rng).confidence_interval
    return found, (float(low), float(high))


@dataclass(frozen=True)
class _Side:
    """One method's values, float64[instances, most seeds], how many of them there are, and what images do to each."""

    values: np.ndarray
    seeds: np.ndarray  # int64[instances]
    noise: np.ndarray  # float64[instances, most seeds, draws]: around the values' own

    @classmethod
    def of(cls, values: Values, draws: Draws, instances: Sequence[int]) -> _Side:
        seeds = np.array([len(values[instance]) for instance in instances])
        width = max((len(one) for runs in draws.values() for one in runs), default=0)
        side = cls(np.zeros((len(seeds), max(seeds))), seeds, np.zeros((len(seeds), max(seeds), width)))
        for row, instance in enumerate(instances):
            side.values[row, : seeds[row]] = values[instance]
            if width:
                found = np.asarray(draws[instance])
                side.noise[row, : seeds[row]] = found - found.mean(axis=1, keepdims=True)
        return side

    @property
    def draws(self) -> int:
        """Of the images."""
        return int(self.noise.shape[2])

    def drawn(self, instances: np.ndarray, columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Means over seeds that are drawn anew, for each drawn instance with the draw of its images, of their shape."""
        count = self.seeds[instances][..., None]
        seeds = (rng.random((*instances.shape, self.values.shape[1])) * count).astype(np.int64)
        found = self.values[instances[..., None], seeds]
        if self.draws:
            found = found + self.noise[instances[..., None], seeds, columns[..., None]]
        used = np.arange(self.values.shape[1]) < count
        return np.asarray((found * used).sum(axis=-1) / count[..., 0])


@dataclass(frozen=True)
class Spread:
    """How far a method's values lie apart, as standard deviations; None where there is nothing to tell it from.

    `instances`: networks with their splits and images; `seeds`: the search's random numbers on one of them; `images`:
    the sample of test images that one front is measured on, which is a part of what instances differ by.
    """

    instances: float | None
    seeds: float | None
    images: float | None


def spread_of(values: Values, images: Draws | None = None) -> Spread:
    """By the method of moments for nested samples of any size; a variance below 0 counts as 0.

    Searle, Casella and McCulloch, "Variance Components", 1992, section 3.6; `images` by the bootstrap's.
    """
    groups = [np.asarray(found, dtype=np.float64) for found in values.values()]
    sizes = np.array([len(group) for group in groups])
    free = int(sizes.sum()) - len(groups)
    within = float(sum(((group - group.mean()) ** 2).sum() for group in groups) / free) if free else None
    between = None
    if len(groups) > 1:
        centre = np.concatenate(groups).mean()
        square = float(sum(len(g) * (g.mean() - centre) ** 2 for g in groups)) / (len(groups) - 1)
        size = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (len(groups) - 1)
        between = max(0.0, (square - (within or 0.0)) / size)
    drawn = [np.var(found, ddof=1) for runs in (images or {}).values() for found in runs if len(found) > 1]
    known = [between, within, float(np.mean(drawn)) if drawn else None]
    return Spread(*(None if variance is None else float(np.sqrt(variance)) for variance in known))
