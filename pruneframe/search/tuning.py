"""Tuning an importance score: its order of units follows the gradient of the pruned network's outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..encoding import Scores
from .slopes import Slopes

BLOCK = 10  # steps
SURE = 3  # standard errors
FALL, RISE = 4, 1.5  # the rate is divided by the one where a block has led astray, otherwise multiplied by the other


@dataclass(frozen=True)
class Tuning:
    """How to tune; raises ValueError where a value is out of range.

    The score's ranks, from 0 to 1, move against the gradient: by `rate` a step, as the root mean square over all units,
    and by less where that leads astray. Each step prunes to a share kept that is drawn between `least` and `most`.
    """

    images: int = 10_000  # training images that are looked at; none twice before all have been
    batch: int = 200  # of a step, at least
    rate: float = 4e-4  # at most
    last_rate: float = 0.0  # the rate falls along a cosine to this
    momentum: float = 0.9  # of the slopes, from step to step
    least: float = 0.3
    most: float = 0.6

    def __post_init__(self) -> None:
        if min(self.images, self.batch) < 2:  # one image alone has no statistics
            raise ValueError(f"images >= 2 and batch >= 2 must hold, but got {self.images} and {self.batch}")
        if not 0 <= self.last_rate <= self.rate:
            raise ValueError(f"0 <= last_rate <= rate must hold, but got {self.last_rate} and {self.rate}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"0 <= momentum < 1 must hold, but got {self.momentum}")
        if not 0 < self.least <= self.most <= 1:
            raise ValueError(f"0 < least <= most <= 1 must hold, but got {self.least} and {self.most}")


def tune(
    slopes: Slopes,
    scores: Scores,
    tuning: Tuning,
    rng: np.random.Generator,
    tell: Callable[[float], None] | None = None,
) -> Scores:
    """The same scores float32[units] in another order, so that thresholds on them change the outputs less.

    A step prunes the network at a threshold and takes the gradient of the divergence from the unpruned network's
    outputs by a factor before each unit, also before those that are removed; units that lessen it move up, others down.
    That is the straight-through estimate of Bengio, Leonard and Courville, "Estimating or Propagating Gradients Through
    Stochastic Neurons", 2013, as used for masks on fixed weights by Mallya, Davis and Lazebnik, "Piggyback", ECCV 2018,
    and Ramanujan et al., "What's Hidden in a Randomly Weighted Neural Network?", CVPR 2020.

    No rate fits every network: where steps lead astray, see `Descent`, they are taken back, and the rate falls.

    `tell` hears what share is done.
    """
    descent = Descent(torch.from_numpy(_ranks(scores)).to(slopes.device), tuning, rng)
    steps = max(1, tuning.images // tuning.batch)
    known = tuning.images >= slopes.images
    for step, rows in enumerate(_batches(slopes.images, tuning.images, steps, rng)):
        found, away = slopes(descent.factors(), rows, known)
        falling = (1 + math.cos(math.pi * step / steps)) / 2
        descent.step(found, away, tuning.last_rate + (tuning.rate - tuning.last_rate) * falling)
        if tell:
            tell((step + 1) / steps)
    return _reordered(scores, descent.found.cpu().numpy(), tuning)


class Descent:
    """Ranks that move against slopes, and go back where that has led astray.

    Each of a block's steps prunes to another of as many parts of the range, in random order, so that blocks can be
    compared part by part. Where the outputs lie further away than in the best block so far, by more than three standard
    errors of the difference, the ranks become the mean of those that the best had, and the rate falls; with every other
    block it rises, up to what it was. To go back and take smaller steps, and larger ones while all is well, is the
    heuristic of Vogl, Mangis, Rigler, Zink and Alkon, "Accelerating the convergence of the back-propagation method",
    Biol. Cybern. 59, 1988; blocks are ours, since the images of a single step are few.
    """

    def __init__(self, ranks: Tensor, tuning: Tuning, rng: np.random.Generator) -> None:
        self.ranks = ranks
        self._tuning = tuning
        self._rng = rng
        self._velocity = torch.zeros_like(ranks)
        self._share = 1.0  # of the rate
        self._best: NDArray[np.float64] | None = None  # how far away in each part
        self._at_best = ranks
        self._further = (0.0, 0.0)  # than the best was the last whole block, and the standard error of that
        self._begin()

    def _begin(self) -> None:
        """A new block."""
        self._mean = torch.zeros_like(self.ranks)
        self._parts = self._rng.permutation(BLOCK).tolist()
        self._away = np.zeros(BLOCK)

    def factors(self) -> Tensor:
        """What the next step prunes to: 1 for the units of the highest ranks, 0 for the others."""
        place = (self._parts[-1] + self._rng.random()) / BLOCK
        kept = self._tuning.least + place * (self._tuning.most - self._tuning.least)
        return _best(self.ranks, round(kept * len(self.ranks)))

    def step(self, slopes: Tensor, away: float, rate: float) -> None:
        """Against the slopes at those factors, of whatever size; `away`: how far the outputs lie from the unpruned."""
        self._away[self._parts.pop()] = away
        self._mean.add_(self.ranks, alpha=1 / BLOCK)
        size = torch.linalg.vector_norm(slopes).div_(math.sqrt(len(slopes))).clamp_min_(torch.finfo(slopes.dtype).tiny)
        self._velocity.lerp_(slopes.div_(size), 1 - self._tuning.momentum)
        self.ranks.sub_(self._velocity, alpha=self._share * rate)
        if not self._parts:
            self._judge()
            self._begin()

    def _judge(self) -> None:
        """Whether the block has led astray; if not, whether it is the best so far."""
        further = self._away - (self._away + 1 if self._best is None else self._best)
        mean, error = self._further = (float(further.mean()), float(further.std()) / math.sqrt(BLOCK))
        if mean > SURE * error:
            self.ranks.copy_(self._at_best)
            self._velocity.zero_()
            self._share /= FALL
            return
        self._share = min(1, RISE * self._share)
        if mean < 0:
            self._best, self._at_best = self._away, self._mean

    @property
    def found(self) -> Tensor:
        """The ranks at the end: those of the best block where the last lay further away by a standard error."""
        mean, error = self._further
        return self._at_best if mean > error else self.ranks


def _batches(there: int, images: int, steps: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Rows of so many images in even batches; all that are there come before any comes again."""
    order = np.empty(0, dtype=np.int64)
    for step in range(steps):
        size = images * (step + 1) // steps - images * step // steps
        while len(order) < size:
            order = np.append(order, rng.permutation(there))
        yield order[:size]
        order = order[size:]


def _ranks(scores: Scores) -> Scores:
    """From 0 to 1, float32; ties in the order of the units."""
    ranks = np.empty(len(scores), dtype=np.float32)
    ranks[np.argsort(scores, kind="stable")] = np.linspace(0, 1, len(scores), dtype=np.float32)
    return ranks


def _best(ranks: Tensor, kept: int) -> Tensor:
    """1 for so many of the largest, 0 for the others."""
    factors = torch.zeros_like(ranks)
    factors[ranks.topk(kept, sorted=False).indices] = 1
    return factors


def _reordered(scores: Scores, ranks: Scores, tuning: Tuning) -> Scores:
    """The same values for the units in the order of their ranks.

    Among those that every threshold keeps, and among those that none does, no step could tell which matter more: there
    the order stays as it was.
    """
    order = np.argsort(ranks, kind="stable")
    never, always = (round((1 - share) * len(order)) for share in (tuning.most, tuning.least))
    for part in (order[:never], order[always:]):
        part[:] = part[np.argsort(scores[part], kind="stable")]
    ordered = np.empty_like(scores)
    ordered[order] = np.sort(scores)
    return ordered
