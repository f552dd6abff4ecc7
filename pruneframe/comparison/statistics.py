"""Whether methods differ: rank tests over seeds or over instances, effect sizes, Holm's correction.

A method's values are nested: for each instance, a trained network with its split, one value a seed. With one instance
seeds are what is compared; with several, instances are, each by the mean of its seeds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from scipy.stats import mannwhitneyu, rankdata

SIGNIFICANT = 0.05
SPLITS = 20_000  # of tied values into two groups that are all looked at: up to 8 and 8; of more the normal distribution
MOST = 30  # seeds or instances that an advice on their number looks at
RANK_SUM, SIGNED_RANKS = "Mann-Whitney", "signed ranks"

Key = TypeVar("Key")
Values = Mapping[int, Sequence[float]]  # of one method, by instance; one a seed
Pairs = Mapping[tuple[str, str], tuple[Values, Values]]  # two methods by name, and the values of each


@dataclass(frozen=True)
class Comparison:
    """One method against another: a test, two-sided, alone and corrected by Holm, and how often the first is better.

    `test` is empty where nothing can be tested, `over` says what it is over and how many there are. `p` is corrected,
    `alone` is not. `a12`: chance that a run of the first is better than one of the second, ties counted half (Vargha
    and Delaney, J. Educ. Behav. Stat. 25(2), 2000); over instances the share of them on which its mean is better.
    `ahead` is on which side the test sees the first: 1, -1, or 0. `attainable`: whether so many seeds or instances
    allow a p of at most SIGNIFICANT for so many comparisons at all; where they do not, nothing may be claimed.
    """

    first: str
    second: str
    test: str
    over: str
    alone: float
    p: float
    a12: float
    ahead: int
    attainable: bool

    @property
    def significant(self) -> bool:
        """Whether a difference may be claimed."""
        return self.attainable and self.p <= SIGNIFICANT


@dataclass(frozen=True)
class _Tested:
    """A test by itself: what it is, p, the least p that so many values allow, which side is ahead, and how often."""

    test: str = ""
    over: str = ""
    p: float = 1.0
    least: float = 1.0
    ahead: int = 0
    a12: float = 0.5


def pairs_of(methods: Iterable[str], control: str | None = None) -> list[tuple[str, str]]:
    """What is compared with what: a control, where it is among some methods, with each other one, else all with all."""
    methods = list(methods)
    if control not in methods:
        return list(combinations(methods, 2))
    return [(str(control), other) for other in methods if other != control]


def compare(values: Mapping[str, Values], control: str | None = None, fixed: Collection[str] = ()) -> list[Comparison]:
    """Methods in pairs, as `pairs_of` has them and `compare_pairs` compares them."""
    return compare_pairs(
        {(one, other): (values[one], values[other]) for one, other in pairs_of(values, control)}, fixed
    )


def compare_pairs(pairs: Pairs, fixed: Collection[str] = ()) -> list[Comparison]:
    """Two methods each by their own values, larger ones better; all pairs are corrected together.

    Two methods are compared on the instances that both have run on. Several: Wilcoxon's signed ranks over the
    differences of their means, exact. One: Mann-Whitney over seeds, exact but for ties among many; a method named in
    `fixed` gives the same for every seed, and is compared as one number, by signed ranks; two such are not tested.
    """
    found = {pair: _tested(*values, *(method in fixed for method in pair)) for pair, values in pairs.items()}
    done = {pair: one for pair, one in found.items() if one.test}
    p, least = holm({pair: one.p for pair, one in done.items()}), holm({pair: one.least for pair, one in done.items()})
    return [
        Comparison(
            *pair,
            one.test,
            one.over,
            one.p,
            p.get(pair, 1.0),
            one.a12,
            one.ahead,
            least.get(pair, 1.0) <= SIGNIFICANT,
        )
        for pair, one in found.items()
    ]


def needed(tests: Sequence[str]) -> int | None:
    """The least number of seeds or instances with which all of some tests may show a difference; None beyond 30."""
    for number in range(2, MOST + 1):
        least = {place: _least(test, number, number) for place, test in enumerate(tests)}
        if all(p <= SIGNIFICANT for p in holm(least).values()):
            return number
    return None


def shared(first: Values, second: Values) -> list[int]:
    """The instances that two methods have run on, ascending."""
    return sorted(first.keys() & second.keys())


def means(values: Values, instances: Sequence[int]) -> np.ndarray:
    """A method's mean over seeds on each of some instances, float64[instances]."""
    return np.array([sum(values[instance]) / len(values[instance]) for instance in instances], dtype=np.float64)


