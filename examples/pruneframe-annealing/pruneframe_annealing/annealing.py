"""Simulated annealing of one mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

import pruneframe as pf

COLD = 1e-9  # a heat at which no worse child is kept


@dataclass(frozen=True, repr=False)
class Annealing(pf.Method):
    """Varies one mask, and goes on with a worse child the more rarely, the more of the budget is spent."""

    name = "annealing"
    provenance = "Simulated annealing (Kirkpatrick et al., Science 220, 1983); masks, sum and schedule are ours."
    scorer: str = pf.setting("balanced", "importance behind the first mask and the variation", kind="scorer")
    variation: str = pf.setting("importance-guided", "how a child is made", kind="variation")
    start: int = pf.setting(10, "masks of which the best is the first one", least=1)
    heat: float = pf.setting(0.02, "by how much worse a child may be at first, of the sum of objectives", above=0)

    def search(self, task: pf.Task) -> None:
        encoding, variation, scores = task.encoding("mask"), task.variation(self.variation), task.scores(self.scorer)
        variables = encoding.variables(task.layout)

        def sums(genomes: pf.Genomes) -> np.ndarray:
            """Of the objectives as shares of their references: the smaller, the better."""
            masks = encoding.decode(genomes, task.layout, scores)
            return (task.evaluate(masks) / task.references).sum(axis=1)

        genomes = encoding.sample(self.start, task.layout, scores, task.rng)
        found = sums(genomes)
        here, height = genomes[[np.argmin(found)]], found.min()
        while True:  # task.evaluate ends the search when the budget is spent
            child = variation.vary(here, 1, variables, task.rng, scores)
            [total] = sums(child)
            heat = max(self.heat * task.budget.left / task.budget.total, COLD)
            if total <= height or task.rng.random() < exp((height - total) / heat):
                here, height = child, total


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [Annealing]
