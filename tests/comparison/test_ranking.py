"""Ranks over problems and instances: a published example, and claims that are as rare as they are said to be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, f, friedmanchisquare

from pruneframe.comparison.ranking import rank

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
    assert 0.5 * chi2.sf(9.28, 3) < found.friedman < chi2.sf(9.28, 3), "a correction for ties makes it smaller"
    assert found.friedman == pytest.approx(friedmanchisquare(*values.T).pvalue)
    # the paper's F of 3.69 with 3 and 39 degrees does not correct for ties either
    assert 0.5 * f.sf(3.69, 3, 39) < found.iman_davenport < f.sf(3.69, 3, 39)
    assert 0.5 * found.iman_davenport < found.p < 2 * found.friedman
    assert found.significant
    critical = 2.569 * np.sqrt(4 * 5 / (6 * 14))  # its critical difference of 1.25
    apart = np.abs(np.subtract.outer(found.ranks.to_numpy(), found.ranks.to_numpy())) > critical
    np.testing.assert_array_equal(found.pairs.to_numpy() < 0.05, apart)


def test_methods_that_are_equal_everywhere_rank_equally() -> None:
    found = rank(pd.DataFrame(np.ones((5, 3)), columns=list("abc")))
    assert list(found.ranks) == [2.0] * 3
    assert found.p == found.friedman == found.iman_davenport == 1
    assert not rank(pd.DataFrame([[3.0, 2, 1]] * 2)).attainable
    assert rank(pd.DataFrame([[3.0, 2, 1]] * 5)).attainable


def test_where_all_problems_agree_p_is_the_chance_of_that() -> None:
    found = rank(pd.DataFrame([[3.0, 2, 1]] * 4, columns=list("abc")))
    assert found.iman_davenport == pytest.approx(1 / 6**3)
    assert found.p == pytest.approx(1 / 6**3, rel=0.4)


def test_equal_methods_are_seldom_told_apart_on_few_problems() -> None:
    rng = np.random.default_rng(0)
    found = [rank(pd.DataFrame(rng.random((4, 3)))) for _ in range(300)]
    assert np.mean([one.significant for one in found]) <= 0.05 + 0.015
    assert np.mean([one.friedman <= 0.05 for one in found]) > 0.05, "which is why shuffles are counted"
