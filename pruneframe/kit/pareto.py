"""Pareto sets: masks of which none dominates another, and how points rank behind them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from ..front import Points, non_dominated
from ..mask import Layout, Masks


class ParetoSet:
    """Masks of which none dominates another by some values float64[n, width], in the order they came."""

    def __init__(self, layout: Layout, width: int) -> None:
        self.masks = layout.full()[:0]
        self.values: NDArray[np.float64] = np.empty((0, width))

    def add(self, masks: Masks, values: NDArray[np.float64]) -> None:
        """Take in what nothing dominates, and drop what it dominates."""
        both = np.vstack([self.values, values])
        stays = non_dominated(both)
        if stays[: len(self.values)].all() and not stays[len(self.values) :].any():
            return  # the masks need not be copied, which are large
        self.masks, self.values = Masks.join([self.masks, masks])[stays], both[stays]


def front_numbers(points: Points) -> NDArray[np.int64]:
    """0 for points that no other dominates, 1 for those that only these dominate, and so on: int64[n]."""
    numbers = np.empty(len(points), dtype=np.int64)
    for number, rows in enumerate(NonDominatedSorting().do(points)):
        numbers[rows] = number
    return numbers


def survivors(points: Points, places: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of at most so many points, by rank and then by crowding: the selection of NSGA-II."""
    population = Population.new(F=points, row=np.arange(len(points)))
    problem = Problem(n_var=1, n_obj=points.shape[1])
    stay = RankAndCrowding().do(problem, population, n_survive=min(places, len(points)), random_state=rng)
    return np.array([individual.get("row") for individual in stay], dtype=np.int64)
