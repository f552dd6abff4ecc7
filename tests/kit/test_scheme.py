"""Joint schemes: nested by their ranking, undominated by their sums, paired by their place."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pruneframe.front import non_dominated
from pruneframe.kit.scheme import UNPRUNED, is_pruned, paired, ranked, summed


def fronts() -> st.SearchStrategy[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Impairments and sizes of several parts' fronts, the largest member first; few values, so that ties are common."""
    one = st.lists(st.tuples(st.integers(-2, 5), st.integers(1, 9)), max_size=6)

    def arrays(parts: list[list[tuple[int, int]]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        ordered = [sorted(part, key=lambda member: -member[1]) for part in parts]
        return [np.array([m[0] for m in part]) for part in ordered], [
            np.array([m[1] for m in part]) for part in ordered
        ]

    return st.lists(one, min_size=1, max_size=4).map(arrays)


@given(fronts())
def test_ranked_schemes_are_nested_and_at_most_as_many_as_members(given_fronts: Any) -> None:
    impairments, sizes = given_fronts
    schemes = ranked(impairments, sizes)
    assert schemes[0] == (UNPRUNED,) * len(sizes)
    assert len(schemes) <= 1 + sum(map(len, sizes))

    def size(part: int, row: int) -> float:
        return np.inf if row == UNPRUNED else sizes[part][row]

    for before, after in pairwise(schemes):
        changed = [part for part in range(len(sizes)) if before[part] != after[part]]
        assert len(changed) == 1
        assert size(changed[0], after[changed[0]]) < size(changed[0], before[changed[0]])


@given(fronts())
def test_a_ranked_scheme_takes_the_smallest_member_up_to_its_rank(given_fronts: Any) -> None:
    impairments, sizes = given_fronts
    for scheme in ranked(impairments, sizes)[1:]:
        worst = max(impairments[part][row] for part, row in enumerate(scheme) if row != UNPRUNED)
        for part, row in enumerate(scheme):
            better = sizes[part][impairments[part] < worst]  # all of these are ranked before the scheme's last
            if len(better):
                assert row != UNPRUNED
                assert sizes[part][row] <= better.min()


def test_ranking_by_hand() -> None:
    impairments = [np.array([0.01, 0.05]), np.array([0.02, 0.03, 0.03])]
    sizes = [np.array([90, 50]), np.array([80, 70, 60])]
    assert ranked(impairments, sizes) == [(-1, -1), (0, -1), (0, 0), (0, 1), (0, 2), (1, 2)]


@given(fronts())
def test_summed_schemes_are_all_that_no_combination_dominates(given_fronts: Any) -> None:
    impairments, savings = given_fronts
    schemes, points = summed(impairments, savings, (7, 50))
    rows = [[UNPRUNED, *range(len(harms))] for harms in impairments]

    def sums(scheme: tuple[int, ...]) -> tuple[float, float]:
        chosen = [(part, row) for part, row in enumerate(scheme) if row != UNPRUNED]
        return 7 + sum(impairments[p][r] for p, r in chosen), 50 - sum(savings[p][r] for p, r in chosen)

    assert [sums(scheme) for scheme in schemes] == [tuple(point) for point in points]
    combinations = np.array([sums(scheme) for scheme in product(*rows)], dtype=float)
    front = np.unique(combinations[non_dominated(combinations)], axis=0)
    assert np.array_equal(np.unique(points, axis=0), front)


def test_pairing_takes_members_at_the_same_place() -> None:
    assert paired([2, 3]) == [(-1, -1), (0, 0), (0, 1), (1, 2)]
    assert paired([0, 1]) == [(-1, -1), (-1, 0)]
    assert paired([0]) == [(-1,)]


def test_a_scheme_of_unpruned_parts_is_not_pruned() -> None:
    assert not is_pruned((UNPRUNED, UNPRUNED))
    assert is_pruned((UNPRUNED, 0))
