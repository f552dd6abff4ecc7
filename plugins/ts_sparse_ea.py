"""Two-stage SparseEA: masks of few groups of units first, then masks of single units.

Jiang, Han, Wang, Ling, Han and Wang, "A Two-Stage Evolutionary Algorithm for Large-Scale Sparse Multiobjective
Optimization Problems", Swarm Evol. Comput. 72, 101093, 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

import pruneframe as pf
from pruneframe.kit import BIBTEX, default_population, recorded

from .presets import Presets
from .sparse import BEST, PAPER, SparseEvolution, breed, flipped, one_by_one, scattered
from .variations import leading_bits

PRESETS = Presets({"best": BEST | {"order": "score"}, "paper": PAPER | {"order": "alone"}})


@dataclass(frozen=True, repr=False)
class TSSparseEA(SparseEvolution):
    """Groups of equally important units stay or go together at first; then every unit goes its own way."""

    name = "ts-sparse-ea"
    aliases = ("ts-sparseea",)
    provenance = (
        "Published (Jiang et al., Swarm Evol. Comput. 72, 2022): a first stage of few binary variables, each of which "
        "stands for a group of variables, and a second stage on the variables themselves. Read in public code: 50 "
        "groups, in the order of the fronts of solutions with one variable; the first tenth of the budget for them; "
        "one-point crossover and flips with chance 1 / bits in both stages; the first group alone is among the first "
        "solutions; NSGA-II's selection. Ours: the order is that of a score, which costs no evaluation of each unit "
        "(order=alone: as in public code); the first masks of groups are all that keep the best so many; those of "
        "units are spread over densities by importance. The matching of masks with real variables falls away. "
        "preset=paper leaves out what is ours."
    )
    bibtex = (
        BIBTEX
        + """
    @article{jiang2022two,
      author = {Jiang, Jing and Han, Fei and Wang, Jie and Ling, Qinghua and Han, Henry and Wang, Yue},
      title = {A two-stage evolutionary algorithm for large-scale sparse multiobjective optimization problems},
      journal = {Swarm and Evolutionary Computation},
      volume = {72},
      pages = {101093},
      year = {2022}
    }
    """
    )
    presets = PRESETS
    order: Literal["score", "removal", "alone"] = PRESETS.setting(
        "order", "what orders units: the score, or the fronts of masks with each removed alone, or kept alone"
    )
    ranking: float = pf.setting(
        0.5, "largest share of the budget that such an order takes; more is declined", above=0, most=1, tried=()
    )
    groups: int = pf.setting(50, "groups of the first stage, or one for each unit", least=1, tried=(10, 100))
    share: float = pf.setting(0.1, "of the budget for the first stage; 0 switches it off", least=0, below=1)

    def _search(self, task: pf.Task) -> None:
        by_score = self.order == "score"
        scores = task.scores(self.scorer) if by_score else one_by_one(task, self.order, self.ranking)
        if self.share:
            with recorded(task, "groups"), task.share(self.share):
                self._groups(task, places(scores, self.groups))
        with recorded(task, "units"):
            breed(task, self._first(task), lambda first, second: offspring(first, second, task.rng))

    def _groups(self, task: pf.Task, groups: np.ndarray) -> None:
        """NSGA-II on one bit per group; groups int64[units] says whose each unit is, 0 the most important ones'."""
        number, total = self.population or default_population(task.affordable), int(groups.max()) + 1
        layout = pf.Layout("group", (pf.Group("groups", total, (total,)),))
        if self.start == "published":
            kept = task.rng.random((number, total)) < 0.5
            kept[0] = np.arange(total) == 0
        else:
            kept = np.arange(total) < np.linspace(total, 1, number)[:, None]
        breed(
            task,
            pf.Masks.pack(kept, layout),
            lambda first, second: offspring(first, second, task.rng),
            lambda masks: task.evaluate(ungrouped(masks, groups, task.layout)),
        )

    def _published_start(self, number: int, task: pf.Task, ranks: pf.Scores | None) -> pf.Masks:
        return scattered(task.rng.binomial(task.layout.total, 0.5, number), task.layout, task.rng)


def places(scores: pf.Scores, groups: int) -> np.ndarray:
    """The group of each unit, int64[units], 0 for the highest scores; all but the last are of one size."""
    found = np.empty(len(scores), dtype=np.int64)
    found[np.argsort(-scores, kind="stable")] = np.arange(len(scores)) // -(-len(scores) // groups)
    return found


def ungrouped(masks: pf.Masks, groups: np.ndarray, layout: pf.Layout) -> pf.Masks:
    """Masks of units that keep all units of the groups that masks of groups keep."""
    found = pf.Masks(np.zeros((len(masks), layout.width), dtype=np.uint8), layout)
    for row, bits in enumerate(found.bits):
        bits[:] = np.packbits(masks.unpack(row)[groups])
    return found


def offspring(first: pf.Masks, second: pf.Masks, rng: np.random.Generator) -> pf.Masks:
    """One-point crossover, the bits before a random one from the first parents; then flips."""
    units, width = first.layout.total, first.layout.width
    before = leading_bits(rng.integers(1, units + 1, len(first)), width)
    return flipped(pf.Masks((first.bits & before) | (second.bits & ~before), first.layout), rng)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [TSSparseEA]
