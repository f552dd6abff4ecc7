"""Whether methods differ: rank tests over seeds and over problems, effect sizes, Holm's correction, bootstrap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import PermutationMethod, bootstrap, chi2, friedmanchisquare, mannwhitneyu, rankdata, wilcoxon

SIGNIFICANT = 0.05
RESAMPLES = 2000  # of a bootstrap
SPLITS = 20_000  # of tied values into two groups that are all looked at: up to 8 and 8; of more the normal distribution
MOST_SEEDS = 30  # that an advice on their number looks at

Values = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Comparison:
    """One method against another: two-sided p after Holm's correction, and A12.

    `a12`: chance that a run of the first is better than one of the second, ties counted half (Vargha and Delaney,
    J. Educ. Behav. Stat. 25(2), 2000). `attainable`: whether so many seeds allow a p of at most SIGNIFICANT for so
    many comparisons at all; where they do not, nothing may be claimed.
    """

    other: str
    p: float
    a12: float
    attainable: bool

    @property
    def significant(self) -> bool:
        """Whether a difference may be claimed."""
        return self.attainable and self.p <= SIGNIFICANT


def compare(
    values: Sequence[float], others: Mapping[str, Sequence[float]], fixed: Sequence[str] = (), itself: bool = False
) -> list[Comparison]:
    """One method's values, larger ones better, against each other method's.

    Mann-Whitney, exact but for ties among many seeds. A method named in `fixed` gives the same for every seed, and so
    does the first where `itself` says so: then the one-sample signed-rank test of Wilcoxon. Of two such methods nothing
    is tested.
    """
    found = {
        name: _tested(values, theirs, itself, name in fixed)
        for name, theirs in others.items()
        if not (itself and name in fixed)
    }
    p, least = (holm({name: both[which] for name, both in found.items()}) for which in (0, 1))
    return [
        Comparison(name, p.get(name, 1.0), a12(values, theirs), least.get(name, 1.0) <= SIGNIFICANT)
        for name, theirs in others.items()
    ]


def seeds_needed(fixed: Sequence[bool]) -> int | None:
    """The least number of seeds with which all of some comparisons may show a difference; None beyond 30.

    `fixed`: for each of them, whether one of the two methods gives the same for every seed.
    """
    for seeds in range(2, MOST_SEEDS + 1):
        best = np.arange(seeds) + 1.0
        least = {str(i): _tested(best, -best, False, constant)[1] for i, constant in enumerate(fixed)}
        if all(p <= SIGNIFICANT for p in holm(least).values()):
            return seeds
    return None


def _tested(first: Values, second: Values, first_fixed: bool, second_fixed: bool) -> tuple[float, float]:
    """P of a difference, and the least that so many values allow."""
    if first_fixed:
        first, second, second_fixed = second, first, True
    best = np.arange(len(first)) + 1.0
    if second_fixed:
        return _one_sample(np.subtract(first, second[0])), _one_sample(best)
    return _two_sample(first, second), _two_sample(best, -np.arange(len(second)) - 1.0)


def _two_sample(first: Values, second: Values) -> float:
    ties = len({*first, *second}) < len(first) + len(second)
    if ties and math.comb(len(first) + len(second), len(first)) <= SPLITS:  # scipy's exact distribution has no ties
        return float(mannwhitneyu(first, second, method=PermutationMethod(n_resamples=SPLITS)).pvalue)
    return float(mannwhitneyu(first, second, method="asymptotic" if ties else "exact").pvalue)


def difference(first: Sequence[float], second: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """The first's median minus the second's, and its 95 % interval by percentile bootstrap; None for a single value.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. The resampling is always the same.
    """
    samples = [np.asarray(values, dtype=np.float64) for values in (first, second)]
    found = float(np.median(samples[0]) - np.median(samples[1]))
    if min(map(len, samples)) < 2:
        return found, None

    def statistic(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.median(a, axis=axis) - np.median(b, axis=axis)

    rng = np.random.default_rng(0)
    low, high = bootstrap(samples, statistic, method="percentile", n_resamples=RESAMPLES, rng=rng).confidence_interval
    return found, (float(low), float(high))


@dataclass(frozen=True)
class Ranking:
    """Methods over several problems: average ranks, 1 the best, Friedman's p, and Nemenyi's p for each pair.

    Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006.
    """

    ranks: pd.Series  # by method
    p: float
    pairs: pd.DataFrame  # method x method
    attainable: bool  # whether so few problems allow a p of at most SIGNIFICANT at all


def rank(values: pd.DataFrame) -> Ranking:
    """From one row per problem, one column per method (three at least), larger values better."""
    import scikit_posthocs

    problems, methods = values.shape
    ranks = pd.DataFrame(rankdata(-values.to_numpy(), axis=1), index=values.index, columns=values.columns)
    tied = bool((ranks.nunique(axis=1) == 1).all())
    p = 1.0 if tied else float(friedmanchisquare(*values.to_numpy().T).pvalue)
    pairs = scikit_posthocs.posthoc_nemenyi_friedman(values.to_numpy())
    pairs.index = pairs.columns = values.columns
    attainable = float(chi2.sf(problems * (methods - 1), methods - 1)) <= SIGNIFICANT
    return Ranking(ranks.mean(), p, pairs, attainable)


def a12(first: Sequence[float], second: Sequence[float]) -> float:
    """Chance that a value of the first is larger than one of the second, ties counted half."""
    differences = np.subtract.outer(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """P values corrected for their number (Holm, Scand. J. Stat. 6(2), 1979)."""
    corrected, largest = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        corrected[name] = largest
    return corrected


def _one_sample(differences: np.ndarray) -> float:
    """P of the signed ranks; 1 where all differences are 0."""
    return float(wilcoxon(differences).pvalue) if np.any(differences) else 1.0
