"""A mutation whose genes are layers: coarse removal in convolutions, fine removal in linear layers.

Yang, An, Li, Diao and Xu, "Multi-objective Pruning for CNNs Using Genetic Algorithm", ICANN 2019, arXiv 1906.00399.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import pruneframe as pf


class Mutation:
    """Removes a filter or an input channel of some convolutions, and a few units of some linear layers.

    `chance`: that a layer mutates; one always does. `step`: the largest share of a linear layer's remaining units that
    goes. `smallest`: chance that these are those that score least under the given weights.
    """

    def __init__(
        self, task: pf.Task, weights: str, *, scorer: str, chance: float, step: float, smallest: float
    ) -> None:
        self._chance, self._step, self._smallest = chance, step, smallest
        self._rng = task.rng
        self._layout = task.layout
        self._scores = task.scores(scorer, weights)
        layers = {layer.name: layer for layer in task.network.layers}
        own = [layers[group.layer] for group in task.layout.groups]
        modules = [task.network.module.get_submodule(layer.owner) for layer in own]
        self._lines = [
            None if not layer.convolutional else lines(module) if task.layout.single else (-1,)
            for layer, module in zip(own, modules, strict=True)
        ]

    def __call__(self, keep: np.ndarray) -> None:
        """Change one unpacked mask bool[units] in place."""
        mutating = self._rng.random(len(self._lines)) < self._chance
        mutating[self._rng.integers(len(mutating))] = True
        least = [group.least for group in self._layout.groups]
        kept, scores = self._layout.split(keep), self._layout.split(self._scores)
        for layer in np.flatnonzero(mutating):
            shape = self._lines[layer]
            if shape is None:
                self._thin(kept[layer], scores[layer], least[layer])
            else:
                self._remove_line(kept[layer].reshape(shape), scores[layer].reshape(shape), least[layer])

    def _thin(self, keep: np.ndarray, scores: np.ndarray, least: int) -> None:
        """Remove a few units of a linear layer, `least` of which stay."""
        kept = np.flatnonzero(keep)
        number = min(len(kept) - least, math.ceil(self._rng.random() * self._step * len(kept)))
        if number <= 0:
            return
        if self._rng.random() < self._smallest:
            keep[kept[np.argpartition(scores[kept], number - 1)[:number]]] = False
        else:
            keep[self._rng.choice(kept, number, replace=False)] = False

    def _remove_line(self, keep: np.ndarray, scores: np.ndarray, least: int) -> None:
        """Remove an output or an input channel of a convolution, drawn inversely to its L1 norm; `least` stay."""
        found = []
        for axis in range(min(2, keep.ndim)):
            others = tuple(other for other in range(keep.ndim) if other != axis)
            alive = np.flatnonzero(keep.any(axis=others))
            if len(alive) > least:
                found.append((axis, alive, np.where(keep, np.abs(scores), 0).sum(axis=others)[alive]))
        if found:
            axis, alive, norms = found[self._rng.integers(len(found))]
            chances = 1 / np.maximum(norms.astype(np.float64), 1e-12)
            np.moveaxis(keep, axis, 0)[self._rng.choice(alive, p=chances / chances.sum())] = False


def lines(convolution: Any) -> tuple[int, ...]:
    """How to see a convolution's weights, with its output channels, and its input channels if it has no groups.

    One with groups has those alone that its weights have first: the inputs, where it is transposed.
    """
    shape = tuple(convolution.weight.shape)
    return shape if convolution.groups == 1 else (shape[0], 1, -1)
