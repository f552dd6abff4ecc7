"""The evolution of a part's genomes, and the share of the budget that it may spend."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

import pruneframe as pf
from pruneframe.kit import SMALLEST, evolve, suitable_variation

Evaluate = Callable[[pf.Masks], np.ndarray]


class Genomes:
    """What a part's genomes are, how they vary, and their evolution; settings as those of `emo-dir`."""

    def __init__(
        self,
        task: pf.Task,
        scorer: str,
        *,
        encoding: str,
        variation: str | None,
        population: int,
        generations: int,
        least: float,
    ) -> None:
        self._task = task
        self._coder = task.encoding(encoding)
        self._variation = suitable_variation(task, variation, self._coder.variables(task.layout))
        self._scores = task.scores(scorer)  # paid for when all else is known to fit together
        self._population, self._generations, self._least = population, generations, least

    def evolve(self, part: pf.Part, evaluate: Evaluate, price: float, references: np.ndarray) -> None:
        """NSGA-II within the current share of the budget; one evaluation costs `price`."""
        task, scores = self._task, self._scores[part.units]
        variables, variation = self._coder.variables(part.layout), self._variation
        bit_scores = scores if variables.number == part.layout.total else None
        population = min(self._population, int(task.budget.left / price) // self._generations)
        start = self._coder.sample(max(SMALLEST, population), part.layout, scores, task.rng)

        def vary(parents: pf.Genomes, n: int) -> pf.Genomes:
            return variation.vary(parents, n, variables, task.rng, bit_scores)

        def measure(genomes: pf.Genomes) -> np.ndarray:
            masks = self._coder.decode(genomes, part.layout, scores)
            return evaluate(part.widened(floored(masks, scores, self._least)))

        evolve(task, "nsga2", start, vary, measure, references)


class Ration:
    """Shares of what the budget has left, beyond a reserve in passes, which is never more than half of it."""

    def __init__(self, task: pf.Task, reserve: float) -> None:
        self._task = task
        self._reserve = reserve

    def __call__(self, own: float, later: float) -> AbstractContextManager[None]:
        """A phase that may spend in the proportion of `own` to what comes `later`."""
        left = self._task.budget.left
        passes = max(left - self._reserve, left / 2) * own / (own + later)
        return self._task.share(max(1e-9, passes / self._task.budget.total))


def floored(masks: pf.Masks, scores: pf.Scores, least: float) -> pf.Masks:
    """The masks with at least a share of every layer's units, the best by score put back where there are fewer.

    The share is rounded up, or down where a layer can go entirely.
    """
    layout, found = masks.layout, masks.bits.copy()
    for row, bits in enumerate(found):
        own = masks.unpack(row)
        for group, kept, score in zip(layout.groups, layout.split(own), layout.split(scores), strict=True):
            share = least * group.size
            lacking = (math.ceil(share) if group.least else math.floor(share)) - np.count_nonzero(kept)
            if lacking > 0:
                removed = np.flatnonzero(~kept)
                kept[removed[np.argsort(-score[removed], kind="stable")[:lacking]]] = True
        bits[:] = np.packbits(own)
    return pf.Masks(found, layout)
