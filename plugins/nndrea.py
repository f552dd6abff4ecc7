"""A tiny network that tells from features of each unit whether it stays; its weights are searched, and then bits.

Tian, Wang, Yang, Ding, Jin and Zhang, "Neural Network-Based Dimensionality Reduction for Large-Scale Binary
Optimization With Millions of Variables", IEEE Trans. Evol. Comput. 29(6), 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

import pruneframe as pf
from pruneframe.kit import check_population, default_population, evolve, recorded, suitable_variation

from .decider import Decider, features_of
from .presets import Presets
from .sparse import best_masks

PRESETS = Presets(
    {
        "best": {"scorer": "reconstruction", "monotone": True, "variation": "uniform+importance-guided", "share": 0.9},
        "paper": {"scorer": "magnitude", "monotone": False, "variation": "uniform+bit-flip", "share": 0.5},
    }
)


@dataclass(frozen=True, repr=False)
class NNDREA(pf.Method):
    """NSGA-II on the weights of a tiny network that masks follow from, then on the bits of the masks themselves."""

    name = "nndrea"
    provenance = (
        "Published (Tian et al., IEEE TEVC 29(6), 2025): a network with one small hidden layer (4 units) maps what is "
        "known of each variable to its bit, so that a genome is that network's few weights; half of the evaluations "
        "search these, the others bits. Ours: what it is told of a unit, which is its layer's depth and size and its "
        "score's ranks; biases that spread the first densities; NSGA-II as the selection; and in preset=best first "
        "weights that never count a higher score against a unit, the score reconstruction, bits varied by importance, "
        "and nine tenths of the evaluations for the network."
    )
    bibtex = """
    @article{tian2025neural,
      author = {Tian, Ye and Wang, Luchen and Yang, Shangshang and Ding, Jinliang and Jin, Yaochu and Zhang, Xingyi},
      title = {Neural Network-Based Dimensionality Reduction for Large-Scale Binary Optimization
        With Millions of Variables},
      journal = {IEEE Transactions on Evolutionary Computation},
      volume = {29},
      number = {6},
      year = {2025}
    }
    """
    preset: Literal["best", "paper"] = pf.setting("best", "where settings that are not given come from", tried=())
    scorer: str = PRESETS.setting("scorer", "importance whose ranks are features of a unit", kind="scorer")
    monotone: bool = PRESETS.setting("monotone", "first networks count no higher score against a unit")
    variation: str = PRESETS.setting("variation", "of bits: operators in turn, joined by +", kind="variation")
    hidden: int = pf.setting(4, "hidden units of the network", least=1, tried=(2, 16))
    share: float = PRESETS.setting(
        "share", "share of the budget for the network; 0: bits alone, 1: no bits", least=0, most=1
    )
    population: int | None = pf.setting(
        None, "genomes per generation; none: a tenth of the budget, from 4 to 100", least=4, tried=(4, 100)
    )

    def search(self, task: pf.Task) -> None:
        PRESETS.suited(self, self.preset, task)._search(task)

    def _search(self, task: pf.Task) -> None:
        """The search, with a value for every setting."""
        bits, size = task.encoding("mask"), self.population or default_population(task.affordable)
        variables = bits.variables(task.layout)
        variation = suitable_variation(task, self.variation, variables)
        check_population(size, task.layout.width)
        scores = task.scores(self.scorer)

        def vary(parents: pf.Genomes, n: int) -> pf.Genomes:
            return variation.vary(parents, n, variables, task.rng, scores)

        if self.share:
            with recorded(task, "network"), task.share(self.share):
                self._network(task, Decider(features_of(task.layout, scores), task.layout, self.hidden), size)

        if self.share < 1:
            with recorded(task, "bits"):
                start = bits.sample(size, task.layout, scores, task.rng)
                if task.archive.evaluations:
                    front = best_masks(task, size).bits
                    mates = task.rng.integers(len(front), size=2 * size)
                    start = np.vstack([front, vary(front[mates], size)])[:size]
                evolve(task, "nsga2", start, vary, lambda genomes: task.evaluate(pf.Masks(genomes, task.layout)))

    def _network(self, task: pf.Task, decider: Decider, size: int) -> None:
        """The first phase, on the weights of the network."""
        operators = task.variation("sbx-pm")
        evolve(
            task,
            "nsga2",
            decider.sample(size, self.monotone, task.rng),
            lambda parents, n: operators.vary(parents, n, decider.variables, task.rng),
            lambda genomes: task.evaluate(decider.masks(genomes)),
        )


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [NNDREA]
