"""A portfolio of selections: each fills its quota of the places, which follows what its choices have gained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

import pruneframe as pf
from pruneframe.kit import reference_directions

SELECTORS = ("rank and crowding", "hypervolume contribution", "reference vectors")
MEMORY = 0.5  # of what a selector gained in the generations before


@dataclass(frozen=True)
class Parents:
    """Genomes int64[n, layers], their points float64[n, objectives], and the selectors that chose them, int[n]."""

    genomes: pf.Genomes
    points: pf.Points
    selectors: NDArray[np.int64]


class Portfolio:
    """Several selections, each of which fills its quota of the places; without a floor the first one fills all."""

    def __init__(self, task: pf.Task, places: int, floor: float | None) -> None:
        objectives = len(task.objectives)
        self._pymoo: dict[str, Survival] = {
            "rank and crowding": RankAndCrowding(),
            "reference vectors": ReferenceDirectionSurvival(reference_directions(objectives, places)),
        }
        self._problem = Problem(n_var=1, n_obj=objectives)
        self._rng = task.rng
        self._places = places
        self._floor = floor
        self._gained, self._asked = np.zeros(len(SELECTORS)), np.zeros(len(SELECTORS))

    @property
    def quotas(self) -> NDArray[np.float64]:
        """Share of the places that each may fill."""
        if self._floor is None:
            return np.array([1.0, 0.0, 0.0])
        rates = self._gained / np.maximum(self._asked, 1e-9)
        total = rates.sum()
        shares = rates / total if total > 0 else np.full(len(SELECTORS), 1 / len(SELECTORS))
        return self._floor + (1 - len(SELECTORS) * self._floor) * shares

    def credit(self, selectors: NDArray[np.int64], gains: NDArray[np.float64]) -> None:
        """Tell what hypervolume float64[n] children gained, whose parents were chosen by int64[n, 2].

        What counts is the gain per parent: one that chose many parents has many children.
        """
        self._gained *= MEMORY
        self._asked *= MEMORY
        for column in selectors.T:
            np.add.at(self._gained, column, gains / 2)
            np.add.at(self._asked, column, 0.5)

    def select(self, genomes: pf.Genomes, points: pf.Points) -> Parents:
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

    def _survivors(self, number: int, points: pf.Points, places: int) -> NDArray[np.int64]:
        """Rows that one selection chooses."""
        if SELECTORS[number] not in self._pymoo:
            return pf.thin(points, places)
        population = Population.new(F=points, row=np.arange(len(points)))
        stay = self._pymoo[SELECTORS[number]].do(
            self._problem, population, n_survive=min(places, len(points)), random_state=self._rng
        )
        return np.array([individual.get("row") for individual in stay], dtype=np.int64)
