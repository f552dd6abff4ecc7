"""PM-MOEA: sets of units are mined from the best masks, and children vary between a minimum and a maximum one.

Tian, Lu, Zhang, Cheng and Jin, "A Pattern Mining-Based Evolutionary Algorithm for Large-Scale Sparse Multiobjective
Optimization Problems", IEEE Trans. Cybern. 52(7), 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import pruneframe as pf
from pruneframe.kit import BIBTEX, survivors

from .sparse import SparseEvolution, best_masks, breed, crossed, distinct, flipped, scattered

TRIED = 10  # candidates for each set that is mined


@dataclass(frozen=True, repr=False)
class PMMOEA(SparseEvolution):
    """Uniform crossover within what unions and intersections of good masks have in common."""

    name = "pm-moea"
    aliases = ("pmmoea",)
    provenance = (
        "Published (Tian et al., IEEE Trans. Cybern. 52(7), 2022): maximum and minimum candidate sets of non-zero "
        "variables are mined from the non-dominated solutions, and children are made between one of each, which makes "
        "the search space smaller; NSGA-II's selection. Read in public code: 20 sets of each sort in every generation; "
        "a set is judged by the share of solutions that it covers and by how little it differs from them in size; "
        "uniform crossover between the sets, then each bit flips with chance 1 / bits, wherever it is; first solutions "
        "keep a share of the variables that is the square of a random number. Ours: candidates are unions and "
        "intersections of random choices of masks, of which the best are taken, not evolved; the front of all that was "
        "evaluated is mined; two sets that do not hold one another span what lies between them; first masks spread "
        "over densities by importance (start=published: as in public code)."
    )
    bibtex = (
        BIBTEX
        + """
    @article{tian2022pattern,
      author = {Tian, Ye and Lu, Chang and Zhang, Xingyi and Cheng, Fan and Jin, Yaochu},
      title = {A Pattern Mining-Based Evolutionary Algorithm for Large-Scale Sparse Multiobjective Optimization
        Problems},
      journal = {IEEE Transactions on Cybernetics},
      volume = {52},
      number = {7},
      pages = {6784--6797},
      year = {2022}
    }
    """
    )
    sets: int = pf.setting(
        20, "maximum and as many minimum sets that are mined; 0: children vary everywhere", least=0, tried=(5, 80)
    )

    def _search(self, task: pf.Task) -> None:
        start = self._first(task)
        breed(task, start, Mine(task, len(start), self.sets).vary)

    def _published_start(self, number: int, task: pf.Task, ranks: pf.Scores | None) -> pf.Masks:
        counts = np.ceil(task.rng.random(number) ** 2 * task.layout.total).astype(np.int64)
        return scattered(counts, task.layout, task.rng)


class Mine:
    """The sets of the latest generation, and children between them."""

    def __init__(self, task: pf.Task, population: int, sets: int) -> None:
        self._task, self._population, self._sets = task, population, sets
        self._seen = 0  # evaluations whose front was mined
        self._largest = self._least = task.layout.full()

    def vary(self, first: pf.Masks, second: pf.Masks) -> pf.Masks:
        """One child of each pair, between two sets but for single flips."""
        children, rng = crossed(first, second, self._task.rng), self._task.rng
        if self._sets:
            self._mine()
            upper, lower = (sets[rng.integers(len(sets), size=len(first))] for sets in (self._largest, self._least))
            children = (children | (lower & upper)) & (lower | upper)
        return flipped(children, rng)

    def _mine(self) -> None:
        """Mine anew where something was evaluated since."""
        if self._seen < len(self._task.archive.evaluations):
            self._seen = len(self._task.archive.evaluations)
            best = best_masks(self._task, self._population)
            self._largest, self._least = (mined(best, self._sets, union, self._task.rng) for union in (True, False))


def mined(masks: pf.Masks, sets: int, union: bool, rng: np.random.Generator) -> pf.Masks:
    """At most so many sets of units that cover many masks closely: unions hold them, intersections lie within them.

    A union is dominated where another covers as many masks whose mean size is as close to its own; so is an
    intersection.
    """
    join = np.bitwise_or if union else np.bitwise_and
    sizes = np.maximum(1, np.ceil(rng.random(TRIED * sets) ** 2 * len(masks))).astype(np.int64)
    tried = [join.reduce(masks.bits[rng.choice(len(masks), size, replace=False)], axis=0) for size in sizes]
    found = distinct(pf.Masks(np.array(tried), masks.layout))
    kept, counts = masks.counts(), found.counts()
    points = np.empty((len(found), 2))
    for row, count in enumerate(counts):
        candidate = found[[row]]
        covered = masks.within(candidate) if union else candidate.within(masks)
        mean = kept[covered].mean()
        closeness = min(mean, count) / max(mean, count, 1)
        points[row] = 1 - covered.mean(), 1 - closeness
    return found[survivors(points, sets, rng)]


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [PMMOEA]
