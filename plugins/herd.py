"""A herd: a population of masks under one set of weights, bred, and rebuilt from its retrained elite.

Yang, An, Li, Diao and Xu, "Multi-objective Pruning for CNNs Using Genetic Algorithm", ICANN 2019, arXiv 1906.00399.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

import pruneframe as pf
from pruneframe.kit import check_population

from .gene_mutation import Mutation

TERMS = {"error": "error", "computation": "multiply-adds kept", "size": "parameters kept"}  # and for the record


@dataclass(frozen=True)
class Breeding:
    """How a herd is bred; the settings of `weighted-ga` of these names say what each is."""

    scorer: str
    population: int
    survivors: float
    crossover: float
    mutation: float
    step: float
    smallest: float
    recipe: pf.Recipe  # of a retraining


class Herd:
    """A population of masks under one set of weights, with the terms of their fitness, float64[n, 3] from 0 to 1."""

    def __init__(self, task: pf.Task, breeding: Breeding) -> None:
        check_population(breeding.population, task.layout.width)
        self._task = task
        self._breeding = breeding
        self._parents = surviving(breeding.survivors, breeding.population)
        self._recipe = replace(breeding.recipe, images=task.prices.epoch(breeding.recipe))
        self.retrained = 0.0  # passes that retraining and rebuilding have cost so far
        self._rebuild(task.layout.full(), pf.DENSE)
        self._rebuilding = task.price_of_scores(breeding.scorer) + breeding.population * task.prices.evaluation
        self.retraining_price = task.prices.training(self._recipe) + self._rebuilding
        self.dense = float(self.terms[0, 0])  # the unpruned network's error

    def _rebuild(self, elite: pf.Masks, weights: str) -> None:
        """An elite and mutants of it, under new weights; nothing changes where the budget ends before."""
        mutation = self._mutation_under(weights)
        masks = elite[[0] * self._breeding.population]
        for row in range(1, len(masks)):
            mutant = elite.unpack(0)
            mutation(mutant)
            masks.bits[row] = np.packbits(mutant)
        self.terms = self._measure(masks, weights)
        self.masks, self._weights, self._mutation = masks, weights, mutation
        self.generation = 0  # since the population was rebuilt

    def _mutation_under(self, weights: str) -> Mutation:
        breeding = self._breeding
        settings = {"chance": breeding.mutation, "step": breeding.step, "smallest": breeding.smallest}
        return Mutation(self._task, weights, scorer=breeding.scorer, **settings)

    def _measure(self, masks: pf.Masks, weights: str) -> np.ndarray:
        """The terms of the fitness, float64[n, 3]."""
        task, network = self._task, self._task.network
        error = task.evaluate(masks, weights)[:, task.objectives.index("error")]
        shares = network.macs(masks) / network.total_macs, network.params(masks) / network.total_params
        return np.column_stack([error, *shares])

    def sort(self, weighting: np.ndarray) -> None:
        """The fittest first."""
        order = np.argsort(self.terms @ weighting, kind="stable")
        self.masks, self.terms = self.masks[order], self.terms[order]

    def state(self, weighting: np.ndarray) -> dict[str, float]:
        """For the record of a sorted herd: the elite's fitness and its terms, and the mean fitness."""
        fitness = self.terms @ weighting
        elite = {name: float(value) for name, value in zip(TERMS.values(), self.terms[0], strict=True)}
        summary = {"fitness": float(fitness[0]), "mean fitness": float(fitness.mean())}
        return summary | elite | {"spent on retraining": self.retrained}

    def breed(self) -> None:
        """Replace the less fit of a sorted herd by children: a survivor, infected by a fitter one, and mutated."""
        parents, layout = self._parents, self.masks.layout
        masks = layout.full(self._breeding.population - parents)
        for bits in masks.bits:
            winner, loser = sorted(self._task.rng.choice(parents, size=2, replace=False))
            child = self.masks.unpack(loser)
            for own, fitter in zip(layout.split(child), layout.split(self.masks.unpack(winner)), strict=True):
                if self._task.rng.random() < self._breeding.crossover:
                    own[:] = fitter
            self._mutation(child)
            bits[:] = np.packbits(child)
        terms = self._measure(masks, self._weights)
        self.masks = pf.Masks.join([self.masks[:parents], masks])
        self.terms = np.vstack([self.terms[:parents], terms])
        self.generation += 1

    def retrain(self) -> None:
        """Train the elite of a sorted herd, and count what that costs."""
        spent = self._task.budget.spent
        self._train(self._recipe)
        self.retrained += self._task.budget.spent - spent

    def _train(self, recipe: pf.Recipe) -> None:
        """Train the elite of a sorted herd, its zeros kept, and rebuild the population from it."""
        elite = self.masks[[0]]
        self._rebuild(elite, self._task.train(elite, self._weights, recipe))

    def finish(self) -> None:
        """Train the elite of a sorted herd with all that is left of the current share; no retraining counts it."""
        prices = self._task.prices
        visits = prices.trainable(self._task.budget.left - self._rebuilding - prices.new_weights)
        epochs = max(1, math.ceil(visits / self._task.train_images))
        images = int(visits / epochs)
        if images > 0:
            self._train(replace(self._recipe, epochs=epochs, images=images))


def surviving(survivors: float, population: int) -> int:
    """Genomes of a population that survive a generation: two at least, and not all."""
    return min(max(2, round(survivors * population)), population - 1)
