"""Sources of candidates for the hierarchical search: coarse ones move thresholds, the fine one moves single units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

import pruneframe as pf
from pruneframe.kit import FELT, Curve, Staircase, Tuner, ablest, edge, middles, shoulder, slope, split

from .encodings import keep_best
from .encodings import least as least_of
from .retraining import Retraining

FIRST = 6  # cuts by the first score
PLACES = 4  # sizes by which curves are compared
RIVALS = 3  # cuts by each further score, of sizes that the best so far was cut to
OPENING = 0.2  # of the budget at most, for a score
TURN = 4  # candidates of a turn
PIECE, SHARE = 20, 0.2  # passes of a piece of tuning, and the share of the budget that it takes at most
Breed = Callable[[pf.Task, pf.Scores, pf.Masks], pf.Masks]
STEP = 0.3  # standard deviation of a factor's logarithm


def opening(task: pf.Task, stairs: Staircase, scorers: Sequence[str]) -> list[Curve]:
    """A first front by cuts of the first score, and a few cuts of each further one that budget and units allow.

    All are cut at the same sizes: in the largest gaps of the first one's front, where it falls, and once above, where
    pruning is first felt. No score errs least in both places on every network.
    """
    prices = [task.price_of_scores(scorer) for scorer in scorers]  # an unknown one is an error before any cost
    total = task.layout.total
    first = Curve(task.scores(scorers[0]), task.layout, stairs)
    first.cut(np.array([total // 2, total]))
    for _ in range(FIRST - 1):
        split(stairs, [first], 1)
    kept = np.append(stairs.gaps(RIVALS), middles(*shoulder(stairs), 1, total))
    found = [first]
    for scorer, price in zip(scorers[1:], prices[1:], strict=True):
        if price > OPENING * task.budget.total:  # or not defined for these units
            continue
        found.append(Curve(task.scores(scorer), task.layout, stairs))
        found[-1].cut(kept)
    if len(found) > 1:
        first.cut(kept)
    return found


class Sources:
    """What each source does in a turn.

    One score is tuned for small networks, where the front falls: of the curves that the opening has found, the one that
    errs least there. From there on down pruned networks are retrained as well. Elsewhere whichever curve errs least at
    a size serves it, with the weights that it has.
    """

    def __init__(
        self,
        task: pf.Task,
        stairs: Staircase,
        curves: Sequence[Curve],
        breed: Breed,
        tuner: Tuner,
        retraining: Retraining,
    ) -> None:
        self._task = task
        self._stairs = stairs
        self._found = list(curves)
        self._tuned = self._ablest(*slope(stairs))
        self._tuner = tuner
        self._retraining = retraining
        self._breed = breed

    @property
    def _untrained(self) -> list[Curve]:
        """Those of the unpruned network's weights, the latest last."""
        return [*self._found, self._tuned]

    @property
    def _curves(self) -> list[Curve]:
        """All of them; of equal ones the last is taken, whose weights nobody had to train."""
        return [*self._retraining.curves, *self._untrained]

    def cuts(self) -> None:
        """Cuts in the largest gaps, each by the score that errs least there."""
        split(self._stairs, self._curves, TURN)

    def tuned(self) -> None:
        """A piece of tuning where the front falls, and cuts that judge it, until trained networks err less there."""
        least, most = slope(self._stairs)
        if not self._overtaken(least, most):
            passes = min(PIECE, SHARE * self._task.budget.total)
            self._tuned = self._tuner.piece(self._tuned, passes, least, most)

    def trained(self) -> None:
        """A round of pruning and retraining, and a few cuts below it."""
        self._retraining.round(lambda kept: self._untrained[ablest(self._untrained, np.array([kept]))[0]])

    def _overtaken(self, least: float, most: float) -> bool:
        """Whether trained networks err less between two shares kept, on average up to the largest of them."""
        trained = [curve for curve in self._retraining.curves if curve.most]  # blocks may all go
        if not trained:
            return False
        kept = middles(
            least, min(most, max(curve.most for curve in trained) / self._stairs.total), PLACES, self._stairs.total
        )
        theirs, ours = (
            np.min([curve.errors(kept) for curve in curves], axis=0) for curves in (trained, self._untrained)
        )
        return bool(theirs.mean() < ours.mean())

    def edge(self) -> None:
        """Cuts and thresholds per layer where pruning is hardly felt.

        There lies little hypervolume, and what a user takes who will not lose accuracy.
        """
        least, most = edge(self._stairs)
        kept = middles(least, most, TURN // 2, self._stairs.total)
        for curve, rows in self._owners(kept):
            curve.cut(kept[rows])
        self._mix(pairs(self._task, TURN // 2, FELT))

    def factors(self) -> None:
        """Thresholds per layer: numbers of units from either of two neighbours on the front, some of them changed."""
        self._mix(pairs(self._task, TURN))

    def _mix(self, couples: Sequence[pf.Masks]) -> None:
        """A child of each couple."""
        task = self._task
        kept = np.stack([parents.layer_counts() for parents in couples]).astype(np.float64)
        layers = kept.shape[2]
        children = np.where(task.rng.random((len(kept), layers)) < 0.5, kept[:, 0], kept[:, 1])
        changed = task.rng.random(children.shape) < 2 / layers
        children *= np.exp(STEP * task.rng.standard_normal(children.shape) * changed)
        counts = np.clip(np.rint(children).astype(np.int64), least_of(task.layout), task.layout.sizes)
        for curve, rows in self._owners(counts.sum(axis=1)):
            self._stairs.evaluate(keep_best(counts[rows], task.layout, curve.scores), curve.weights)

    def masks(self) -> None:
        """Single units inside the corridor between the anchors."""
        parents = pairs(self._task, TURN)
        for curve, rows in self._owners(np.array([couple.counts().mean() for couple in parents])):
            couples = pf.Masks.join([parents[row] for row in rows])
            self._stairs.evaluate(self._breed(self._task, curve.scores, couples), curve.weights)

    def _owners(self, kept: NDArray[np.integer] | NDArray[np.floating]) -> Iterator[tuple[Curve, NDArray[np.intp]]]:
        """Each curve that errs least at some of these sizes, with their places."""
        owners = ablest(self._curves, kept)
        for place in np.unique(owners):
            yield self._curves[place], np.flatnonzero(owners == place)

    def _ablest(self, least: float, most: float) -> Curve:
        """Of the curves that were found, the one that errs least between two shares kept."""
        kept = middles(least, most, PLACES, self._stairs.total)
        return min(self._found, key=lambda curve: curve.errors(kept).mean())


def pairs(task: pf.Task, number: int, way: float = 1.0) -> list[pf.Masks]:
    """Random neighbours on the front, two masks each, the better of which errs at most so much more than the best.

    `way`: a share of the way from the least error to guessing.
    """
    column = task.objectives.index("error")
    errors = np.array([member.values[column] for member in task.archive.members])
    order = np.argsort(errors, kind="stable")
    near = int(np.count_nonzero(errors <= errors.min() + way * (task.references[column] - errors.min())))
    first = task.rng.integers(0, max(1, min(near, len(order) - 1)), number)
    return [task.archive.masks(order[[i, min(i + 1, len(order) - 1)]]) for i in first]
