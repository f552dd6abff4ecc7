"""Hierarchical search: coarse thresholds open a corridor, then binary masks inside it are varied by importance.

Khan and Asilian Bidgoli, "A Hierarchical Importance-Guided Multi-objective Evolutionary Framework for Deep Neural
Network Pruning", arXiv 2604.01076, April 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

import numpy as np

import pruneframe as pf
from pruneframe.kit import SMALLEST, Corridor, Sweep, Tuner, best, evolve, fill, ranks, recorded

from .anchors import Front, record_corridor
from .guide import Guide
from .rates import Rates

PAPER: dict[str, Any] = {
    "phase2": "nsga2",
    "tuning": 0.0,
    "refining": 0.0,
    "tuning_rate": 0.045,
    "share": 0.5,
    "scorer": "magnitude",
    "population": 100,
    "generations": 10,
    "threshold_scope": "layer",
    "guide": "none",
    "guide_share": 0.2,
    "highest": 0.95,
    "delta": 2.0,
    "corridor": "anchors",
    "survival": 0.5,
    "temperature": 0.1,
    "crossover": "uniform",
    "mutation": "weighted-flip",
    "schedule": "decay",
    "rate": 0.01,
    "last_rate": 0.0005,
}
BEST = PAPER | {
    "tuning": 0.3,
    "refining": 0.7,
    "share": 0.3,
    "generations": 5,
    "corridor": "survivors",
    "scorer": "reconstruction",
    "threshold_scope": "global",
    "guide": "distortion",
}
PRESETS = {"paper": PAPER, "best": BEST}
MOST = 100  # candidates that a phase evaluates without evolving them
THRESHOLDS = 200  # on the refined score, to choose them from
GUIDED = 0.5  # of phase 1's budget goes to the guide, the rest to evaluating what it found


def from_preset(name: str, help: str, kind: str = "", **bounds: float) -> Any:
    """A setting that the preset gives where the user does not; `kind` and `bounds` as those of `setting`."""
    values = ", ".join(f"{preset}: {values[name]}" for preset, values in PRESETS.items())
    return pf.setting(None, f"{help}; {values}", kind=kind, **bounds)


@dataclass(frozen=True, repr=False)
class Hierarchical(pf.Method):
    """Phase 1 searches thresholds by NSGA-II; two anchors on its front open a corridor; phase 2 searches masks inside.

    A setting that is not given has the preset's value.
    """

    name = "hierarchical"
    provenance = (
        "Published (Khan and Asilian Bidgoli, arXiv 2604.01076): two objectives on single weights without retraining; "
        "an evolutionary search over thresholds, then a binary search restricted to what survived, with "
        "importance-aware sampling and adaptive variation. Known from summaries alone: NSGA-II in phase 1, NSGA-II or "
        "MOEA/D in phase 2, the corridor between a heavy and a light anchor. All numbers and operators, the anchors' "
        "definition and the importance are our reconstruction (preset=paper). Not of the paper at all is what "
        "preset=best adds: the score `reconstruction`, its tuning by gradient before phase 1 and again inside the "
        "corridor, a global threshold with a factor per layer, and the guide on training images."
    )
    bibtex = """
    @article{khan2026hierarchical,
      author = {Khan and Asilian Bidgoli},
      title = {A Hierarchical Importance-Guided Multi-objective Evolutionary Framework for Deep Neural Network Pruning},
      journal = {arXiv preprint arXiv:2604.01076},
      year = {2026}
    }
    """
    claims = (
        pf.Claim(
            "Khan and Asilian Bidgoli, 2026",
            "up to 51.9 % and 38.9 % of the parameters removed with almost no loss of accuracy",
            "ResNet-56 and ResNet-110 on CIFAR-10 and CIFAR-100; the abstract does not say which figure is whose",
            problems=("resnet56-cifar10",),
            removed=0.519,
        ),
    )
    preset: Literal["paper", "best"] = pf.setting("best", "where settings that are not given come from")
    phase2: Literal["nsga2", "moead"] = from_preset("phase2", "algorithm of phase 2")
    share: float = from_preset("share", "share of the budget for phase 1; 0 and 1 switch a phase off", least=0, most=1)
    tuning: float = from_preset(
        "tuning", "share of the budget, before both phases, that tunes the score by gradient", least=0, below=1
    )
    refining: float = from_preset(
        "refining", "share of phase 2's budget, first in it, that tunes the score inside the corridor", least=0, below=1
    )
    tuning_rate: float = from_preset(
        "tuning_rate",
        "how far a piece of tuning would move ranks, from 0 to 1, if gradients were noise, at first",
        least=0,
        most=1,
    )
    scorer: str = from_preset("scorer", "importance behind thresholds, sampling and variation", kind="scorer")
    population: int = from_preset("population", "genomes, at most", least=SMALLEST)
    generations: int = from_preset(
        "generations", "of a phase, at least; where evaluations are few, the population shrinks", least=1
    )
    threshold_scope: Literal["layer", "weight", "global"] = from_preset(
        "threshold_scope", "one threshold per layer, per unit, or for all with a factor per layer"
    )
    highest: float = from_preset(
        "highest", "largest share of a layer that a threshold per layer removes", above=0, most=1
    )
    guide: str = from_preset(
        "guide", "objective on training images that steers phase 1 in the error's place, or none", kind="objective"
    )
    guide_share: float = from_preset(
        "guide_share", "training images of the guide, as a share of the search images", above=0, most=1
    )
    delta: float = from_preset("delta", "points of error above dense that the light anchor may have")
    corridor: Literal["anchors", "survivors"] = from_preset(
        "corridor", "what both anchors keep stays (anchors), or may go as well (survivors)"
    )
    survival: float = from_preset(
        "survival", "weight of survival in phase 1's front, beside the score's rank in its layer", least=0, most=1
    )
    temperature: float = from_preset("temperature", "of the sigmoid that samples bits by importance", above=0, most=1)
    crossover: str = from_preset(
        "crossover", "variation of two parents' free bits before the mutation, or none", kind="variation"
    )
    mutation: str = from_preset("mutation", "variation with a setting `rate`", kind="variation")
    schedule: Literal["decay", "success"] = from_preset(
        "schedule", "the rate falls geometrically, or follows the one-fifth success rule"
    )
    rate: float = from_preset("rate", "share of the free bits that flip, at first", least=0, most=1)
    last_rate: float = from_preset("last_rate", "the same at the end of the budget, and the least", least=0, most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        settled = self.settled()
        if settled.last_rate > settled.rate:
            raise ValueError(f"last_rate <= rate must hold, but got {settled.last_rate} > {settled.rate}")

    def settled(self) -> Self:
        """The method with the preset's value for every setting that is not given."""
        lacking = {f.name for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **{name: PRESETS[self.preset][name] for name in lacking}) if lacking else self

    def search(self, task: pf.Task) -> None:
        if "error" not in task.objectives:
            task.decline("it chooses its anchors by the objective 'error', which the problem does not have")
        settled = self.settled()
        for name in {settled._mutation(settled.rate), settled.crossover} - {"none"}:
            task.variation(name)  # an unknown one is an error before any cost
        scores = task.scores(settled.scorer)
        sweep = Sweep(task, max(1, round(settled.guide_share * task.search_images)))
        tuner = Tuner(task, sweep, settled.tuning_rate)
        if settled.tuning:
            with recorded(task, "tuning"), task.share(settled.tuning):
                scores = tuner.tuned(scores, *sweep.region(scores))
        if settled.share:
            with recorded(task, "phase 1"):
                settled._coarse(task, scores)
        if settled.share < 1:
            with recorded(task, "phase 2"):
                settled._fine(task, scores, sweep, tuner)

    def _coarse(self, task: pf.Task, scores: pf.Scores) -> None:
        """Phase 1: NSGA-II over thresholds, within its share of the budget."""
        coder = task.encoding(self._encoding())
        variables, operators = coder.variables(task.layout), task.variation("sbx-pm")

        def vary(parents: pf.Genomes, n: int) -> pf.Genomes:
            return operators.vary(parents, n, variables, task.rng)

        def search(evaluate: Callable[[pf.Masks], np.ndarray], price: float) -> None:
            start = coder.sample(self._population(task, price), task.layout, scores, task.rng)
            evolve(task, "nsga2", start, vary, lambda xs: evaluate(coder.decode(xs, task.layout, scores)))

        if self.guide == "none":
            with task.share(self.share):
                search(task.evaluate, task.prices.evaluation)
            return
        guide = Guide(task, self.guide, self.guide_share)
        with task.share(self.share * GUIDED):
            search(guide, guide.price)
        with task.share(self.share * (1 - GUIDED)):
            fill(task, guide.front(), MOST)

    def _encoding(self) -> str:
        names = {"layer": f"layer-threshold[highest={self.highest}]", "weight": "unit-threshold"}
        return names.get(self.threshold_scope, "global-cut")

    def _fine(self, task: pf.Task, scores: pf.Scores, sweep: Sweep, tuner: Tuner) -> None:
        """Phase 2: binary masks inside the corridor; without a phase 1 all masks are."""
        if not task.archive.evaluations:
            task.evaluate(task.layout.full())
        front = Front.of(task)
        heavy, light = front.heavy(), front.light(self.delta)
        corridor = self._corridor(front, heavy, light)
        record_corridor(task, front, heavy, light, corridor)
        if self.refining:
            scores = self._refined(task, scores, sweep, tuner, corridor)
            front = Front.of(task)
        importance = self._importance(task.layout, scores, front)
        start = self._start(task, front, corridor, importance)
        rates = Rates(task, self.rate, self.last_rate, self.schedule)
        variables = task.encoding("mask").variables(task.layout)
        crossover = None if self.crossover == "none" else task.variation(self.crossover)

        def vary(parents: pf.Genomes, n: int) -> pf.Genomes:
            mutation = task.variation(self._mutation(rates.next()))
            if crossover is not None:
                parents = crossover.vary(parents, n, variables, task.rng, importance, corridor.free)
            children = mutation.vary(parents, n, variables, task.rng, importance, corridor.free)
            return corridor.repair(pf.Masks(children, task.layout)).bits

        evolve(task, self.phase2, start.bits, vary, lambda bits: task.evaluate(pf.Masks(bits, task.layout)))

    def _refined(self, task: pf.Task, scores: pf.Scores, sweep: Sweep, tuner: Tuner, corridor: Corridor) -> pf.Scores:
        """The score tuned for thresholds in the corridor, and those that split the front's largest gaps evaluated."""
        lower, upper = (int(mask.counts()[0]) for mask in (corridor.lower, corridor.upper))
        with task.share(self.refining * task.budget.left / task.budget.total):
            least, most = sweep.region(scores)
            within = max(least, lower / task.layout.total), min(most, upper / task.layout.total)
            scores = tuner.tuned(scores, min(within), max(within))
        kept = np.unique(np.linspace(upper, lower, THRESHOLDS).astype(int))[::-1]
        fill(task, corridor.repair(best(scores, task.layout, kept)), MOST)
        return scores

    def _mutation(self, rate: float) -> str:
        return f"{self.mutation}[rate={rate}]"

    def _population(self, task: pf.Task, price: float) -> int:
        """Genomes of a population whose evaluation costs `price` passes each."""
        return max(SMALLEST, min(self.population, int(task.budget.left / price) // self.generations))

    def _corridor(self, front: Front, heavy: int, light: int) -> Corridor:
        """Between the anchors; everything below what either keeps, where they leave no bit free."""
        between = Corridor.between(front.masks[[heavy]], front.masks[[light]])
        if self.corridor == "survivors" or between.width == 0:
            return Corridor.below(between.upper)
        return between

    def _importance(self, layout: pf.Layout, scores: pf.Scores, front: Front) -> pf.Scores:
        """Rank of the score in its layer, and share of the front's masks that keep the unit; both from 0 to 1."""
        found = np.concatenate([ranks(part) for part in layout.split(scores)])
        return ((1 - self.survival) * found + self.survival * front.survival()).astype(np.float32)

    def _start(self, task: pf.Task, front: Front, corridor: Corridor, importance: pf.Scores) -> pf.Masks:
        """The anchors and more of the front, up to half of the population, and samples of the corridor."""
        population = self._population(task, task.prices.evaluation)
        chosen = pf.thin(front.values / task.references, population // 2)
        rows = list(dict.fromkeys([front.heavy(), front.light(self.delta), *chosen.tolist()]))
        kept = task.rng.integers(0, corridor.width + 1, max(1, population - len(rows)))
        samples = corridor.sample(kept, importance, self.temperature, task.rng)
        return pf.Masks.join([front.masks[rows], samples])


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [Hierarchical]
