"""Memetic search over filters per layer: portfolio-based selection, and a local search on a surrogate.

Hong, Li, Liu, Yang and Tang, "Multi-objective evolutionary optimization for hardware-aware neural network pruning",
Fundamental Research 4(4), 2024, doi 10.1016/j.fmre.2022.07.013.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from scipy.interpolate import RBFInterpolator

import pruneframe as pf
from pruneframe.evolution import IDLE, SMALLEST, Answers, default_population, reference_directions, suitable_variation
from pruneframe.front import hypervolume, non_dominated
from pruneframe.workbench import DENSE

SELECTORS = ("rank and crowding", "hypervolume contribution", "reference vectors")
MOVES = (-2, -1, 1, 2)  # steps by which a layer's width changes in the local search
STARTS = 3  # members of the front, the least crowded ones, at which it begins
MEMORY = 0.5  # of what a selector gained in the generations before
SMOOTHING = 1e-6  # of the surrogate: errors on images are not smooth

Points = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Hamp(pf.Method):
    """Genomes are filters per layer; three selections share the places, and a surrogate proposes small steps."""

    name = "hamp"
    provenance = (
        "Published (Hong et al., doi 10.1016/j.fmre.2022.07.013): a memetic multi-objective search with "
        "portfolio-based selection and a surrogate-assisted local search, for accuracy, latency and memory that are "
        "measured. Our "
        "reconstruction: an integer per layer, filters of largest L2 norm first; rank and crowding (NSGA-II), "
        "hypervolume contribution (SMS-EMOA) and reference vectors (NSGA-III) as the portfolio; quotas by the "
        "hypervolume that children of those chosen gained; cubic radial basis functions as the surrogate; all numbers."
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
    claims = (
        pf.Claim(
            "Hong et al., 2024",
            "better than the state of the art in accuracy, latency and memory, without a figure in the abstract",
            "measured on an NVIDIA Jetson Nano",
        ),
    )
    encoding: str = pf.setting("channel-count[step=2]", "what a genome is: integers, one per layer")
    scorer: str = pf.setting("l2", "importance that decides which filters of a layer stay")
    variation: str | None = pf.setting(None, "operators in turn, joined by +; none: sbx-pm")
    population: int | None = pf.setting(None, "genomes; none: a tenth of the budget, from 4 to 100")
    portfolio: bool = pf.setting(True, "three selections with quotas; off: rank and crowding alone")
    floor: float = pf.setting(0.1, "least quota of a selection, as a share of the places")
    local: int = pf.setting(2, "proposals of the local search that a generation evaluates; 0 switches it off")
    surrogate: bool = pf.setting(True, "the proposals with the largest predicted gain; off: any steps, at random")
    tuned: int = pf.setting(0, "training images of a short fine-tuning before a candidate is evaluated; 0: none")
    learning_rate: float = pf.setting(0.01, "of that fine-tuning, at first")

    def __post_init__(self) -> None:
        if self.population is not None and self.population < SMALLEST:
            raise ValueError(f"population >= {SMALLEST} must hold, but got {self.population}")
        if not 0 <= self.floor <= 1 / len(SELECTORS):
            raise ValueError(f"0 <= floor <= 1/{len(SELECTORS)} must hold, but got {self.floor}")
        if self.local < 0 or self.tuned < 0 or not self.learning_rate > 0:
            raise ValueError(
                "local >= 0, tuned >= 0 and learning_rate > 0 must hold, but got "
                f"{self.local}, {self.tuned} and {self.learning_rate}"
            )

    def search(self, task: pf.Task) -> None:
        if task.units != "filter":
            task.decline("it searches numbers of filters, but the problem's units are single weights")
        coder = task.encoding(self.encoding)
        variables = coder.variables(task.layout)
        if variables.kind != "integer":
            raise pf.InputError(f"encoding must give integers for {self.name!r}, but {self.encoding!r} does not")
        variation, scores = suitable_variation(task, self.variation, variables), task.scores(self.scorer)
        answers = Answers(lambda masks: self._evaluate(task, masks) / task.references)
        size = self.population or default_population(int(task.budget.left / self._price(task)))
        start = coder.sample(size, task.layout, scores, task.rng)
        points = answers(coder.decode(start, task.layout, scores))
        known = Known(start, points)
        portfolio = Portfolio(task, size, self.floor if self.portfolio else None)
        parents = portfolio.select(start, points)
        history: list[dict[str, float]] = []
        idle = 0
        try:
            while idle < IDLE:
                spent, before = task.budget.spent, known.hypervolume
                mates = task.rng.integers(len(parents.genomes), size=2 * size)
                children = variation.vary(parents.genomes[mates], size, variables, task.rng)
                points = answers(coder.decode(children, task.layout, scores))
                portfolio.credit(parents.selectors[mates].reshape(size, 2), known.add(children, points))
                born = known.hypervolume
                steps = known.proposals(self.local, variables, task.rng, self.surrogate)
                if len(steps):
                    found = answers(coder.decode(steps, task.layout, scores))
                    known.add(steps, found)
                    children, points = np.vstack([children, steps]), np.vstack([points, found])
                pool = np.vstack([parents.genomes, children]), np.vstack([parents.points, points])
                parents = portfolio.select(*pool)
                after = known.hypervolume
                gains = {"hypervolume": after, "gain of variation": born - before, "gain of local search": after - born}
                history.append(gains | dict(zip(SELECTORS, portfolio.quotas.tolist(), strict=True)))
                idle = idle + 1 if task.budget.spent == spent else 0
        finally:
            task.record("generations", pd.DataFrame(history))

    def _price(self, task: pf.Task) -> float:
        """Units that a candidate costs."""
        return task.price + 3 * min(self.tuned, task.train_images) / task.search_images

    def _evaluate(self, task: pf.Task, masks: pf.Masks) -> Points:
        """Objective values float64[n, objectives], after a short fine-tuning if there is one."""
        if not self.tuned:
            return task.evaluate(masks)
        recipe = pf.Recipe(images=self.tuned, learning_rate=self.learning_rate)
        rows = [masks[[row]] for row in range(len(masks))]
        return np.vstack([task.evaluate(mask, task.train(mask, DENSE, recipe)) for mask in rows])


@dataclass(frozen=True)
class Parents:
    """Genomes int64[n, layers], their points float64[n, objectives], and the selectors that chose them, int[n]."""

    genomes: pf.Genomes
    points: Points
    selectors: NDArray[np.int64]


class Portfolio:
    """Several selections, each of which fills its quota of the places; without a floor the first one fills all."""

    def __init__(self, task: pf.Task, places: int, floor: float | None) -> None:
        objectives = len(task.objectives)
        directions = reference_directions(objectives, places)
        self._selections: list[Survival] = [
            RankAndCrowding(),
            LeastHypervolumeContributionSurvival(),
            ReferenceDirectionSurvival(directions),
        ]
        self._problem = Problem(n_var=1, n_obj=objectives)
        self._rng = task.rng
        self._places = places
        self._floor = floor
        self._gained = np.zeros(len(SELECTORS))

    @property
    def quotas(self) -> NDArray[np.float64]:
        """Share of the places that each may fill."""
        if self._floor is None:
            return np.array([1.0, 0.0, 0.0])
        total = self._gained.sum()
        shares = self._gained / total if total > 0 else np.full(len(SELECTORS), 1 / len(SELECTORS))
        return self._floor + (1 - len(SELECTORS) * self._floor) * shares

    def credit(self, selectors: NDArray[np.int64], gains: NDArray[np.float64]) -> None:
        """Tell what hypervolume float64[n] children gained, whose parents were chosen by int64[n, 2]."""
        self._gained *= MEMORY
        for column in selectors.T:
            np.add.at(self._gained, column, gains / 2)

    def select(self, genomes: pf.Genomes, points: Points) -> Parents:
        """As many as there are places, of equal genomes one."""
        _, unique = np.unique(genomes, axis=0, return_index=True)
        left = np.sort(unique)
        chosen: list[int] = []
        selectors: list[int] = []
        for number, places in enumerate(self._divided(min(self._places, len(left)))):
            if places:
                rows = self._survivors(number, points[left], places)
                chosen += left[rows].tolist()
                selectors += [number] * len(rows)
                left = np.delete(left, rows)
        return Parents(genomes[chosen], points[chosen], np.array(selectors))

    def _divided(self, places: int) -> NDArray[np.int64]:
        """Whole places by quota; the largest remainders get what is left."""
        exact = self.quotas * places
        whole = np.floor(exact).astype(np.int64)
        whole[np.argsort(whole - exact, kind="stable")[: places - whole.sum()]] += 1
        return whole

    def _survivors(self, number: int, points: Points, places: int) -> NDArray[np.int64]:
        """Rows that one selection chooses."""
        population = Population.new(F=points, row=np.arange(len(points)))
        stay = self._selections[number].do(
            self._problem, population, n_survive=min(places, len(points)), random_state=self._rng
        )
        return np.array([individual.get("row") for individual in stay], dtype=np.int64)


class Known:
    """All that was evaluated: genomes and normalised points, without repetition."""

    def __init__(self, genomes: pf.Genomes, points: Points) -> None:
        self.genomes, self.points = genomes[:0], points[:0]
        self.hypervolume = 0.0
        self._seen: set[bytes] = set()
        self.add(genomes, points)

    def add(self, genomes: pf.Genomes, points: Points) -> NDArray[np.float64]:
        """The hypervolume that each gains, in turn; nothing for one that is known."""
        gains = np.zeros(len(genomes))
        for row, genome in enumerate(genomes):
            if genome.tobytes() not in self._seen:
                self._seen.add(genome.tobytes())
                self.genomes = np.vstack([self.genomes, genome])
                self.points = np.vstack([self.points, points[row]])
                after = hypervolume(self.points)
                gains[row], self.hypervolume = after - self.hypervolume, after
        return gains

    def proposals(
        self, number: int, variables: pf.Variables, rng: np.random.Generator, surrogate: bool = True
    ) -> pf.Genomes:
        """Unknown neighbours of the front's least crowded members: those that promise most, or any without a surrogate.

        The ends of the front, at which crowding is infinite, come last: most steps from there gain nothing.
        """
        front = np.flatnonzero(non_dominated(self.points))
        crowding = calc_crowding_distance(self.points[front])
        starts = front[np.lexsort((-crowding, np.isinf(crowding)))[:STARTS]]
        steps = self._neighbours(self.genomes[starts], variables)
        if not surrogate:
            return steps[rng.permutation(len(steps))[:number]]
        predicted = self._predict(steps, variables) if number and len(steps) else None
        if predicted is None:
            return steps[:0]
        front_points = self.points[front]
        gains = [hypervolume(np.vstack([front_points, point])) - self.hypervolume for point in predicted]
        best = np.argsort(-np.array(gains), kind="stable")[:number]
        return steps[[row for row in best if gains[row] > 0]]

    def _neighbours(self, genomes: pf.Genomes, variables: pf.Variables) -> pf.Genomes:
        """One layer wider or narrower by a step or two, within bounds; those that are not known."""
        found: dict[bytes, pf.Genomes] = {}
        for genome in genomes:
            for layer in range(len(genome)):
                for move in MOVES:
                    step = genome.copy()
                    step[layer] += move
                    if variables.lower[layer] <= step[layer] <= variables.upper[layer]:
                        found[step.tobytes()] = step
        new = [step for key, step in found.items() if key not in self._seen]
        return np.array(new, dtype=genomes.dtype).reshape(len(new), genomes.shape[1])

    def _predict(self, genomes: pf.Genomes, variables: pf.Variables) -> Points | None:
        """Cubic radial basis functions through all that is known; None where that is too little."""
        free = variables.upper > variables.lower
        scale = variables.upper[free]
        try:
            known = self.genomes[:, free] / scale
            model = RBFInterpolator(known, self.points, kernel="cubic", smoothing=SMOOTHING)
            return np.maximum(model(genomes[:, free] / scale), 0)
        except (ValueError, np.linalg.LinAlgError):  # fewer points than variables, or all of them in one plane
            return None


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [Hamp]
