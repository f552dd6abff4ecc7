"""MOEA/PSL: children are made in a subspace of few bits, which a Boltzmann machine learns from the best masks.

Tian, Lu, Zhang, Tan and Jin, "Solving Large-Scale Multiobjective Optimization Problems With Sparse Optimal Solutions
via Unsupervised Neural Networks", IEEE Trans. Cybern. 51(6), 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.kit import BIBTEX

from .sparse import SparseEvolution, best_masks, breed, crossed, flipped, scattered
from .subspace import Subspace

LEAST = 0.1  # share of the children that either space makes


@dataclass(frozen=True, repr=False)
class MOEAPSL(SparseEvolution):
    """Uniform crossover, of bits or of the hidden bits that stand for them, whichever has lately succeeded."""

    name = "moea-psl"
    aliases = ("moea/psl",)
    provenance = (
        "Published (Tian et al., IEEE Trans. Cybern. 51(6), 2021): a restricted Boltzmann machine learns a Pareto "
        "optimal subspace from sparse solutions; children are made in it and recovered, or in the original space, by a "
        "ratio that follows success; NSGA-II's selection. Read in public code: uniform crossover in both spaces, then "
        "each bit flips with chance 1 / bits; bits that all masks share stay; hidden bits, at most one per mask, are "
        "drawn by how often variables are kept; ten epochs, rate 0.1, momentum 0.5; the ratio begins at 0.5 and moves "
        "half way to its share of the success. Ours: success is a child that nothing found before dominates, per child "
        "that was made; the ratio stays between 0.1 and 0.9; the machine learns from the front of all that was "
        "evaluated, in batches of eight; first masks spread over densities by importance (start=published: half of the "
        "units, at random). The paper's denoising autoencoder is of real variables, which masks have not."
    )
    bibtex = (
        BIBTEX
        + """
    @article{tian2021solving,
      author = {Tian, Ye and Lu, Chang and Zhang, Xingyi and Tan, Kay Chen and Jin, Yaochu},
      title = {Solving Large-Scale Multiobjective Optimization Problems With Sparse Optimal Solutions via Unsupervised
        Neural Networks},
      journal = {IEEE Transactions on Cybernetics},
      volume = {51},
      number = {6},
      pages = {3115--3128},
      year = {2021}
    }
    """
    )
    subspace: bool = pf.setting(True, "children are made in a learned subspace as well; off: of bits alone")
    epochs: int = pf.setting(10, "of learning, in every generation", least=1, tried=(2, 40))

    def _search(self, task: pf.Task) -> None:
        if not task.units.removable:
            task.decline(
                f"it learns from whole masks how units go together, for which {task.layout.total:,} single weights are "
                "too many; prune others, as by --units filter"
            )
        start = self._first(task)
        spaces = Spaces(task, len(start), self.epochs, 0.5 if self.subspace else 0.0)
        try:
            breed(task, start, spaces.vary)
        finally:
            task.record("subspace", pd.DataFrame(spaces.history))

    def _published_start(self, number: int, task: pf.Task, ranks: pf.Scores | None) -> pf.Masks:
        return scattered(task.rng.binomial(task.layout.total, 0.5, number), task.layout, task.rng)


class Spaces:
    """Both spaces that children are made in, and the ratio of those that are made in the learned one; 0: none ever."""

    def __init__(self, task: pf.Task, population: int, epochs: int, ratio: float) -> None:
        self._task, self._population, self._epochs = task, population, epochs
        self._ratio = ratio
        self._seen = 0  # evaluations that the ratio has followed
        self._made: dict[str, bool] = {}  # children, and whether they are of the learned space
        self._learned: Subspace | None = None
        self.history: list[dict[str, float]] = []

    def vary(self, first: pf.Masks, second: pf.Masks) -> pf.Masks:
        """One child of each pair."""
        if self._ratio and self._seen < len(self._task.archive.evaluations):
            self._follow()
        children, rng = crossed(first, second, self._task.rng), self._task.rng
        inside = rng.random(len(first)) < (self._ratio if self._learned else 0.0)
        if self._learned and inside.any():
            children.bits[inside] = self._learned.crossed(first[inside], second[inside]).bits
        children = flipped(children, rng)
        self._made |= dict(zip(children.digests(), inside.tolist(), strict=True))
        return children

    def _follow(self) -> None:
        """Move the ratio by what became of the children since, and learn from what is best now."""
        archive = self._task.archive
        latest = [one.mask for one in archive.evaluations[self._seen :] if one.mask in self._made]
        best = {one.mask for one in archive.members}
        rates = [
            np.mean([mask in best for mask in latest if self._made[mask] == inside] or [False])
            for inside in (True, False)
        ]
        if sum(rates):
            moved = (self._ratio + rates[0] / sum(rates)) / 2
            self._ratio = float(np.clip(moved, LEAST, 1 - LEAST))
        self.history.append({"passes": self._task.budget.spent, "ratio": self._ratio})
        self._seen = len(archive.evaluations)
        self._made.clear()
        self._learned = Subspace.of(best_masks(self._task, self._population), self._epochs, self._task.rng)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [MOEAPSL]
