"""Sweeps: cuts of one score for all units, and where among all that has been evaluated the next ones belong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..encoding import Scores
from ..mask import Layout, Masks
from ..search.task import Task
from ..search.workbench import DENSE
from .ranking import Highest

NONE = 1e-3  # share of the reference: a smaller excess of error is none


def best(scores: Scores, layout: Layout, kept: Sequence[int] | NDArray[np.integer]) -> Masks:
    """One mask per entry of `kept`, of so many of the highest scores; of equal ones the first units."""
    highest = Highest(scores)
    masks = Masks(np.zeros((len(kept), layout.width), dtype=np.uint8), layout)
    for row, count in zip(masks.bits, kept, strict=True):
        row[:] = np.packbits(highest(int(count)))
    return masks


class Staircase:
    """The least error found at each size, by which the gaps of a front are known.

    A gap is the rectangle between two neighbours in size: the hypervolume that might lie between them. Errors are
    shares of the objective's reference, sizes those of all parameters. That a network of nothing guesses needs no
    evaluation.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._column = task.objectives.index("error")
        nothing = task.layout.full() - task.layout.full()
        self._counts: NDArray[np.int64] = nothing.counts()
        self._sizes: NDArray[np.float64] = task.network.params(nothing) / task.network.total_params
        self._errors = np.ones(1)
        self._dense = np.ones(1, dtype=bool)  # whether under the unpruned network's weights
        self.ends = {0: 1.0}  # errors by units kept, of what all scores share: nothing, and everything once it is known

    @property
    def total(self) -> int:
        """Units that there are."""
        return self._task.layout.total

    def evaluate(self, masks: Masks, weights: str = DENSE) -> NDArray[np.float64]:
        """Errors float64[n]."""
        values = self._task.evaluate(masks, weights)[:, self._column]
        errors = np.minimum(1, values / self._task.references[self._column])
        self._counts = np.append(self._counts, masks.counts())
        self._sizes = np.append(self._sizes, self._task.network.params(masks) / self._task.network.total_params)
        self._errors = np.append(self._errors, errors)
        self._dense = np.append(self._dense, np.full(len(masks), weights == DENSE))
        whole = masks.counts() == self.total
        if whole.any() and weights == DENSE:
            self.ends[self.total] = float(errors[whole][0])
        return errors

    def gaps(self, number: int) -> NDArray[np.int64]:
        """How many units lie in the middle of the largest gaps, the largest first."""
        counts, sizes, errors = self.steps()
        areas = -np.diff(errors) * np.diff(sizes)
        open_ = np.flatnonzero((areas > 0) & (np.diff(counts) > 1))
        widest = open_[np.argsort(-areas[open_], kind="stable")[:number]]
        return (counts[widest] + counts[widest + 1]) // 2

    def steps(self, trained: bool = True) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Units kept, size, and the least error up to that size, of all that has been evaluated, the smallest first.

        Without those under other weights than the unpruned network's, unless `trained`.
        """
        order = np.lexsort((self._errors, self._sizes))
        order = order[trained | self._dense[order]]
        return self._counts[order], self._sizes[order], np.minimum.accumulate(self._errors[order])


class Curve:
    """A score and the errors of its cuts, between which others are guessed.

    Under other weights than the unpruned network's, those that are trained for a mask of so many units as `most`,
    nothing is guessed of larger cuts, which only keep zeros in addition.
    """

    def __init__(
        self, scores: Scores, layout: Layout, stairs: Staircase, weights: str = DENSE, most: int | None = None
    ) -> None:
        self.scores = scores
        self.weights = weights
        self.most = layout.total if most is None else most
        self._layout = layout
        self._stairs = stairs
        self._known: dict[int, float] = {}  # errors by units kept

    def cut(self, kept: NDArray[np.integer]) -> NDArray[np.float64]:
        """Evaluate one cut per entry of `kept`; errors as the staircase gives them."""
        errors = self._stairs.evaluate(best(self.scores, self._layout, kept), self.weights)
        self._known |= dict(zip(kept.tolist(), errors.tolist(), strict=True))
        return errors

    def errors(self, kept: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.float64]:
        """What such cuts would err: between those that are known by straight lines of the logarithm of the excess.

        That is what is added to the least error that is known. It falls by about the same factor for every so many
        units more, so that a straight line of errors would rate a score that was cut at few sizes too low.
        """
        told = {count: error for count, error in (self._stairs.ends | self._known).items() if count <= self.most}
        counts = np.array(sorted(told))
        known = np.array([told[count] for count in counts.tolist()])
        least = known.min()
        guesses = least + np.exp(np.interp(kept, counts, np.log(np.maximum(known - least, NONE))))
        at = np.minimum(np.searchsorted(counts, kept), len(counts) - 1)
        found: NDArray[np.float64] = np.where(counts[at] == kept, known[at], guesses)
        found[np.asarray(kept) > self.most] = np.inf
        return found


def split(stairs: Staircase, curves: Sequence[Curve], number: int) -> None:
    """Evaluate cuts in the middle of the front's largest gaps, `number` at most.

    Each is by the score that errs least there, as far as the curves tell; of equal ones by the latest.
    """
    kept = stairs.gaps(number)
    owners = ablest(curves, kept)
    for place in np.unique(owners):
        curves[place].cut(kept[owners == place])


def middles(least: float, most: float, number: int, total: int) -> NDArray[np.int64]:
    """Numbers of units strictly between two shares of all, at equal ratios; fewer where they fall together."""
    return np.unique(np.rint(np.geomspace(least, most, number + 2)[1:-1] * total).astype(np.int64))


def ablest(curves: Sequence[Curve], kept: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.intp]:
    """Which of the curves errs least at each of these sizes, as far as they tell; of equal ones the latest."""
    guesses = np.array([curve.errors(kept) for curve in reversed(curves)])
    return len(curves) - 1 - guesses.argmin(axis=0)
