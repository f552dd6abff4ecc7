"""Fronts and indicators against pymoo, counting of cells, and examples done by hand."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from pruneframe.front import (
    BLOCK,
    attainment,
    choose,
    contributions,
    hypervolume,
    hypervolume_curve,
    log_scaled,
    mean_reached,
    non_dominated,
    pick,
    thin,
)

STEPS = 8  # points on a grid have ties, and dominate cells that can be counted


def grid(highest: int, smallest: int = 0) -> st.SearchStrategy[np.ndarray]:
    """float64[n, 2 or 3] of multiples of 1/8 up to `highest` of them."""
    shapes = st.tuples(st.integers(smallest, 10), st.integers(2, 3))
    return shapes.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(0, highest))).map(
        lambda points: points / STEPS
    )


def cells_dominated(points: np.ndarray) -> float:
    """The hypervolume of grid points in the unit box, cell by cell."""
    width = points.shape[1]
    corners = np.array(list(itertools.product(range(STEPS), repeat=width))) / STEPS
    return sum(bool(np.any(np.all(points <= corner, axis=1))) for corner in corners) / STEPS**width


def random_front(n: int, width: int, seed: int) -> np.ndarray:
    """Mutually non-dominated points inside the unit box, on a simplex, in random order."""
    points = np.random.default_rng(seed).dirichlet(np.ones(width), n)
    return 0.05 + 0.9 * points


@given(grid(STEPS, smallest=1))
def test_the_front_is_pymoos_with_the_first_of_equal_points(points: np.ndarray) -> None:
    front = set(NonDominatedSorting().do(points, only_non_dominated_front=True).tolist())
    first = {min(i for i in front if np.array_equal(points[i], points[j])) for j in front}
    assert set(np.flatnonzero(non_dominated(points)).tolist()) == first


def test_no_points_have_an_empty_front() -> None:
    assert non_dominated(np.empty((0, 2))).shape == (0,)
    assert hypervolume(np.empty((0, 2))) == 0
    assert hypervolume_curve(np.empty((0, 2))).shape == (0,)
    assert thin(np.empty((0, 2))).shape == (0,)


@given(grid(STEPS + 3))
def test_the_hypervolume_is_the_share_of_dominated_cells(points: np.ndarray) -> None:
    assert hypervolume(points) == pytest.approx(cells_dominated(points), abs=1e-12)


@pytest.mark.parametrize("width", [2, 3, 4, 5])
def test_the_hypervolume_is_pymoos(width: int) -> None:
    points = np.random.default_rng(width).random((40, width)) ** 2
    assert hypervolume(points) == pytest.approx(HV(ref_point=np.ones(width))(points), rel=1e-12)


def test_the_hypervolume_of_one_objective_is_what_is_left_of_it() -> None:
    assert hypervolume(np.array([[0.7], [0.25], [1.5]])) == 0.75


@given(grid(STEPS - 1, smallest=1), st.integers(0, 2), st.floats(1, 3))
def test_a_point_at_or_beyond_1_adds_nothing(points: np.ndarray, axis: int, value: float) -> None:
    beyond = np.zeros((1, points.shape[1]))
    beyond[0, axis % points.shape[1]] = value
    assert hypervolume(np.vstack([points, beyond])) == hypervolume(points)


def test_points_better_than_the_ideal_fill_the_box_and_no_more() -> None:
    assert hypervolume(np.array([[-0.5, -0.1]])) == 1
    assert hypervolume(np.array([[-0.5, 0.25]])) == 0.75


@given(grid(STEPS + 2, smallest=1))
def test_the_curve_is_the_hypervolume_of_every_beginning(points: np.ndarray) -> None:
    curve = hypervolume_curve(points)
    assert np.all(np.diff(curve) >= 0)
    assert curve == pytest.approx([hypervolume(points[: i + 1]) for i in range(len(points))], abs=1e-12)
    assert curve[-1] == pytest.approx(hypervolume(points), abs=1e-12)


def test_a_long_curve_is_that_of_its_points_one_by_one() -> None:
    points = np.random.default_rng(0).random((3 * BLOCK + 5, 2))
    points[BLOCK] = points[0] / 2  # the first of a block beats what came before
    curve = hypervolume_curve(points)
    assert curve == pytest.approx([hypervolume(points[: i + 1]) for i in range(len(points))], abs=1e-12)


@given(grid(STEPS + 2), st.integers(2, 10))
def test_thinning_keeps_at_most_the_limit_in_order(points: np.ndarray, limit: int) -> None:
    kept = thin(points, limit)
    assert len(kept) == min(limit, len(points))
    assert np.all(np.diff(kept) > 0)
    assert set(kept.tolist()) <= set(range(len(points)))


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_thinning_drops_the_smallest_contributor_each_time(width: int, seed: int) -> None:
    points, indicator = random_front(12, width, seed), HV(ref_point=np.ones(width))
    kept = list(range(len(points)))
    while len(kept) > 6:
        without = [indicator(points[[other for other in kept if other != i]]) for i in kept]
        del kept[int(np.argmax(without))]
    assert thin(points, 6).tolist() == kept


def test_thinning_drops_duplicates_and_points_that_add_nothing_first() -> None:
    points = np.array([[0.1, 0.9], [0.9, 0.1], [0.5, 0.5], [0.5, 0.5], [0.02, 1.2]])
    assert points[thin(points, 3)].tolist() == [[0.1, 0.9], [0.9, 0.1], [0.5, 0.5]]


def test_half_of_three_fronts_attain_where_two_of_them_meet() -> None:
    fronts = [np.array([[0.2, 0.8]]), np.array([[0.4, 0.4]]), np.array([[0.8, 0.2]])]
    assert sorted(attainment(fronts, 0.5).tolist()) == [[0.4, 0.8], [0.8, 0.4]]


def test_half_of_two_fronts_attain_what_either_reaches() -> None:
    fronts = [np.array([[0.2, 0.8], [0.8, 0.2]]), np.array([[0.4, 0.4]])]
    assert sorted(attainment(fronts, 0.5).tolist()) == [[0.2, 0.8], [0.4, 0.4], [0.8, 0.2]]
    assert sorted(attainment(fronts, 1.0).tolist()) == [[0.4, 0.8], [0.8, 0.4]]


@settings(max_examples=50)
@given(st.lists(arrays(np.int64, (3, 2), elements=st.integers(0, 4)), min_size=1, max_size=6), st.data())
def test_a_point_is_attained_exactly_where_enough_fronts_dominate_it(
    fronts: list[np.ndarray], data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(1, len(fronts)))
    surface = attainment([front.astype(float) for front in fronts], wanted / len(fronts))
    for point in itertools.product(range(5), repeat=2):
        enough = sum(bool(np.any(np.all(front <= point, axis=1))) for front in fronts) >= wanted
        assert bool(np.any(np.all(surface <= point, axis=1))) == enough


@pytest.mark.parametrize("n", [7, 20, 30])
def test_shares_that_binary_fractions_cannot_hold_count_whole_fronts(n: int) -> None:
    fronts = [np.array([[i, i]], dtype=float) for i in range(1, n + 1)]
    assert [attainment(fronts, k / n).tolist() for k in range(1, n + 1)] == [[[k, k]] for k in range(1, n + 1)]


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01])
def test_a_share_of_the_fronts_must_be_one(share: float) -> None:
    with pytest.raises(ValueError, match="0 < share <= 1 must hold"):
        attainment([np.array([[0.5, 0.5]])], share)


def test_a_front_without_points_attains_nothing_but_counts() -> None:
    fronts = [np.array([[0.5, 0.5]]), np.empty((0, 2)), np.empty((0, 2))]
    assert attainment(fronts, 1 / 3).tolist() == [[0.5, 0.5]]
    assert attainment(fronts, 1.0).shape == (0, 2)


def test_fronts_that_are_all_empty_have_an_empty_surface() -> None:
    # In a process of its own: moocore divides by zero there, which kills the process.
    script = "import numpy as np; from pruneframe.front import attainment; print(attainment([np.empty((0, 2))], 0.5))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(2, 3))
def test_what_is_picked_is_the_best_in_turn(seed: int, number: int, objectives: int) -> None:
    rng = np.random.default_rng(seed)
    points, beside = rng.uniform(0, 1.2, (15, objectives)), rng.uniform(0.3, 1, (4, objectives))
    chosen, have = pick(points, number, beside), beside
    assert len(set(chosen)) == len(chosen) <= number
    for row in chosen:
        gains = [hypervolume(np.vstack([have, point])) - hypervolume(have) for point in points]
        assert gains[row] == pytest.approx(max(gains))
        assert gains[row] > 0
        have = np.vstack([have, points[row]])
    if len(chosen) < number:
        assert hypervolume(np.vstack([have, points])) == pytest.approx(hypervolume(have))


def test_contributions_are_what_the_front_loses_without_a_point() -> None:
    points = np.random.default_rng(0).uniform(0, 1.2, (12, 3))
    stays = non_dominated(np.clip(points, 0, 1))
    front = points[stays]
    lost = [hypervolume(front) - hypervolume(np.delete(front, row, axis=0)) for row in range(len(front))]
    assert contributions(points)[stays] == pytest.approx(np.array(lost), abs=1e-12)
    assert not contributions(points)[~stays].any()
    assert contributions(points[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("values", "shares"),
    [([0.5, 0.25, 0.75], [0, 0.25, 0]), ([0.25, 0.25], [0, 0]), ([0.4], [0.6]), ([1.5, 1.2], [0, 0]), ([0.9], [0.1])],
)
def test_of_one_objective_the_best_contributes_what_it_leads_by(values: list[float], shares: list[float]) -> None:
    assert contributions(np.array(values)[:, None]) == pytest.approx(np.array(shares))


@pytest.mark.parametrize(
    ("errors", "reductions", "limit", "chosen"),
    [
        ([0.1, 0.2, 0.3], [0.2, 0.5, 0.9], 0.25, 1),
        ([0.2, 0.1, 0.15], [0.5, 0.5, 0.5], 0.25, 1),  # as much removed: the smaller error
        ([0.2, 0.1, 0.1], [0.4, 0.5, 0.5], 0.25, 1),  # equal in both: the first
        ([0.1, 0.1 + 0.2], [0.2, 0.5], 0.3, 1),  # 0.1 + 0.2 > 0.3 in floating point
        ([0.4, 0.5], [0.2, 0.5], 0.3, None),
        ([], [], 0.3, None),
    ],
)
def test_of_what_is_allowed_the_largest_reduction_is_chosen(
    errors: list[float], reductions: list[float], limit: float, chosen: int | None
) -> None:
    assert choose(np.array(errors), np.array(reductions), limit) == chosen


def test_a_log_scale_has_ten_per_cent_in_its_middle() -> None:
    assert log_scaled(np.array([1.0, 0.1, 0.01, 0.001, 0.0])).tolist() == pytest.approx([1.0, 0.5, 0.0, 0.0, 0.0])


def test_the_mean_over_a_budget_is_the_area_under_the_steps() -> None:
    found = mean_reached(np.array([0.2, 0.6]), np.array([2.0, 5.0]), 10.0)
    assert found == pytest.approx((0 * 2 + 0.2 * 3 + 0.6 * 5) / 10)
    assert mean_reached(np.zeros(0), np.zeros(0), 10.0) == 0.0
    assert mean_reached(np.array([1.0, 1.0]), np.array([4.0, 11.0]), 10.0) == pytest.approx(0.6)
