"""Losses beside another network on the same images, and bounds that hold as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from scipy.stats import norm

from pruneframe.study.paired import NORMAL_90, loss_bounds, paired_drop

answers = hnp.arrays(np.bool_, 57)


@given(before=answers, after=answers)
def test_paired_drop_is_the_mean_of_differences_per_image(before: np.ndarray, after: np.ndarray) -> None:
    differences = 100.0 * (before.astype(int) - after.astype(int))
    half = norm.ppf(0.975) * differences.std() / np.sqrt(len(differences))
    drop, (low, high) = paired_drop(before, after)
    assert drop == pytest.approx(differences.mean(), abs=1e-9)
    assert (low, high) == pytest.approx((differences.mean() - half, differences.mean() + half), abs=1e-6)


def bound(lost: int, gained: int, images: int) -> float:
    return float(loss_bounds(np.array([lost]), np.array([gained]), images)[0])


def test_a_bound_is_known_where_nothing_differs_and_grows_with_what_does() -> None:
    assert pytest.approx(norm.ppf(0.9)) == NORMAL_90
    assert bound(0, 0, 1000) == pytest.approx(NORMAL_90**2 / (1000 + NORMAL_90**2))
    assert bound(5, 0, 1000) < bound(10, 5, 1000) < bound(20, 15, 1000) < bound(21, 15, 1000)
    assert bound(0, 30, 1000) < -0.02, "who gains is sure to lose less than nothing"
    assert bound(9, 4, 1000) > 5 / 1000
    assert loss_bounds(np.zeros(0, dtype=int), np.zeros(0, dtype=int), 10).shape == (0,)


def test_a_bound_is_where_the_score_test_of_the_difference_turns() -> None:
    """With many images that differ, it is the normal bound of a paired difference."""
    lost, gained, images = 4000, 3000, 100_000
    difference = (lost - gained) / images
    half = norm.ppf(0.9) * np.sqrt(lost + gained - (lost - gained) ** 2 / images) / images
    assert bound(lost, gained, images) == pytest.approx(difference + half, rel=1e-3)


@pytest.mark.parametrize("shares", [(0.02, 0.0), (0.05, 0.04), (0.01, 0.005), (0.03, 0.01)])
def test_nine_of_ten_bounds_hold(shares: tuple[float, float]) -> None:
    counts = np.random.default_rng(0).multinomial(1000, [*shares, 1 - sum(shares)], 4000)
    held = (loss_bounds(counts[:, 0], counts[:, 1], 1000) >= shares[0] - shares[1]).mean()
    assert held == pytest.approx(0.9, abs=0.02)
