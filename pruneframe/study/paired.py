"""Two networks on the same images: what one loses beside the other, and how sure that is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
NORMAL_90 = 1.2815515655446004  # one-sided 90 % quantile
HALVINGS = 50  # of the interval that a bound lies in: to the last digits of a double


def paired_drop(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, tuple[float, float]]:
    """Points of accuracy lost between two networks on the same images, and the 95 % interval of that difference.

    The normal interval for a difference of paired proportions (Agresti, "Categorical Data Analysis", section 11.1).
    """
    n = len(before)
    lost, gained = int(np.sum(before & ~after)), int(np.sum(after & ~before))
    difference = (lost - gained) / n
    half = NORMAL_95 * math.sqrt(max(0.0, lost + gained - (lost - gained) ** 2 / n)) / n
    return 100 * difference, (100 * (difference - half), 100 * (difference + half))


def loss_bounds(lost: NDArray[np.int64], gained: NDArray[np.int64], images: int) -> NDArray[np.float64]:
    """The share of accuracy that networks lose at most, with 90 % confidence, one-sided, float64[n].

    `lost` counts the images that the network before has right and the one after has not, `gained` the reverse. It is
    the bound by the score test of a difference of paired proportions, which also holds where few images differ (Tango,
    Statistics in Medicine 17, 1998).
    """
    low, high = (lost - gained) / images, np.ones(len(lost))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        beyond = _score(lost, gained, images, middle) <= -NORMAL_90
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return high


def _score(
    lost: NDArray[np.int64], gained: NDArray[np.int64], images: int, loss: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far the observed loss lies above an assumed one, in standard deviations under the assumed one."""
    b = (2 * images - lost + gained) * loss - lost - gained
    share = (np.sqrt(b**2 + 8 * images * gained * loss * (1 - loss)) - b) / (4 * images)  # of images gained, likeliest
    deviation = np.sqrt(np.maximum(images * (2 * share + loss * (1 - loss)), np.finfo(float).tiny))
    return np.asarray((lost - gained - images * loss) / deviation)
