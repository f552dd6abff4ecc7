"""Intervals of differences and variances of nested values, against simulations and analyses of variance."""

from __future__ import annotations

import numpy as np
import pytest

from pruneframe.comparison.nested import difference, spread_of


def test_the_interval_on_one_instance_is_that_of_an_independent_bootstrap() -> None:
    first, second = np.array([1.0, 2, 3, 4, 9]), np.array([0.0, 1, 1, 2])
    found, interval = difference({3: first}, {3: second})
    assert found == 2.0
    rng = np.random.default_rng(7)
    medians = [np.median(rng.choice(values, (20_000, len(values))), axis=1) for values in (first, second)]
    np.testing.assert_allclose(interval, np.quantile(medians[0] - medians[1], [0.025, 0.975]), atol=0.5)
    assert difference({3: first}, {3: second}) == (found, interval), "the same figures again"
    assert difference({3: [1.0]}, {3: second}) == (0.0, None)


def drawn(rng: np.random.Generator, shift: float, networks: np.ndarray, apart: float = 0.1) -> dict[int, list[float]]:
    """A method's values on networks whose effect all methods share, and on each of which it has one of its own."""
    return {i: list(shift + n + rng.normal(0, apart) + rng.normal(0, 0.1, 2)) for i, n in enumerate(networks)}


def test_the_interval_over_instances_covers_the_difference_as_often_as_it_says() -> None:
    rng, covered, widths = np.random.default_rng(0), 0, []
    for _ in range(200):
        networks = rng.normal(0, 5, 12)  # shared by both methods, so that it must not widen the interval
        _found, interval = difference(drawn(rng, 0.5, networks), drawn(rng, 0.0, networks))
        assert interval is not None
        covered += interval[0] <= 0.5 <= interval[1]
        widths.append(interval[1] - interval[0])
    assert 0.90 <= covered / 200 <= 0.99
    assert np.mean(widths) < 0.3


def test_the_difference_over_instances_counts_each_once() -> None:
    first, second = {0: [1.0, 3.0], 1: [5.0], 7: [9.0]}, {0: [1.0], 1: [1.0, 1.0, 4.0], 8: [0.0]}
    found, interval = difference(first, second)
    assert found == pytest.approx(((2 - 1) + (5 - 2)) / 2)
    assert interval is not None
    assert interval[0] <= found <= interval[1]
    gap, none = difference({0: [1.0]}, {1: [1.0]})
    assert (np.isnan(gap), none) == (True, None)


def test_images_widen_the_interval_by_what_methods_do_not_share() -> None:
    rng = np.random.default_rng(1)
    first, second = ({i: [shift] for i in range(6)} for shift in (1.0, 0.0))
    shared = {i: [rng.normal(0, 0.1, 200)] for i in range(6)}
    other = {i: [rng.normal(0, 0.1, 200)] for i in range(6)}
    plain, paired, apart = (difference(first, second, images) for images in (None, (shared, shared), (shared, other)))
    assert plain == (1.0, (1.0, 1.0))
    assert paired[1] == pytest.approx((1.0, 1.0)), "the same images of both methods"
    assert apart[1] is not None
    half = 1.96 * 0.1 * np.sqrt(2 / 6)
    assert apart[1] == pytest.approx((1 - half, 1 + half), abs=0.02)
    assert difference(first, second, (shared, {})) == plain, "where one method has none"


def test_variances_are_those_that_values_were_drawn_with() -> None:
    rng = np.random.default_rng(0)
    networks = rng.normal(0, 3, 2000)
    found = spread_of({i: list(n + rng.normal(0, 1, 2 + i % 3)) for i, n in enumerate(networks)})
    assert found.instances == pytest.approx(3, rel=0.05)
    assert found.seeds == pytest.approx(1, rel=0.05)
    assert found.images is None


def test_variances_of_a_balanced_table_are_those_of_the_analysis_by_hand() -> None:
    found = spread_of({0: [1.0, 3.0], 1: [5.0, 7.0], 2: [6.0, 8.0]}, {0: [[1.0, 3.0]], 1: [[1.0, 5.0]]})
    # within: (2 + 2 + 2) / 3; between: 2 * ((2 - 5)^2 + 1 + 4) / 2 = 14; (14 - 2) / 2
    assert found.seeds == pytest.approx(np.sqrt(2))
    assert found.instances == pytest.approx(np.sqrt(6))
    assert found.images == pytest.approx(np.sqrt((2 + 8) / 2))


def test_what_cannot_be_told_apart_is_not_told() -> None:
    one = spread_of({0: [1.0, 2.0]})
    assert (one.instances, one.seeds) == (None, pytest.approx(np.sqrt(0.5)))
    single = spread_of({0: [1.0], 1: [3.0]})
    assert (single.instances, single.seeds) == (pytest.approx(np.sqrt(2)), None)
    assert spread_of({0: [0.0, 9.0], 1: [0.0, 9.0]}).instances == 0
