"""Fronts of parts that are pruned apart: how their members are found, kept, and joined to whole networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.kit import UNPRUNED, ParetoSet


def divided(task: pf.Task, cuts: Literal["resolution", "none"] | tuple[int, ...]) -> list[pf.Part]:
    """The parts of a network, one after the other; declines one that cannot be cut so."""
    network = task.network
    try:
        starts = cuts if isinstance(cuts, tuple) else network.stages if cuts == "resolution" else ()
        if cuts == "resolution" and not starts:
            places = ", ".join(str(cut.layer) for cut in network.cuts) or "none"
            raise pf.InputError(f"its resolution changes nowhere that it can be cut; set cuts (possible: {places})")
        return [task.part(start, stop) for start, stop in pairwise((0, *starts, len(network.layers)))]
    except pf.InputError as error:
        task.decline(f"it divides the network, but {error}")


class Found:
    """Evaluates a part: the error at its detector, and the parameters that remain; keeps the front."""

    def __init__(self, task: pf.Task, part: pf.Part, head: str) -> None:
        self._network = task.network
        self._part = part
        self.head = head
        self.front = ParetoSet(task.layout, 2)

    @staticmethod
    def references(task: pf.Task) -> np.ndarray:
        """What counts as 1 in error and in parameters, float64[2]."""
        return np.array([task.references[task.objectives.index("error")], task.network.total_params])

    def __call__(self, masks: pf.Masks) -> np.ndarray:
        """Error and parameters, float64[n, 2]; one by one, so that none is lost when the budget ends."""
        points = np.empty((len(masks), 2))
        for row in range(len(masks)):
            mask = masks[[row]]
            points[row] = self._part.evaluate(mask, self.head)[0], self._network.params(mask)[0]
            self.front.add(mask, points[[row]])
        return points


@dataclass
class Front:
    """Pruned members of a part's front, the largest first."""

    part: pf.Part
    masks: pf.Masks
    params: np.ndarray  # of the network with this part alone pruned
    weights: list[str]
    impairments: np.ndarray  # loss of accuracy when this part alone is pruned, as shares of the images; or not a number

    @classmethod
    def of(cls, task: pf.Task, part: pf.Part, masks: pf.Masks, points: np.ndarray, members: int) -> Front:
        """At most so many, chosen by their share of the hypervolume of normalised points float64[n, objectives]."""
        pruned = np.flatnonzero(masks.counts() < task.layout.total)
        chosen = masks[pruned[pf.thin(points[pruned], members)]]
        params = task.network.params(chosen)
        order = np.argsort(-params, kind="stable")
        return cls(part, chosen[order], params[order], [pf.DENSE] * len(order), np.full(len(order), np.nan))

    def table(self) -> pd.DataFrame:
        """For the report."""
        trained = [float(weights != pf.DENSE) for weights in self.weights]
        return pd.DataFrame({"params": self.params, "impairment": self.impairments, "trained": trained})


def scheme_price(task: pf.Task) -> float:
    """Passes that a network with new weights costs: its evaluation, and the batch-norm images of its weights."""
    return task.prices.evaluation + task.prices.new_weights


def dense_error(task: pf.Task) -> float:
    """The unpruned network's error, which is evaluated first."""
    return task.archive.evaluations[0].values[task.objectives.index("error")]


def joined(task: pf.Task, fronts: Sequence[Front], scheme: Sequence[int]) -> tuple[pf.Masks, str]:
    """The mask and the weights id of a joint scheme."""
    chosen = [(front, row) for front, row in zip(fronts, scheme, strict=True) if row != UNPRUNED]
    mask = task.layout.full()
    for front, row in chosen:
        mask = mask & front.masks[[row]]
    return mask, task.assemble([(front.part, front.weights[row]) for front, row in chosen])


def predecessor(task: pf.Task, fronts: Sequence[Front], tolerated: float) -> pf.Predecessor | None:
    """The parts so far, each with its smallest member whose impairment is tolerated, or the least one; None before any.

    Where impairments were not measured it is the member in the middle by size.
    """
    if not fronts:
        return None
    return pf.Predecessor(*joined(task, fronts, [_useful(front, tolerated) for front in fronts]))


def _useful(front: Front, tolerated: float) -> int:
    """A row of the front, the largest first in it."""
    if not len(front.masks):
        return UNPRUNED
    if np.isnan(front.impairments).all():
        return len(front.masks) // 2
    harmless = np.flatnonzero(front.impairments <= tolerated)
    return int(harmless[-1] if len(harmless) else np.argmin(front.impairments))
