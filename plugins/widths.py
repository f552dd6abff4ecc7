"""Widths of layers: networks by how many units each layer keeps, and what has been measured of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import pruneframe as pf

from .encodings import keep_best

Widths = NDArray[np.int64]  # units kept of each layer, [layers], or rows of them
HALVINGS = 8  # of the factor that makes a network narrow enough


def need_removable(task: pf.Task) -> None:
    """Decline where the units cannot be taken out, so that layers have no widths."""
    if not task.units.removable:
        task.decline(
            f"it searches widths of layers, but the problem's units, {task.layout.units}s, cannot be taken out; "
            "prune others, as by --units filter"
        )


def narrowest(degradation: NDArray[np.float64], choices: Widths, threshold: float) -> Widths:
    """The narrowest choice of each layer that alone degrades the network by at most so much, int64[layers].

    `degradation` float64[choices, layers] falls along `choices` int64[choices, layers], the narrowest first, to 0.
    """
    first = np.argmax(degradation <= threshold, axis=0)
    found: Widths = np.take_along_axis(choices, first[None], axis=0)[0]
    return found


def children_of(parents: Widths, n: int, choices: Widths, mutation: float, rng: np.random.Generator) -> Widths:
    """Half mutants, of whose layers one is drawn anew and others are by chance, and half crossed, layer by layer."""
    first, second = parents[rng.integers(len(parents), size=(2, n))]
    anew = np.take_along_axis(choices, rng.integers(len(choices), size=first.shape), axis=0)
    mutates = rng.random(first.shape) < mutation
    mutates[np.arange(n), rng.integers(first.shape[1], size=n)] = True
    mutants = np.where(mutates, anew, first)
    crossed = np.where(rng.random(first.shape) < 0.5, first, second)
    return np.where(np.arange(n)[:, None] % 2 == 0, mutants, crossed)


class Pool:
    """All networks that were evaluated: widths of their layers, errors, and shares of the resource that they take."""

    def __init__(self, task: pf.Task, scores: pf.Scores, resource: str) -> None:
        self._task, self._scores, self._resource = task, scores, resource
        self._column = task.objectives.index("error")
        self._widths: Widths = np.empty((0, len(task.layout.sizes)), dtype=np.int64)
        self._dense = float(task.probe(resource, task.layout.full(), count=1)[0])
        self.errors, self._taken = np.empty(0), np.empty(0)

    def add(self, widths: Widths) -> NDArray[np.float64]:
        """Evaluate rows of widths; their errors."""
        errors = self._task.evaluate(keep_best(widths, self._task.layout, self._scores))[:, self._column]
        self._widths, self.errors = np.vstack([self._widths, widths]), np.append(self.errors, errors)
        self._taken = np.append(self._taken, self.taken(widths))
        return errors

    def taken(self, widths: Widths) -> NDArray[np.float64]:
        """Shares of the unpruned network's resource that rows of widths take."""
        masks = keep_best(widths, self._task.layout, self._scores)
        return self._task.probe(self._resource, masks, count=1) / self._dense

    def best(self, limit: float, count: int) -> Widths:
        """The rows within a limit that err least, each once; the unpruned network where none is."""
        within = np.flatnonzero(self._taken <= limit)
        order = within[np.argsort(self.errors[within], kind="stable")]
        first = np.sort(np.unique(self._widths[order], axis=0, return_index=True)[1])
        return self._widths[order[first[:count]]] if len(order) else self._widths[:1]

    def narrowed(self, widths: Widths, limit: float, fewest: Widths) -> Widths:
        """Rows of widths, those that take too much narrowed in proportion, as far as they can be."""
        low, high = np.zeros(len(widths)), np.ones(len(widths))
        fits = self.taken(widths) <= limit
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            less = self.taken(np.maximum(fewest, (widths * middle[:, None]).astype(np.int64))) <= limit
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        return np.where(fits[:, None], widths, np.maximum(fewest, (widths * low[:, None]).astype(np.int64)))
