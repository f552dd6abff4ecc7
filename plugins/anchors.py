"""Anchors: the two members of a front between which the hierarchical search goes on.

Khan and Asilian Bidgoli, "A Hierarchical Importance-Guided Multi-objective Evolutionary Framework for Deep Neural
Network Pruning", arXiv 2604.01076, April 2026.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.kit import Corridor


@dataclass(frozen=True)
class Front:
    """The Pareto front of what has been evaluated, and the unpruned network's error."""

    masks: pf.Masks
    values: np.ndarray
    errors: np.ndarray
    dense_error: float

    @classmethod
    def of(cls, task: pf.Task) -> Front:
        """The task's front so far, of at least one evaluation."""
        masks, _ = task.archive.front()
        values, column = task.archive.front_values(), task.objectives.index("error")
        dense = task.layout.full().digests()[0]
        known = [e.values[column] for e in task.archive.evaluations if e.mask == dense]
        errors = values[:, column]
        return cls(masks, values, errors, known[0] if known else float(errors.min()))

    def heavy(self) -> int:
        """The member with the smallest error; ties: the one that keeps less."""
        return int(np.lexsort((self.masks.counts(), self.errors))[0])

    def light(self, delta: float) -> int:
        """The member that keeps least, at most `delta` points worse than the unpruned network, else the knee."""
        allowed = np.flatnonzero(self.errors <= self.dense_error + delta / 100 + 1e-12)
        counts = self.masks.counts()
        if len(allowed):
            return int(allowed[np.argmin(counts[allowed])])
        return knee(np.stack([self.errors, counts], axis=1))

    def survival(self) -> np.ndarray:
        """Share of the members that keep each unit, float32[units]."""
        kept = np.zeros(self.masks.layout.total, dtype=np.float32)
        for row in range(len(self.masks)):
            kept += self.masks.unpack(row)
        return kept / len(self.masks)


def knee(points: np.ndarray) -> int:
    """The point farthest below the line between the ends of a front float64[n, 2] (Das, Struct. Optim. 18, 1999)."""
    low, high = points.min(axis=0), points.max(axis=0)
    return int(np.argmin(((points - low) / np.maximum(high - low, 1e-12)).sum(axis=1)))


def record_corridor(task: pf.Task, front: Front, heavy: int, light: int, corridor: Corridor) -> None:
    """Record the front that the anchors are chosen on, the anchors and the corridor's size."""
    table = pd.DataFrame(front.values, columns=list(task.objectives))
    table["kept"] = front.masks.counts() / task.layout.total
    task.record("coarse front", table)
    task.record("anchors", table.iloc[[heavy, light]].assign(anchor=["heavy", "light"]))
    ends = corridor.lower.counts()[0], corridor.upper.counts()[0]
    low, high = (int(count) / task.layout.total for count in ends)
    task.record("corridor", pd.DataFrame([{"lower": low, "upper": high, "free": corridor.width}]))
