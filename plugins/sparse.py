"""What sparse evolutionary methods have in common: settings, first masks, units ranked one by one, the loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

import pruneframe as pf
from pruneframe.kit import SMALLEST, check_population, default_population, evolve, front_numbers, survivors

from .presets import PLAIN, Presets

Vary = Callable[[pf.Masks, pf.Masks], pf.Masks]  # first and second parents, n each -> n children
Evaluate = Callable[[pf.Masks], pf.Points]
Order = Literal["removal", "alone", "score"]

BEST: dict[str, Any] = {"start": "importance", "scorer": "reconstruction"}
PAPER: dict[str, Any] = {"start": "published", "scorer": PLAIN, "population": 100}
COMMON = Presets({"best": BEST, "paper": PAPER})


@dataclass(frozen=True, repr=False)
class SparseEvolution(pf.Method):
    """NSGA-II on masks, but for how the first masks and the children are made."""

    presets: ClassVar[Presets] = COMMON
    preset: Literal["best", "paper"] = pf.setting("best", "where settings that are not given come from", tried=())
    start: Literal["importance", "published"] = COMMON.setting(
        "start", "first masks: spread over densities, the important units kept, or as the paper draws them"
    )
    scorer: str = COMMON.setting(
        "scorer",
        "importance of units, wherever one is needed; a preset's is replaced by magnitude where it is not defined for "
        "the units or would cost more than a tenth of the budget",
        kind="scorer",
    )
    population: int | None = COMMON.setting(
        "population", "masks; none: a tenth of the budget's evaluations, from 4 to 100", least=SMALLEST, tried=(4, 100)
    )

    def search(self, task: pf.Task) -> None:
        self.presets.suited(self, self.preset, task)._search(task)

    @abstractmethod
    def _search(self, task: pf.Task) -> None:
        """The search, with a value for every setting."""

    @abstractmethod
    def _published_start(self, number: int, task: pf.Task, ranks: pf.Scores | None) -> pf.Masks:
        """So many first masks as the paper draws them; ranks float32[units], where it has any."""

    def _first(self, task: pf.Task, ranks: pf.Scores | None = None) -> pf.Masks:
        """The first population. What was evaluated before competes for its places."""
        number = self.population or default_population(task.affordable)
        check_population(number, task.layout.width)
        if self.start == "published":
            drawn = self._published_start(number, task, ranks)
        else:
            bits = task.encoding("mask").sample(number, task.layout, task.scores(self.scorer), task.rng)
            drawn = pf.Masks(bits, task.layout)
        if not task.archive.evaluations:
            return drawn
        masks = distinct(pf.Masks.join([drawn, task.archive.front()[0]]))
        return masks[survivors(task.evaluate(masks) / task.references, number, task.rng)]


def breed(task: pf.Task, start: pf.Masks, vary: Vary, evaluate: Evaluate | None = None) -> None:
    """NSGA-II from these masks until the budget is spent, or nothing new is made; of the task's units by default."""
    layout, measure = start.layout, evaluate or task.evaluate

    def children(parents: pf.Genomes, n: int) -> pf.Genomes:
        pairs = pf.families(parents, n)
        return vary(pf.Masks(pairs[:, 0], layout), pf.Masks(pairs[:, 1], layout)).bits

    evolve(task, "nsga2", start.bits, children, lambda bits: measure(pf.Masks(bits, layout)))


def scattered(counts: np.ndarray, layout: pf.Layout, rng: np.random.Generator) -> pf.Masks:
    """Masks that keep counts int64[n] units each, drawn at random."""
    found = pf.Masks(np.zeros((len(counts), layout.width), dtype=np.uint8), layout)
    for bits, count in zip(found.bits, counts, strict=True):
        pf.flip(bits, rng.choice(layout.total, count, replace=False, shuffle=False))
    return found


def best_masks(task: pf.Task, limit: int) -> pf.Masks:
    """At most so many masks of the front of all that was evaluated."""
    return task.archive.masks(pf.thin(task.archive.front_values() / task.references, limit))


def distinct(masks: pf.Masks) -> pf.Masks:
    """Of equal masks the first."""
    rows = {digest: row for row, digest in reversed([*enumerate(masks.digests())])}
    return masks[sorted(rows.values())]


def crossed(first: pf.Masks, second: pf.Masks, rng: np.random.Generator) -> pf.Masks:
    """Uniform crossover: every bit from either parent with equal chance."""
    children = rng.integers(0, 256, first.bits.shape, dtype=np.uint8)
    children &= first.bits ^ second.bits  # in place, since populations of millions of bits are large
    children ^= first.bits
    return pf.Masks(children, first.layout)


def flipped(masks: pf.Masks, rng: np.random.Generator) -> pf.Masks:
    """Every bit flipped with the chance of one in as many as there are."""
    units, found = masks.layout.total, masks.bits.copy()
    for bits in found:
        pf.flip(bits, rng.choice(units, rng.binomial(units, 1 / units), replace=False, shuffle=False))
    return pf.Masks(found, masks.layout)


def winners(pairs: np.ndarray, scores: pf.Scores) -> np.ndarray:
    """The higher-scored unit of each pair int64[n, 2], the first where both score the same: int64[n]."""
    return np.where(scores[pairs[:, 1]] > scores[pairs[:, 0]], pairs[:, 1], pairs[:, 0])


def one_by_one(task: pf.Task, order: Order, share: float) -> pf.Scores:
    """Importance of units by the fronts on which the masks lie that lack, or keep, one unit alone: float32[units].

    A good mask that lacks a unit says that it may go, a good mask that keeps it alone that it should stay. Declines
    where these evaluations would take more than a share of the budget.
    """
    units, pays = task.layout.total, int(share * task.budget.total / task.prices.evaluation)
    if units > pays:
        task.decline(
            f"it evaluates each of {units:,} units by itself first, but {share:g} of the budget pays for {pays:,}; "
            "give a larger budget, prune larger units, as by --units filter, or let a score rank them, by order=score"
        )
    masks = task.layout.full(units)
    if order == "alone":
        masks = masks - masks
    for unit, bits in enumerate(masks.bits):
        pf.flip(bits, np.array([unit]))
    numbers = front_numbers(task.evaluate(masks) / task.references).astype(np.float32)
    return numbers if order == "removal" else numbers.max() - numbers