def a12(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float:
    """Chance that a value of the first is larger than one of the second, ties counted half."""
    return _above(np.subtract.outer(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)))


def _above(differences: np.ndarray) -> float:
    """The share above 0, and half of those at 0."""
    return float(np.mean((np.sign(differences) + 1) / 2))


def holm(p: Mapping[Key, float]) -> dict[Key, float]:
    """P values corrected for their number (Holm, Scand. J. Stat. 6(2), 1979)."""
    corrected, largest = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        corrected[name] = largest
    return corrected


def _tested(first: Values, second: Values, first_fixed: bool, second_fixed: bool) -> _Tested:
    instances = shared(first, second)
    if len(instances) > 1:
        differences = means(first, instances) - means(second, instances)
        return _signed(differences, f"{len(instances)} instances", _above(differences))
    if not instances:
        return _Tested()
    if first_fixed and second_fixed:
        return _Tested(over="seeds", a12=a12(first[instances[0]], second[instances[0]]))
    one, two = (np.asarray(values[instances[0]], dtype=np.float64) for values in (first, second))
    often = a12(one, two)
    if first_fixed or second_fixed:
        differences = one[0] - two if first_fixed else one - two[0]
        return _signed(differences, _seeds(len(differences)), often)
    over = _seeds(len(one)) if len(one) == len(two) else f"{len(one)} and {_seeds(len(two))}"
    side = int(np.sign(often - 0.5))
    return _Tested(RANK_SUM, over, _rank_sum(one, two), _least(RANK_SUM, len(one), len(two)), side, often)


def _seeds(number: int) -> str:
    return f"{number} seed" + "s" * (number != 1)


def _signed(differences: np.ndarray, over: str, often: float) -> _Tested:
    p, side = signed_ranks(differences)
    return _Tested(SIGNED_RANKS, over, p, _least(SIGNED_RANKS, len(differences), 0), side, often)


def _least(test: str, first: int, second: int) -> float:
    """The least p of a test of so many values."""
    ways = 2**first if test == SIGNED_RANKS else math.comb(first + second, first)
    return min(1.0, 2 / ways)


def _rank_sum(first: np.ndarray, second: np.ndarray) -> float:
    number, size = len(first) + len(second), len(first)
    ties = len({*first, *second}) < number
    if ties and math.comb(number, size) <= SPLITS:  # scipy's exact distribution has no ties
        ranks = rankdata([*first, *second])
        sums = np.array([sum(chosen) for chosen in combinations(ranks.tolist(), size)])
        middle = size * (number + 1) / 2
        return float(np.mean(np.abs(sums - middle) >= abs(ranks[:size].sum() - middle) - 1e-9))
    return float(mannwhitneyu(first, second, method="asymptotic" if ties else "exact").pvalue)


def signed_ranks(differences: np.ndarray) -> tuple[float, int]:
    """Wilcoxon's test that differences lie around 0: two-sided p, exact with ties as well, and the side they lie on.

    Differences of 0 are left out (Wilcoxon, Biometrics Bulletin 1(6), 1945). All 2^n signs are counted, by the sums of
    ranks that they give; scipy lists them one by one where ranks are tied.
    """
    differences = differences[differences != 0]
    ranks = np.rint(2 * rankdata(np.abs(differences))).astype(np.int64)  # doubled: those of ties are halves
    ways = np.ones(1)  # in which each sum of ranks of positive differences comes about
    for rank in ranks:
        ways = np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))
    share, positive = ways / ways.sum(), int(ranks[differences > 0].sum())
    p = min(1.0, 2 * min(share[: positive + 1].sum(), share[positive:].sum()))
    return float(p), int(np.sign(2 * positive - ranks.sum()))
