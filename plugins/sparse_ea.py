"""SparseEA: units are ranked one by one, and a child differs from its parent where a tournament on ranks says so.

Tian, Zhang, Wang and Jin, "An Evolutionary Algorithm for Large-Scale Sparse Multiobjective Optimization Problems",
IEEE Trans. Evol. Comput. 24(2), 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

import pruneframe as pf
from pruneframe.kit import BIBTEX

from .presets import Presets
from .sparse import BEST, PAPER, SparseEvolution, breed, one_by_one, winners

PRESETS = Presets({"best": BEST | {"order": "removal"}, "paper": PAPER | {"order": "alone"}})


@dataclass(frozen=True, repr=False)
class SparseEA(SparseEvolution):
    """Every unit is tried by itself first; then a child sets or clears one bit twice, by tournaments on the ranks."""

    name = "sparse-ea"
    aliases = ("sparseea",)
    provenance = (
        "Published (Tian et al., IEEE Trans. Evol. Comput. 24(2), 2020): the rank of each variable is the front that "
        "the solution with this variable alone lies on; binary tournaments on the ranks make the first masks; "
        "crossover and mutation set or clear one bit each, by a tournament; NSGA-II's selection. Read in public code: "
        "the solutions with one variable compete for places in the first population. Ours: ranks of removing each unit "
        "alone, since a network with a single unit tells little; first masks spread over densities by importance, with "
        "the dense network; a score in the place of ranks (order=score). Masks have no real part, so that the paper's "
        "other half, real variables, falls away. preset=paper leaves out what is ours."
    )
    bibtex = (
        BIBTEX
        + """
    @article{tian2020sparse,
      author = {Tian, Ye and Zhang, Xingyi and Wang, Chao and Jin, Yaochu},
      title = {An Evolutionary Algorithm for Large-Scale Sparse Multiobjective Optimization Problems},
      journal = {IEEE Transactions on Evolutionary Computation},
      volume = {24},
      number = {2},
      pages = {380--393},
      year = {2020}
    }
    """
    )
    presets = PRESETS
    order: Literal["removal", "alone", "score"] = PRESETS.setting(
        "order", "what ranks units: each removed alone, each kept alone, or the score, which evaluates none of them"
    )
    share: float = pf.setting(
        0.5, "largest share of the budget that ranks units one by one; more is declined", above=0, most=1, tried=()
    )

    def _search(self, task: pf.Task) -> None:
        by_score = self.order == "score"
        scores = task.scores(self.scorer) if by_score else one_by_one(task, self.order, self.share)
        breed(task, self._first(task, scores), lambda first, second: offspring(first, second, scores, task.rng))

    def _published_start(self, number: int, task: pf.Task, ranks: pf.Scores | None) -> pf.Masks:
        """The winners of up to as many tournaments as there are units are kept."""
        assert ranks is not None, "this paper has them"
        units = task.layout.total
        keep = np.zeros((number, units), dtype=bool)
        for row in keep:
            pairs = task.rng.integers(0, units, (int(task.rng.random() * units), 2))
            row[winners(pairs, ranks)] = True
        return pf.Masks.pack(keep, task.layout)


def offspring(first: pf.Masks, second: pf.Masks, scores: pf.Scores, rng: np.random.Generator) -> pf.Masks:
    """The first parents, each with one bit towards the second one and one more flipped, where there is such a bit."""
    children, full = first.bits.copy(), first.layout.full().bits[0]
    for child, other in zip(children, second.bits, strict=True):
        if rng.random() < 0.5:
            flip_one(child, child & ~other, -scores, rng)
        else:
            flip_one(child, other & ~child, scores, rng)
        if rng.random() < 0.5:
            flip_one(child, child, -scores, rng)
        else:
            flip_one(child, full & ~child, scores, rng)
    return pf.Masks(children, first.layout)


def flip_one(child: pf.Bits, among: pf.Bits, scores: pf.Scores, rng: np.random.Generator) -> None:
    """Flip the higher-scored of two bits drawn from those that `among` marks, in place."""
    positions = np.flatnonzero(np.unpackbits(among, count=len(scores)))
    if len(positions):
        pf.flip(child, winners(rng.choice(positions, (1, 2)), scores))


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [SparseEA]
