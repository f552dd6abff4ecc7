"""Comparisons of runs: known values, corrections, and no claim from too few seeds."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from pruneframe.comparison.statistics import a12, compare, difference, holm, rank, seeds_needed

LOW, HIGH = list(np.arange(8.0)), list(np.arange(8.0) + 10)


def test_a12_counts_pairs_and_halves_of_ties() -> None:
    assert a12([2, 3], [1, 2]) == (1 + 0.5 + 1 + 1) / 4
    assert a12(HIGH, LOW) == 1
    assert a12(LOW, HIGH) == 0
    assert a12(LOW, LOW) == 0.5


def test_holm_multiplies_the_smallest_by_the_number_and_never_falls() -> None:
    assert holm({"a": 0.03, "b": 0.01, "c": 0.02}) == pytest.approx({"b": 0.03, "c": 0.04, "a": 0.04})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_runs_that_lie_apart_are_told_apart() -> None:
    (found,) = compare(HIGH, {"low": LOW})
    assert found.p == pytest.approx(2 / 12870)  # two of the C(16, 8) orders
    assert found.a12 == 1
    assert found.significant


def test_equal_runs_are_not() -> None:
    (found,) = compare(LOW, {"same": LOW})
    assert found.p > 0.9
    assert found.attainable
    assert not found.significant
    (fixed,) = compare([1.0] * 8, {"same": [1.0] * 8}, ["same"])
    assert fixed.p == 1


@pytest.mark.parametrize(
    ("own", "theirs"), [([1, 1, 2, 2], [0, 0, 0, 1]), ([3, 3, 1, 5, 2], [2, 2, 1, 4, 2]), ([0, 0, 0], [0, 0, 1])]
)
def test_ties_are_counted_over_all_splits(own: list[float], theirs: list[float]) -> None:
    values, size = [*own, *theirs], len(own)
    distances = [
        abs(a12([values[i] for i in chosen], [value for i, value in enumerate(values) if i not in chosen]) - 0.5)
        for chosen in combinations(range(len(values)), size)
    ]
    (found,) = compare(own, {"other": theirs})
    assert found.p == pytest.approx(np.mean(np.array(distances) >= abs(a12(own, theirs) - 0.5) - 1e-12))


def test_a_deterministic_method_is_one_number() -> None:
    (found,) = compare(HIGH, {"fixed": [5.0] * 8}, ["fixed"])
    assert found.p == pytest.approx(2 / 2**8)  # all signs equal
    assert found.significant


@pytest.mark.parametrize(
    ("seeds", "comparisons", "attainable"), [(3, 1, False), (4, 1, True), (4, 2, False), (8, 5, True)]
)
def test_too_few_seeds_for_so_many_comparisons_give_no_claim(seeds: int, comparisons: int, attainable: bool) -> None:
    others = {str(number): LOW[:seeds] for number in range(comparisons)}
    found = compare(HIGH[:seeds], others)
    assert [one.attainable for one in found] == [attainable] * comparisons
    assert all(one.significant == attainable for one in found)


@pytest.mark.parametrize(
    ("fixed", "seeds"),
    [
        ([False], 4),
        ([False] * 4, 5),
        ([False] * 6, 5),
        ([False] * 7, 6),
        ([True], 6),
        ([True, False], 6),
        ([True] * 2, 7),
    ],
)
def test_the_advice_on_seeds_is_the_least_that_allows_all_claims(fixed: list[bool], seeds: int) -> None:
    assert seeds_needed(fixed) == seeds
    for count, attainable in ((seeds, True), (seeds - 1, False)):
        others = {str(i): [0.0] * count if one else list(-np.arange(count) - 1.0) for i, one in enumerate(fixed)}
        found = compare(list(np.arange(count) + 1.0), others, [str(i) for i, one in enumerate(fixed) if one])
        assert all(one.attainable for one in found) == attainable


def test_a_control_without_chance_is_one_number_too() -> None:
    [found] = compare([5.0] * 8, {"low": LOW}, itself=True)
    [other] = compare(LOW, {"fixed": [5.0] * 8}, ["fixed"])
    assert (found.p, found.attainable) == (other.p, other.attainable)
    assert found.a12 == 1 - other.a12
    [both] = compare([5.0] * 20, {"fixed": [4.0] * 20}, ["fixed"], itself=True)
    assert (both.p, both.attainable, both.significant) == (1.0, False, False)


def test_large_samples_without_ties_are_tested_exactly() -> None:
    [found] = compare(np.arange(9) + 10.0, {"low": np.arange(9.0)})
    assert found.p == pytest.approx(2 / math.comb(18, 9))


def test_the_interval_of_a_difference_is_that_of_an_independent_bootstrap() -> None:
    first, second = np.array([1.0, 2, 3, 4, 9]), np.array([0.0, 1, 1, 2])
    found, interval = difference(first, second)
    assert found == 2.0
    rng = np.random.default_rng(7)
    medians = [np.median(rng.choice(values, (20_000, len(values))), axis=1) for values in (first, second)]
    np.testing.assert_allclose(interval, np.quantile(medians[0] - medians[1], [0.025, 0.975]), atol=0.5)
    assert difference(first, second) == (found, interval), "the same figures again"
    assert difference([1.0], second) == (0.0, None)


# Demsar, JMLR 7, 2006, table 6: AUC of C4.5 and three variants on 14 data sets.
DEMSAR = """
0.763 0.768 0.771 0.798   0.599 0.591 0.590 0.569   0.954 0.971 0.968 0.967   0.628 0.661 0.654 0.657
0.882 0.888 0.886 0.898   0.936 0.931 0.916 0.931   0.661 0.668 0.609 0.685   0.583 0.583 0.563 0.625
0.775 0.838 0.866 0.875   1.000 1.000 1.000 1.000   0.940 0.962 0.965 0.962   0.619 0.666 0.614 0.669
0.972 0.981 0.9751 0.975  0.957 0.978 0.946 0.970
"""


def test_ranks_are_those_of_the_published_example() -> None:
    values = np.array(DEMSAR.split(), dtype=float).reshape(14, 4)
    found = rank(pd.DataFrame(values, columns=["C4.5", "m", "cf", "m+cf"]))
    assert list(found.ranks.round(3)) == [3.143, 2.0, 2.893, 1.964]  # the paper's last row
    uncorrected = 12 * 14 / (4 * 5) * ((found.ranks**2).sum() - 4 * 5**2 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.01)  # the paper's chi-square, which does not correct for ties
    assert 0.5 * chi2.sf(9.28, 3) < found.p < chi2.sf(9.28, 3), "a correction for ties makes it smaller"
    critical = 2.569 * np.sqrt(4 * 5 / (6 * 14))  # its critical difference of 1.25
    apart = np.abs(np.subtract.outer(found.ranks.to_numpy(), found.ranks.to_numpy())) > critical
    np.testing.assert_array_equal(found.pairs.to_numpy() < 0.05, apart)


def test_methods_that_are_equal_everywhere_rank_equally() -> None:
    found = rank(pd.DataFrame(np.ones((5, 3)), columns=list("abc")))
    assert list(found.ranks) == [2.0] * 3
    assert found.p == 1
    assert not rank(pd.DataFrame([[3.0, 2, 1]] * 2)).attainable
    assert rank(pd.DataFrame([[3.0, 2, 1]] * 5)).attainable
