"""Whether one method's runs are better than another's: rank tests over seeds, effect sizes, Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu, wilcoxon

SIGNIFICANT = 0.05


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
    values: Sequence[float], others: Mapping[str, Sequence[float]], fixed: Sequence[str] = ()
) -> list[Comparison]:
    """One method's values, larger ones better, against each other method's.

    Mann-Whitney, exact without ties; against a method named in `fixed`, which gives the same for every seed, the
    one-sample signed-rank test of Wilcoxon.
    """
    found, least = {}, {}
    for name, theirs in others.items():
        best = np.arange(len(values)) + 1.0
        if name in fixed:
            found[name] = _one_sample(np.subtract(values, theirs[0]))
            least[name] = _one_sample(best)
        else:
            found[name] = float(mannwhitneyu(values, theirs).pvalue)
            least[name] = float(mannwhitneyu(best, -np.arange(len(theirs)) - 1.0).pvalue)
    p, lowest = holm(found), holm(least)
    return [
        Comparison(name, p[name], a12(values, theirs), lowest[name] <= SIGNIFICANT) for name, theirs in others.items()
    ]


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
