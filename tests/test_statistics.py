"""Comparisons of runs: known values, corrections, and no claim from too few seeds."""

from __future__ import annotations

import numpy as np
import pytest

from pruneframe.statistics import a12, compare, holm

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
