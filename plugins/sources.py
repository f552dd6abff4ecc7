"""Sources of candidates for the hierarchical search: coarse ones move thresholds, the fine one moves single units."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import pruneframe as pf
from pruneframe.kit import Curve, Staircase, Tuner, shoulder, slope, split

from .encodings import keep_best
from .encodings import least as least_of

FIRST = 6  # cuts by the first score
RIVALS = 3  # cuts by each further score, of sizes that the best so far was cut to
OPENING = 0.2  # of the budget at most, for a score and its cuts
TURN = 8  # candidates of a turn
PIECE, SHARE = 20, 0.2  # passes of a piece of tuning, and the share of the budget that it takes at most
Breed = Callable[[pf.Task, pf.Scores, int], pf.Masks]
STEP = 0.3  # standard deviation of a factor's logarithm


def opening(task: pf.Task, stairs: Staircase, scorers: Sequence[str]) -> Curve:
    """A first front by cuts of the first score, and whichever score errs least that budget and units allow.

    Scores are compared by cuts in the largest gaps of the first one's front.
    """
    found = Curve(task.scores(scorers[0]), task.layout, stairs)
    found.cut(np.array([task.layout.total // 2, task.layout.total]))
    for _ in range(FIRST - 1):
        split(stairs, [found], 1)
    kept = stairs.gaps(RIVALS)
    errors = np.inf
    for scorer in scorers[1:]:
        if (scores := suitable(task, scorer)) is None:
            continue
        rival = Curve(scores, task.layout, stairs)
        if not np.isfinite(errors):
            errors = found.cut(kept).mean()
        if (mean := rival.cut(kept).mean()) < errors:
            found, errors = rival, mean
    return found


def suitable(task: pf.Task, scorer: str) -> pf.Scores | None:
    """The score, where the budget allows for it and the units have it; a name that nothing has, a plan refuses."""
    try:
        return task.scores(scorer) if task.price_of_scores(scorer) <= OPENING * task.budget.total else None
    except pf.InputError:
        return None


class Sources:
    """What each source does in a turn.

    There is one score for small networks, tuned where the front falls, and one for large ones, tuned above that place.
    """

    def __init__(self, task: pf.Task, stairs: Staircase, curve: Curve, rate: float, breed: Breed) -> None:
        self._task = task
        self._stairs = stairs
        self._steep, self._flat = curve, curve
        self._steeply, self._flatly = Tuner(task, stairs, rate), Tuner(task, stairs, rate)
        self._breed = breed

    def cuts(self) -> None:
        """Cuts in the largest gaps, each by the score that errs less there."""
        split(self._stairs, [self._flat, self._steep], TURN)

    def tuned(self) -> None:
        """A piece of tuning where the front falls, and cuts that judge it."""
        self._steep = self._piece(self._steeply, self._steep, *slope(self._stairs))

    def upper(self) -> None:
        """The same above that place, where pruning is felt."""
        self._flat = self._piece(self._flatly, self._flat, *shoulder(self._stairs))

    def _piece(self, tuner: Tuner, curve: Curve, least: float, most: float) -> Curve:
        return tuner.piece(curve, min(PIECE, SHARE * self._task.budget.total), least, most)

    def factors(self) -> None:
        """Thresholds per layer: numbers of units from either of two neighbours on the front, some of them changed."""
        task = self._task
        kept = np.stack([parents.layer_counts() for parents in pairs(task, TURN)]).astype(np.float64)
        layers = kept.shape[2]
        children = np.where(task.rng.random((len(kept), layers)) < 0.5, kept[:, 0], kept[:, 1])
        changed = task.rng.random(children.shape) < 2 / layers
        children *= np.exp(STEP * task.rng.standard_normal(children.shape) * changed)
        counts = np.clip(np.rint(children).astype(np.int64), least_of(task.layout), task.layout.sizes)
        self._stairs.evaluate(keep_best(counts, task.layout, self._steep.scores))

    def masks(self) -> None:
        """Single units inside the corridor between the anchors."""
        self._stairs.evaluate(self._breed(self._task, self._steep.scores, TURN))


def pairs(task: pf.Task, number: int) -> list[pf.Masks]:
    """Random neighbours on the front, two masks each."""
    order = np.argsort([member.values[task.objectives.index("error")] for member in task.archive.members])
    first = task.rng.integers(0, max(1, len(order) - 1), number)
    return [task.archive.masks(order[[i, min(i + 1, len(order) - 1)]]) for i in first]
