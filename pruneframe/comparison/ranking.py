"""Methods over several problems or instances: average ranks, and whether any differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import chi2, f, rankdata

from .statistics import SIGNIFICANT

SHUFFLES = 10_000  # of ranks within blocks
FEWEST_METHODS, FEWEST_BLOCKS = 3, 2  # that Friedman's test is made for


@dataclass(frozen=True)
class Ranking:
    """Methods over several blocks, problems or instances: average ranks, 1 the best, and whether any differ.

    `friedman` is p of Friedman's chi-square, `iman_davenport` that of its F (Iman and Davenport, Comm. Stat. A9(6),
    1980). Both are approximations that claim too much with few blocks (with 4 and 3 methods 7 % in place of 5 %); `p`
    is of the same statistic and counts 10,000 shuffles of ranks within blocks. `pairs`: p of Nemenyi's test. Demsar,
    "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006.
    """

    ranks: pd.Series  # by method
    blocks: int
    p: float
    friedman: float
    iman_davenport: float
    pairs: pd.DataFrame  # method x method
    attainable: bool  # whether so few blocks allow a p of at most SIGNIFICANT at all

    @property
    def significant(self) -> bool:
        """Whether it may be claimed that some methods differ."""
        return self.attainable and self.p <= SIGNIFICANT

    @property
    def told(self) -> str:
        """All three, as captions have them."""
        return (
            f"Friedman: p = {self.friedman:.4f}, Iman-Davenport: p = {self.iman_davenport:.4f}, by {SHUFFLES:,} "
            f"shuffles: p = {self.p:.4f}"
        )


def rank(values: pd.DataFrame) -> Ranking:
    """From one row per problem or instance, one column per method (three at least), larger values better."""
    import scikit_posthocs

    blocks, methods = values.shape
    ranks = rankdata(-values.to_numpy(), axis=1)
    statistic = float(_friedman(ranks))
    shuffled = _friedman(np.random.default_rng(0).permuted(np.tile(ranks, (SHUFFLES, 1, 1)), axis=2))
    pairs = scikit_posthocs.posthoc_nemenyi_friedman(values.to_numpy())
    pairs.index = pairs.columns = values.columns
    return Ranking(
        ranks=pd.Series(ranks.mean(axis=0), index=values.columns),
        blocks=blocks,
        p=float((1 + (shuffled >= statistic - 1e-9).sum()) / (1 + SHUFFLES)),
        friedman=float(chi2.sf(statistic, methods - 1)),
        iman_davenport=_iman_davenport(statistic, blocks, methods),
        pairs=pairs,
        attainable=_perfect(blocks, methods) <= SIGNIFICANT,
    )


def _friedman(ranks: np.ndarray) -> np.ndarray:
    """Friedman's chi-square of ranks [..., blocks, methods], corrected for ties; 0 where all are tied everywhere."""
    blocks, methods = ranks.shape[-2:]
    middle = (methods + 1) / 2
    spread = ((ranks - middle) ** 2).sum(axis=(-2, -1))
    apart = ((ranks.mean(axis=-2) - middle) ** 2).sum(axis=-1)
    return np.asarray((methods - 1) * blocks**2 * apart / np.maximum(spread, 1e-9))


def _iman_davenport(statistic: float, blocks: int, methods: int) -> float:
    """P of F with (methods - 1) and (methods - 1)(blocks - 1) degrees; where all blocks agree F is infinite."""
    left = blocks * (methods - 1) - statistic
    if left < 1e-9:
        return _perfect(blocks, methods)
    return float(f.sf((blocks - 1) * statistic / left, methods - 1, (methods - 1) * (blocks - 1)))


def _perfect(blocks: int, methods: int) -> float:
    """The chance that all blocks rank all methods alike."""
    return math.exp(-(blocks - 1) * math.lgamma(methods + 1))
