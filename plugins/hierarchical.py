"""Hierarchical search: coarse thresholds come first, then binary masks in a corridor are varied by importance.

Khan and Asilian Bidgoli, "A Hierarchical Importance-Guided Multi-objective Evolutionary Framework for Deep Neural
Network Pruning", arXiv 2604.01076, April 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

import pruneframe as pf
from pruneframe.kit import SMALLEST, Corridor, Staircase, Tuner, Turns, evolve, ranks, recorded

from .anchors import Front, record_corridor
from .experiments import HIERARCHICAL
from .iterative_magnitude import RENDA
from .magnitude import Magnitude
from .presets import Presets, written
from .rates import Rates
from .retraining import Retraining
from .sources import Sources, opening

SOURCES = ("cuts", "tuned", "trained", "factors", "masks", "edge")
BOTH: dict[str, Any] = {
    "delta": 2.0,
    "corridor": "survivors",
    "survival": 0.5,
    "crossover": "uniform",
    "mutation": "weighted-flip",
}
BEST = BOTH | {
    "scorers": ("magnitude", "lamp", "reconstruction"),
    "sources": SOURCES,
    "tuning_rate": 0.05,
    "training_rate": 0.05,
    "alpha": 0.1,
    "rate": 0.002,
}
PAPER = BOTH | {
    "phase2": "nsga2",
    "share": 0.5,
    "scorer": "magnitude",
    "population": 100,
    "generations": 10,
    "threshold_scope": "global",
    "highest": 0.95,
    "temperature": 0.1,
    "schedule": "decay",
    "rate": 0.01,
    "last_rate": 0.0005,
}
PRESETS = Presets({"best": BEST, "paper": PAPER})


@dataclass(frozen=True, repr=False)
class Hierarchical(pf.Method):
    """Thresholds on scores first, then masks in the corridor between two anchors on their front.

    A setting that is not given has the preset's value; one that the preset has not is refused.
    """

    name = "hierarchical"
    provenance = (
        "Published (Khan and Asilian Bidgoli, arXiv 2604.01076): two objectives on single weights without retraining; "
        "an evolutionary search over thresholds, then a binary search restricted to what survived, with "
        "importance-aware sampling and adaptive variation. Known from summaries alone: NSGA-II in phase 1, NSGA-II or "
        "MOEA/D in phase 2, the corridor between a heavy and a light anchor. All numbers and operators, the anchors' "
        "definition and the importance are our reconstruction (preset=paper). preset=best keeps the hierarchy, coarse "
        "thresholds before masks in the corridor, and is otherwise ours: several scores to begin with, tuning by "
        "gradient where the front falls, retraining there (after Renda, Frankle and Carbin), also by the unpruned "
        "network's logits (after Hinton, Vinyals and Dean), factors per layer, and turns given by what each source has "
        "gained."
    )
    bibtex = (
        Magnitude.bibtex
        + RENDA
        + """
    @article{hinton2015distilling,
      author = {Hinton, Geoffrey and Vinyals, Oriol and Dean, Jeff},
      title = {Distilling the Knowledge in a Neural Network},
      journal = {arXiv preprint arXiv:1503.02531},
      year = {2015}
    }
    @article{khan2026hierarchical,
      author = {Khan and Asilian Bidgoli},
      title = {A Hierarchical Importance-Guided Multi-objective Evolutionary Framework for Deep Neural Network Pruning},
      journal = {arXiv preprint arXiv:2604.01076},
      year = {2026}
    }
    """
    )
    experiments = HIERARCHICAL
    preset: Literal["paper", "best"] = pf.setting("best", "where settings that are not given come from", tried=())
    scorers: tuple[str, ...] = PRESETS.setting(
        "scorers", "scores that compete at the start, the first at once", kind="scorer"
    )
    sources: tuple[str, ...] = PRESETS.setting("sources", f"what competes for turns: {', '.join(SOURCES)}")
    tuning_rate: float = PRESETS.setting(
        "tuning_rate",
        "how far a piece of tuning would move ranks, from 0 to 1, if gradients were noise, at first",
        above=0,
        most=1,
    )
    training_rate: float = PRESETS.setting(
        "training_rate", "learning rate that a retraining begins with", above=0, tried=(0.01, 0.2)
    )
    alpha: float = PRESETS.setting(
        "alpha",
        "weight of the squared distance to the unpruned network's logits in retraining",
        least=0,
        tried=(0.01, 1),
    )
    phase2: Literal["nsga2", "moead"] = PRESETS.setting("phase2", "algorithm of phase 2")
    share: float = PRESETS.setting(
        "share", "share of the budget for phase 1; 0 and 1 switch a phase off", least=0, most=1
    )
    scorer: str = PRESETS.setting("scorer", "importance behind thresholds, sampling and variation", kind="scorer")
    population: int = PRESETS.setting("population", "genomes, at most", least=SMALLEST)
    generations: int = PRESETS.setting(
        "generations", "of a phase, at least; where evaluations are few, the population shrinks", least=1
    )
    threshold_scope: Literal["layer", "unit", "global"] = PRESETS.setting(
        "threshold_scope", "one threshold per layer, per unit, or for all with a factor per layer"
    )
    highest: float = PRESETS.setting(
        "highest", "largest share of a layer that a threshold per layer removes", above=0, most=1
    )
    delta: float = PRESETS.setting("delta", "points of error above dense that the light anchor may have")
    corridor: Literal["anchors", "survivors"] = PRESETS.setting(
        "corridor", "what both anchors keep stays (anchors), or may go as well (survivors)"
    )
    survival: float = PRESETS.setting(
        "survival", "weight of survival on the front, beside the score's rank in its layer", least=0, most=1
    )
    temperature: float = PRESETS.setting(
        "temperature", "of the sigmoid that samples bits by importance", above=0, most=1
    )
    crossover: str = PRESETS.setting(
        "crossover", "variation of two parents' free bits before the mutation, or none", kind="variation"
    )
    mutation: str = PRESETS.setting("mutation", "variation with a setting `rate`", kind="variation")
    schedule: Literal["decay", "success"] = PRESETS.setting(
        "schedule", "the rate falls geometrically, or follows the one-fifth success rule"
    )
    rate: float = PRESETS.setting("rate", "share of the free bits that flip, at first", least=0, most=1)
    last_rate: float = PRESETS.setting("last_rate", "the same at the end of the budget, and the least", least=0, most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        strangers = sorted({f.name for f in fields(self)} - {"preset", *PRESETS.values[self.preset]})
        if given := [name for name in strangers if getattr(self, name) is not None]:
            raise ValueError(f"{given[0]} is no setting of preset={self.preset}; leave it out, or take another preset")
        settled = PRESETS.settled(self, self.preset)
        if self.preset == "paper" and settled.last_rate > settled.rate:
            raise ValueError(f"last_rate <= rate must hold, but got {settled.last_rate} > {settled.rate}")
        unknown = set(settled.sources or ()) - set(SOURCES)
        if unknown or settled.sources == () or settled.scorers == ():
            raise ValueError(f"sources must be of {written(SOURCES)}, and scorers named, at least one each")

    def search(self, task: pf.Task) -> None:
        if "error" not in task.objectives:
            task.decline("it chooses its anchors by the objective 'error', which the problem does not have")
        settled = PRESETS.settled(self, self.preset)
        for name in {settled._mutation(settled.rate), settled.crossover} - {"none"}:
            task.variation(name)  # an unknown one is an error before any cost
        if self.preset == "paper":
            settled._in_phases(task)
        else:
            settled._in_turns(task)

    def _in_turns(self, task: pf.Task) -> None:
        """Ours: a first front by cuts of several scores, then turns for what has lately gained most."""
        stairs = Staircase(task)
        with recorded(task, "opening"):
            curves = opening(task, stairs, self.scorers)
        tuner = Tuner(task, stairs, self.tuning_rate)
        retraining = Retraining(task, stairs, self.training_rate, self.alpha, self.scorers)
        sources = Sources(task, stairs, curves, self._breed, tuner, retraining)
        with recorded(task, "turns"):
            Turns(task, {name: getattr(sources, name) for name in self.sources})()

    def _breed(self, task: pf.Task, scores: pf.Scores, parents: pf.Masks) -> pf.Masks:
        """A child of every two parents, inside the corridor between the anchors of the front."""
        front = Front.of(task)
        corridor, importance = self._corridor(task, front), self._importance(task.layout, scores, front)
        return self._varied(task, parents.bits, len(parents) // 2, corridor, importance, self.rate)

    def _in_phases(self, task: pf.Task) -> None:
        """The paper's two phases."""
        scores = task.scores(self.scorer)
        if self.share:
            with recorded(task, "phase 1"), task.share(self.share):
                self._coarse(task, scores)
        if self.share < 1:
            with recorded(task, "phase 2"):
                self._fine(task, scores)

    def _coarse(self, task: pf.Task, scores: pf.Scores) -> None:
        """Phase 1: NSGA-II over thresholds, within its share of the budget."""
        coder = task.encoding(self._encoding())
        variables, operators = coder.variables(task.layout), task.variation("sbx-pm")

        def vary(parents: pf.Genomes, n: int) -> pf.Genomes:
            return operators.vary(parents, n, variables, task.rng)

        start = coder.sample(self._population(task), task.layout, scores, task.rng)
        evolve(task, "nsga2", start, vary, lambda genomes: task.evaluate(coder.decode(genomes, task.layout, scores)))

    def _encoding(self) -> str:
        names = {"layer": f"layer-threshold[highest={self.highest}]", "unit": "unit-threshold"}
        return names.get(self.threshold_scope, "global-cut")

    def _fine(self, task: pf.Task, scores: pf.Scores) -> None:
        """Phase 2: binary masks inside the corridor; without a phase 1 all masks are."""
        if not task.archive.evaluations:
            task.evaluate(task.layout.full())
        front = Front.of(task)
        corridor = self._corridor(task, front)
        importance = self._importance(task.layout, scores, front)
        start = self._start(task, front, corridor, importance)
        rates = Rates(task, self.rate, self.last_rate, self.schedule)

        def vary(parents: pf.Genomes, n: int) -> pf.Genomes:
            return self._varied(task, parents, n, corridor, importance, rates.next()).bits

        evolve(task, self.phase2, start.bits, vary, lambda bits: task.evaluate(pf.Masks(bits, task.layout)))

    def _varied(
        self, task: pf.Task, parents: pf.Genomes, n: int, corridor: Corridor, importance: pf.Scores, rate: float
    ) -> pf.Masks:
        """Children of masks inside the corridor, by crossover and mutation, repaired to it."""
        variables, mutation = task.encoding("mask").variables(task.layout), task.variation(self._mutation(rate))
        if self.crossover != "none":
            crossover = task.variation(self.crossover)
            parents = crossover.vary(parents, n, variables, task.rng, importance, corridor.free)
        children = mutation.vary(parents, n, variables, task.rng, importance, corridor.free)
        return corridor.repair(pf.Masks(children, task.layout))

    def _mutation(self, rate: float) -> str:
        return f"{self.mutation}[rate={rate}]"

    def _population(self, task: pf.Task) -> int:
        """Genomes of a population."""
        return max(SMALLEST, min(self.population, task.affordable // self.generations))

    def _corridor(self, task: pf.Task, front: Front) -> Corridor:
        """Between the anchors; everything below what either keeps, where they leave no bit free. Recorded at first."""
        heavy, light = front.heavy(), front.light(self.delta)
        corridor = Corridor.between(front.masks[[heavy]], front.masks[[light]])
        if self.corridor == "survivors" or corridor.width == 0:
            corridor = Corridor.below(corridor.upper)
        if "corridor" not in task.records:
            record_corridor(task, front, heavy, light, corridor)
        return corridor

    def _importance(self, layout: pf.Layout, scores: pf.Scores, front: Front) -> pf.Scores:
        """Rank of the score in its layer, and share of the front's masks that keep the unit; both from 0 to 1."""
        found = np.concatenate([ranks(part) for part in layout.split(scores)])
        return ((1 - self.survival) * found + self.survival * front.survival()).astype(np.float32)

    def _start(self, task: pf.Task, front: Front, corridor: Corridor, importance: pf.Scores) -> pf.Masks:
        """The anchors and more of the front, up to half of the population, and samples of the corridor."""
        population = self._population(task)
        chosen = pf.thin(front.values / task.references, population // 2)
        rows = list(dict.fromkeys([front.heavy(), front.light(self.delta), *chosen.tolist()]))
        kept = task.rng.integers(0, corridor.width + 1, max(1, population - len(rows)))
        samples = corridor.sample(kept, importance, self.temperature, task.rng)
        return pf.Masks.join([front.masks[rows], samples])


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [Hierarchical]
