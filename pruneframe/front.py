"""Pure functions on points to be minimised, float64[n, objectives]: Pareto front, hypervolume, attainment.

Indicators work on *normalised* points: every objective divided by its reference, ideal 0, reference point 1, so that
the hypervolume lies in [0, 1] for any number of objectives. The computations are moocore's.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # float64[n, objectives], to be minimised

INDICATORS_VERSION = 2  # goes into a study's identity: raise it whenever a definition or constant here changes
FRONT_LIMIT = 100  # members of a final front that are tested
DROPS = (0.5, 1.0, 2.0)  # points of lost accuracy at which the reduction is reported
BLOCK = 64  # points of a curve that are compared with its front at once
REGION_MARGIN = 0.10  # hypervolume_region divides the error by (dense test error + this)
LEAST_SHARE = 0.01  # of a size, which counts as 0 in hypervolume_log


@dataclass(frozen=True)
class OperatingPoint:
    """The largest share of all parameters removed (`reduction`) at `drop` points of *search* error above dense.

    `test_drop` is what that member loses on test, in points, `interval` its paired 95 % interval. None where a run has
    no such member. A `sure` one is among the members that lose at most so much on search with 90 % confidence,
    one-sided and paired: the boldest of a dense front is a lucky one.
    """

    drop: float
    reduction: float | None = None
    test_drop: float | None = None
    interval: tuple[float, float] | None = None
    sure: bool = False

    @property
    def kind(self) -> str:
        """What stands before its names: nothing, or "sure_"."""
        return "sure_" if self.sure else ""


def non_dominated(points: Points) -> NDArray[np.bool_]:
    """Which points no other point dominates, bool[n]; of equal points the first stays."""
    if len(points) == 0:
        return np.zeros(0, dtype=bool)
    return np.asarray(moocore.is_nondominated(points), dtype=bool)


def hypervolume(points: Points) -> float:
    """Share of the unit box that normalised points dominate; points at or beyond 1 in any objective add nothing.

    Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms", PPSN 1998.
    """
    inside = points[np.all(points < 1, axis=1)]
    if len(inside) == 0:
        return 0.0
    return float(moocore.hypervolume(np.maximum(inside, 0.0), ref=1.0))


def hypervolume_curve(points: Points) -> NDArray[np.float64]:
    """Hypervolume after each of the points in turn, float64[n]."""
    curve = np.zeros(len(points))
    front = points[:0]
    for first in range(0, len(points), BLOCK):
        block = points[first : first + BLOCK]
        beaten = np.all(front[:, None] <= block, axis=2).any(axis=0)  # most points are, by what came before
        for i, point in zip(first + np.flatnonzero(~beaten), block[~beaten], strict=True):
            if not np.any(np.all(front <= point, axis=1)):
                front = np.vstack([front[~np.all(front >= point, axis=1)], point])
                curve[i] = hypervolume(front)
    return np.maximum.accumulate(curve)


def log_scaled(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of a size on a log scale: 1 stays 1, 1 % and less are 0, and 10 % lies in the middle."""
    return np.maximum(0.0, 1 - np.log(np.maximum(shares, np.finfo(float).tiny)) / np.log(LEAST_SHARE))


def mean_reached(curve: NDArray[np.float64], spent: NDArray[np.float64], budget: float) -> float:
    """The mean over a budget of what a curve has reached, which is 0 before its first point.

    `spent`, ascending, says where in the budget each of its points lies: it is the area under the steps, divided by it.
    """
    lasting = np.diff(np.minimum(spent, budget), append=budget)
    return float(np.sum(curve * lasting) / budget)


def thin(points: Points, limit: int = FRONT_LIMIT) -> NDArray[np.int64]:
    """Indices, ascending, of at most `limit` points: the smallest contribution to the hypervolume goes first."""
    kept = np.arange(len(points))
    while len(kept) > limit:
        kept = np.delete(kept, int(np.argmin(contributions(points[kept]))))
    return kept


def contributions(points: Points) -> NDArray[np.float64]:
    """What each point adds to the hypervolume of the other undominated ones, float64[n]; 0 for dominated ones."""
    if len(points) == 0:
        return np.zeros(0)
    if points.shape[1] == 1:  # which moocore does not take
        best, second = np.sort(np.append(np.clip(points, 0.0, 1.0), 1.0))[:2]
        return np.where(np.arange(len(points)) == int(np.argmin(points)), second - best, 0.0)
    return np.asarray(moocore.hv_contributions(np.clip(points, 0.0, 1.0), ref=1.0))


def pick(points: Points, number: int, beside: Points) -> NDArray[np.int64]:
    """Rows of at most `number` points, in turn the one that adds most hypervolume to `beside` and to those before it.

    What would add nothing is left out. A gain only falls as others are added, so that only the largest of the old ones
    is computed anew: Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978.
    """
    have, covered = beside, hypervolume(beside)
    queue = [(-math.inf, row) for row in range(len(points))]  # a heap: the largest gain, or its bound, comes first
    chosen: list[int] = []
    fresh: set[int] = set()  # rows whose gain is that beside all that is chosen
    while queue and len(chosen) < number:
        bound, row = heapq.heappop(queue)
        if bound == 0:
            break
        if row in fresh:
            chosen.append(row)
            have = np.vstack([have, points[row]])
            covered = hypervolume(have)  # and not the sum of gains, whose rounding would be the gain of another
            fresh.clear()
        else:
            gain = hypervolume(np.vstack([have, points[row]])) - covered
            heapq.heappush(queue, (-max(0.0, gain), row))
            fresh.add(row)
    return np.array(chosen, dtype=np.int64)


def attainment(fronts: list[Points], share: float) -> Points:
    """The surface that `share` (in (0, 1]) of the fronts attain, as float64[k, objectives].

    Fonseca, Guerreiro, López-Ibáñez and Paquete, "On the computation of the empirical attainment function", EMO 2011.
    """
    if not 0 < share <= 1:
        raise ValueError(f"0 < share <= 1 must hold, but got {share}")
    points = np.vstack(fronts)
    labels = np.repeat(np.arange(len(fronts)), [len(front) for front in fronts])
    # moocore counts the fronts that have points, and divides by zero where none has
    attaining = len(np.unique(labels))
    wanted = math.ceil(share * len(fronts) - 1e-9)
    if wanted > attaining:
        return points[:0]
    surface = moocore.eaf(points, sets=labels, percentiles=[wanted / attaining * 100])
    return np.asarray(surface, dtype=np.float64)[:, :-1]


def choose(errors: NDArray[np.float64], reductions: NDArray[np.float64], limit: float) -> int | None:
    """The member with the largest reduction among those with an error of at most `limit`; ties: the smaller error."""
    allowed = np.flatnonzero(errors <= limit + 1e-12)
    if len(allowed) == 0:
        return None
    return int(min(allowed, key=lambda i: (-reductions[i], errors[i])))
