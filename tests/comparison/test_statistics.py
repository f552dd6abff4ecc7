"""Comparisons of runs: known values, corrections, seeds within instances, and no claim from too few of them."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from pruneframe.comparison.statistics import Comparison, a12, compare, holm, needed, signed_ranks

LOW, HIGH = list(np.arange(8.0)), list(np.arange(8.0) + 10)


def over_seeds(own: list[float], other: list[float], fixed: str = "", control: str | None = "own") -> Comparison:
    """Two methods on one instance; `fixed` are those of "own" and "other" that give the same for every seed."""
    [found] = compare({"own": {0: own}, "other": {0: other}}, control, fixed.split())
    return found


def over_instances(own: list[float], other: list[float]) -> Comparison:
    """Two methods on several instances, with one seed each."""
    [found] = compare({name: dict(enumerate([[v] for v in one])) for name, one in (("own", own), ("other", other))})
    return found


def test_a12_counts_pairs_and_halves_of_ties() -> None:
    assert a12([2, 3], [1, 2]) == (1 + 0.5 + 1 + 1) / 4
    assert a12(HIGH, LOW) == 1
    assert a12(LOW, HIGH) == 0
    assert a12(LOW, LOW) == 0.5


def test_holm_multiplies_the_smallest_by_the_number_and_never_falls() -> None:
    assert holm({"a": 0.03, "b": 0.01, "c": 0.02}) == pytest.approx({"b": 0.03, "c": 0.04, "a": 0.04})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm(dict[str, float]()) == {}


def test_runs_that_lie_apart_are_told_apart() -> None:
    found = over_seeds(HIGH, LOW)
    assert found.p == pytest.approx(2 / 12870)  # two of the C(16, 8) orders
    assert (found.a12, found.ahead, found.significant) == (1, 1, True)
    assert (found.test, found.over) == ("Mann-Whitney", "8 seeds")
    assert over_seeds(LOW, HIGH).ahead == -1


def test_equal_runs_are_not() -> None:
    found = over_seeds(LOW, LOW)
    assert found.p > 0.9
    assert found.attainable
    assert not found.significant
    assert over_seeds([1.0] * 8, [1.0] * 8, "other").p == 1


@pytest.mark.parametrize(
    ("own", "theirs"), [([1, 1, 2, 2], [0, 0, 0, 1]), ([3, 3, 1, 5, 2], [2, 2, 1, 4, 2]), ([0, 0, 0], [0, 0, 1])]
)
def test_ties_are_counted_over_all_splits(own: list[float], theirs: list[float]) -> None:
    values, size = [*own, *theirs], len(own)
    distances = [
        abs(a12([values[i] for i in chosen], [value for i, value in enumerate(values) if i not in chosen]) - 0.5)
        for chosen in combinations(range(len(values)), size)
    ]
    found = over_seeds(own, theirs)
    assert found.p == pytest.approx(np.mean(np.array(distances) >= abs(a12(own, theirs) - 0.5) - 1e-12))


def test_one_seed_beside_several_is_counted_as_well() -> None:
    assert over_seeds([1.0], [1.0, 1.0]).p == 1
    assert over_seeds([2.0], [1.0, 1.0, 0.0]).p == pytest.approx(2 / 4), "as far above as 0 lies below"


def test_a_deterministic_method_is_one_number() -> None:
    found = over_seeds(HIGH, [5.0] * 8, "other")
    assert found.p == pytest.approx(2 / 2**8)  # all signs equal
    assert (found.test, found.over, found.significant) == ("signed ranks", "8 seeds", True)
    turned = over_seeds([5.0] * 8, HIGH, "own")
    assert (turned.p, turned.a12, turned.ahead) == (found.p, 0.0, -1)
    both = over_seeds([5.0] * 20, [4.0] * 20, "own other")
    assert (both.test, both.p, both.attainable, both.significant) == ("", 1.0, False, False)


def test_large_samples_without_ties_are_tested_exactly() -> None:
    assert over_seeds(list(np.arange(9) + 10.0), list(np.arange(9.0))).p == pytest.approx(2 / math.comb(18, 9))


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_signed_ranks_count_all_signs_with_ties_as_well(differences: list[int]) -> None:
    values = np.array([value for value in differences if value], dtype=float)
    ranks = rankdata(np.abs(values))
    sums = [sum(r for r, positive in zip(ranks, signs, strict=True) if positive)
            for signs in product((False, True), repeat=len(values))]  # fmt: skip
    found, side = signed_ranks(np.array(differences, dtype=float))
    own = ranks[values > 0].sum()
    assert found == pytest.approx(min(1.0, 2 * min(np.mean(np.array(sums) <= own), np.mean(np.array(sums) >= own))))
    assert side == np.sign(own - ranks[values < 0].sum())


def test_signed_ranks_are_scipys_where_nothing_is_tied() -> None:
    rng = np.random.default_rng(0)
    for size in (3, 10, 40):
        values = rng.normal(0.3, 1, size)
        assert signed_ranks(values)[0] == pytest.approx(wilcoxon(values, method="exact").pvalue)


def test_with_several_instances_they_are_compared_and_not_their_seeds() -> None:
    values = {
        "own": {place: [place + 0.1, place + 0.3] for place in range(10)},
        "other": {place: [place + 0.15, place + 0.05] for place in range(10)},
    }
    [found] = compare(values)
    assert (found.test, found.over) == ("signed ranks", "10 instances")
    assert found.p == pytest.approx(2 / 2**10)  # the mean is better on each of them
    assert (found.a12, found.ahead) == (1.0, 1)
    [seeds] = compare({name: {0: [value for own in one.values() for value in own]} for name, one in values.items()})
    assert seeds.p > 0.5, "between instances there is more than between methods"


def test_a_method_without_chance_is_compared_over_instances_as_others_are() -> None:
    values = {"own": {i: [i + 1.0] * 2 for i in range(6)}, "other": {i: [float(i)] * 2 for i in range(6)}}
    [found] = compare(values, fixed=["own", "other"])
    assert found.p == pytest.approx(2 / 2**6)


def test_methods_are_compared_where_both_have_run() -> None:
    values = {"own": {i: [i + 1.0] for i in range(3, 10)}, "other": {i: [float(i)] for i in range(8)}}
    [found] = compare(values)
    assert found.over == "5 instances"
    [none] = compare({"own": {0: [1.0]}, "other": {1: [2.0]}})
    assert (none.test, none.over, none.p, none.attainable, none.a12) == ("", "", 1.0, False, 0.5)
    [one] = compare({"own": {0: HIGH, 1: HIGH}, "other": {1: LOW, 2: LOW}})
    assert (one.test, one.over) == ("Mann-Whitney", "8 seeds")
    assert over_seeds(HIGH, LOW[:5]).over == "8 and 5 seeds"


def test_the_side_is_that_of_the_ranks_where_the_counts_are_even() -> None:
    found = over_instances([9.0, 8.0, 7.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 2.0, 3.0])
    assert (found.a12, found.ahead) == (0.5, 1)


def test_without_a_control_all_pairs_are_corrected_and_with_one_its_own() -> None:
    rng = np.random.default_rng(0)
    values = {name: {0: list(rng.normal(shift, 1, 6))} for name, shift in (("a", 0), ("b", 1), ("c", 2), ("d", 3))}
    pairs = compare(values)
    assert [(one.first, one.second) for one in pairs] == list(combinations("abcd", 2))
    beside = compare(values, "b")
    assert [(one.first, one.second) for one in beside] == [("b", "a"), ("b", "c"), ("b", "d")]
    alone = {frozenset((one.first, one.second)): one.alone for one in pairs}
    assert {frozenset((one.first, one.second)): one.alone for one in beside}.items() <= alone.items()
    corrected = holm(alone)
    assert [one.p for one in pairs] == [corrected[frozenset((one.first, one.second))] for one in pairs]
    assert min(one.p for one in beside) == 3 * min(one.alone for one in beside)


@pytest.mark.parametrize(
    ("seeds", "comparisons", "attainable"), [(3, 1, False), (4, 1, True), (4, 2, False), (8, 5, True)]
)
def test_too_few_seeds_for_so_many_comparisons_give_no_claim(seeds: int, comparisons: int, attainable: bool) -> None:
    others = {str(number): {0: LOW[:seeds]} for number in range(comparisons)}
    found = compare({"control": {0: HIGH[:seeds]}, **others}, "control")
    assert [one.attainable for one in found] == [attainable] * comparisons
    assert all(one.significant == attainable for one in found)


def test_five_instances_allow_no_claim_and_six_allow_one() -> None:
    five, six = (over_instances([1.0] * count, [0.0] * count) for count in (5, 6))
    assert (five.p, five.significant) == (0.0625, False)
    assert (six.p, six.significant) == (0.03125, True)


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
    for count, attainable in ((seeds, True), (seeds - 1, False)):
        others = {str(i): {0: [0.0] * count if one else list(-np.arange(count) - 1.0)} for i, one in enumerate(fixed)}
        own = {"own": {0: list(np.arange(count) + 1.0)}}
        found = compare(own | others, "own", [str(i) for i, one in enumerate(fixed) if one])
        assert all(one.attainable for one in found) == attainable
        assert needed([one.test for one in found]) == seeds


def test_the_advice_on_instances_grows_with_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [needed(["signed ranks"] * pairs) for pairs in (1, 21, 120)] == [6, 10, 13]
    monkeypatch.setattr("pruneframe.comparison.statistics.MOST", 5)
    assert needed(["signed ranks"]) is None


def test_the_share_of_instances_counts_ties_half() -> None:
    [found] = compare({"own": {0: [1.0], 1: [2.0, 4.0]}, "other": {0: [0.0], 1: [3.0]}})
    assert found.a12 == 0.75
