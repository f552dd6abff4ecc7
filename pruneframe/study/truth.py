"""The truth of a tabular problem: its true Pareto front and hypervolume, since every mask has been evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..front import hypervolume, non_dominated
from ..mask import Masks
from ..model.network import Network
from ..model.tabular import EVALUATED, numbered_masks
from ..problem import LoadedProblem

COUNTED: dict[str, Callable[[Network, Masks], NDArray[np.int64]]] = {"params": Network.params, "macs": Network.macs}


@dataclass(frozen=True)
class Truth:
    """The masks that no other dominates, and the values of their objectives, float64[members, objectives].

    `hypervolume` is that of the whole front, by the references of the search: no search can reach more, unless it
    trains new weights.
    """

    masks: Masks
    values: NDArray[np.float64]
    hypervolume: float

    @classmethod
    def of(cls, loaded: LoadedProblem, split: str, objectives: Sequence[str]) -> Truth | None:
        """On "search" or "test"; None where no table answers, or for objectives but error, params and macs."""
        outcomes, network = loaded.outcomes, loaded.network
        if outcomes is None or not {*objectives} <= {"error", *COUNTED}:
            return None
        masks = numbered_masks(network.layout, np.arange(outcomes.masks))
        columns, references = [], []
        for name in objectives:
            if name == "error":
                columns.append(outcomes.errors(split) / len(loaded.splits[split]))
                references.append(1 - 1 / loaded.data.classes)
            else:
                columns.append(COUNTED[name](network, masks).astype(np.float64))
                references.append(columns[-1][-1])
        values = np.column_stack(columns)
        front = np.flatnonzero(non_dominated(values))
        return cls(masks[front], values[front], hypervolume(values[front] / np.array(references)))

    def record(self, objectives: Sequence[str]) -> dict[str, Any]:
        """As JSON values: the hypervolume, and the members by the first of their objectives."""
        order = np.argsort(self.values[:, 0])
        members = [dict(zip(objectives, row, strict=True)) for row in self.values[order].tolist()]
        return {"hypervolume": self.hypervolume, "front": members}


@lru_cache(maxsize=2)  # all runs on an instance have the same
def true_hypervolumes(loaded: LoadedProblem, objectives: tuple[str, ...]) -> dict[str, float]:
    """On search and on test, as `run.json` has them; none where they are not known."""
    found = {"true_hypervolume_search": "search", "true_hypervolume": "test"}
    truths = {name: Truth.of(loaded, split, objectives) for name, split in found.items()}
    return {name: truth.hypervolume for name, truth in truths.items() if truth is not None}


def truths(loaded: LoadedProblem) -> dict[str, Truth]:
    """By split; none where they are not known."""
    found = {split: Truth.of(loaded, split, loaded.problem.objectives) for split in EVALUATED}
    return {split: truth for split, truth in found.items() if truth is not None}
