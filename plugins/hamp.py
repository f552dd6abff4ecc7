"""Memetic search over filters per layer: portfolio-based selection, and a local search on a surrogate.

Hong, Li, Liu, Yang and Tang, "Multi-objective evolutionary optimization for hardware-aware neural network pruning",
Fundamental Research 4(4), 2024, doi 10.1016/j.fmre.2022.07.013.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.kit import IDLE, SMALLEST, check_population, suitable_variation

from .experiments import HAMP
from .portfolio import SELECTORS, Portfolio
from .presets import VARIATIONS, Presets
from .surrogate import Known
from .widths import need_removable

LARGEST = 40  # genomes of a population, unless it is set
GENERATIONS = 30  # that a budget pays for, about, but for the local search
PAPER = {
    "encoding": "channel-count[step=2]",
    "scorer": "l2",
    "variation": None,
    "floor": 0.1,
    "local": 8,
    "screening": 1,
}
BEST = PAPER | {"scorer": "reconstruction", "screening": 8}
PRESETS = Presets({"best": BEST, "paper": PAPER})


@dataclass(frozen=True, repr=False)
class Hamp(pf.Method):
    """Genomes are filters per layer; three selections share the places, and a surrogate proposes small steps."""

    name = "hamp"
    provenance = (
        "Published (Hong et al., doi 10.1016/j.fmre.2022.07.013): a memetic multi-objective search with "
        "portfolio-based selection and a surrogate-assisted local search, for accuracy, latency and memory that are "
        "measured. Our reconstruction: an integer per layer, filters in the order of a score; rank and crowding "
        "(NSGA-II), hypervolume contribution (SMS-EMOA) and reference vectors (NSGA-III) as the portfolio; quotas by "
        "the hypervolume that children of those chosen gained; cubic radial basis functions as the surrogate, a local "
        "search from the members that contribute most; all numbers. Not of the paper at all: the surrogate also "
        "chooses which children are evaluated (screening), and filters are ordered by the score `reconstruction`, not "
        "by their L2 norms; preset=paper leaves both out. preset=best was chosen by us; what trials from preset=paper "
        "found was worse on other networks (docs/tuning.md)."
    )
    bibtex = """
    @article{hong2024hardware,
      author = {Hong and Li and Liu and Yang and Tang},
      title = {Multi-objective evolutionary optimization for hardware-aware neural network pruning},
      journal = {Fundamental Research},
      volume = {4},
      number = {4},
      year = {2024},
      doi = {10.1016/j.fmre.2022.07.013}
    }
    """
    experiments = HAMP
    preset: Literal["best", "paper"] = pf.setting("best", "where settings that are not given come from", tried=())
    encoding: str = PRESETS.setting(
        "encoding",
        "what a genome is: integers, one per layer",
        kind="encoding",
        tried=("channel-count", "channel-count[step=2]", "channel-count[step=4]"),
    )
    scorer: str = PRESETS.setting(
        "scorer", "importance that decides which filters of a layer stay; l2: their norms", kind="scorer"
    )
    variation: str | None = PRESETS.setting(
        "variation", "operators in turn, joined by +; none: sbx-pm", kind="variation", tried=VARIATIONS
    )
    population: int | None = pf.setting(
        None, f"genomes; none: the budget's evaluations / {GENERATIONS}, from {SMALLEST} to {LARGEST}", least=SMALLEST
    )
    portfolio: bool = pf.setting(True, "three selections with quotas; off: rank and crowding alone")
    floor: float = PRESETS.setting(
        "floor", "least quota of a selection, as a share of the places", least=0, most=1 / len(SELECTORS)
    )
    local: int = PRESETS.setting(
        "local", "proposals of the local search that a generation evaluates; 0 switches it off", least=0, tried=(1, 64)
    )
    screening: int = PRESETS.setting(
        "screening",
        "children per place, of which those that promise most are evaluated; 1: all",
        least=1,
        tried=(1, 64),
    )
    surrogate: bool = pf.setting(
        True, "what promises most is told by a surrogate; off: steps and children are taken at random"
    )
    tuned: int = pf.setting(
        0, "training images of a short fine-tuning before a candidate is evaluated; 0: none", least=0
    )
    learning_rate: float = pf.setting(0.01, "of that fine-tuning, at first", above=0)

    def search(self, task: pf.Task) -> None:
        need_removable(task)
        PRESETS.suited(self, self.preset, task)._search(task)

    def _search(self, task: pf.Task) -> None:
        """The search, with a value for every setting."""
        coder = task.encoding(self.encoding)
        variables = coder.variables(task.layout)
        if variables.kind != "integer":
            raise pf.InputError(f"encoding must give integers for {self.name!r}, but {self.encoding!r} does not")
        variation, scores = suitable_variation(task, self.variation, variables), task.scores(self.scorer)
        evaluations = int(task.budget.left / self._price(task))
        size = self.population or max(SMALLEST, min(LARGEST, evaluations // GENERATIONS))
        check_population(size, 8 * variables.width)
        start = coder.sample(size, task.layout, scores, task.rng)

        def measure(genomes: pf.Genomes) -> pf.Points:
            if not len(genomes):
                return np.empty((0, len(task.objectives)))
            return self._evaluate(task, coder.decode(genomes, task.layout, scores)) / task.references

        points = measure(start)
        known = Known(start, points, task.objectives.index("error") if "error" in task.objectives else None)
        portfolio = Portfolio(task, size, self.floor if self.portfolio else None)
        parents = portfolio.select(start, points)
        history: list[dict[str, float]] = []
        idle = 0
        try:
            while idle < IDLE:
                spent, before = task.budget.spent, known.hypervolume
                mates = task.rng.integers(len(parents.genomes), size=(size * self._born, 2))
                children = variation.vary(parents.genomes[mates.ravel()], len(mates), variables, task.rng)
                chosen = known.screened(children, size, variables) if self._born > 1 else np.arange(size)
                children, selectors = children[chosen], parents.selectors[mates[chosen]]
                points = measure(children)
                portfolio.credit(selectors, known.add(children, points))
                born = known.hypervolume
                steps = known.proposals(self.local, variables, task.rng, self.surrogate)
                found = measure(steps)
                known.add(steps, found)
                genomes = np.vstack([parents.genomes, children, steps])
                parents = portfolio.select(genomes, np.vstack([parents.points, points, found]))
                after = known.hypervolume
                gains = {"hypervolume": after, "gain of variation": born - before, "gain of local search": after - born}
                history.append(gains | dict(zip(SELECTORS, portfolio.quotas.tolist(), strict=True)))
                idle = idle + 1 if task.budget.spent == spent else 0
        finally:
            task.record("generations", pd.DataFrame(history))

    @property
    def _born(self) -> int:
        """Children per place."""
        return self.screening if self.surrogate else 1

    def _price(self, task: pf.Task) -> float:
        """Passes that a candidate costs."""
        tuning = task.prices.training(self._recipe) if self.tuned else 0.0
        return task.prices.evaluation + tuning

    def _evaluate(self, task: pf.Task, masks: pf.Masks) -> pf.Points:
        """Objective values float64[n, objectives], after a short fine-tuning if there is one."""
        if not self.tuned:
            return task.evaluate(masks)
        rows = [masks[[row]] for row in range(len(masks))]
        return np.vstack([task.evaluate(mask, task.train(mask, pf.DENSE, self._recipe)) for mask in rows])

    @property
    def _recipe(self) -> pf.Recipe:
        """Of the short fine-tuning."""
        return pf.Recipe(images=self.tuned, learning_rate=self.learning_rate)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [Hamp]
