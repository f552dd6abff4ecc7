"""A series: physical values of several networks, measured while they take turns, and how sure they are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from .journal import MEMBER, Journal
from .mask import Masks
from .objective import Objective
from .workbench import DENSE, Workbench


@dataclass(frozen=True)
class Series:
    """Values of the physical objectives, float64[1 + members, physical], the unpruned network's first.

    `timings` has a row for each: the median seconds of a forward pass, the 95 % interval of that median, and by which
    share the unpruned network's two medians, measured as two networks, differ (noise).
    """

    values: NDArray[np.float64]
    timings: pd.DataFrame


def measure_series(
    bench: Workbench, masks: Masks, weights: Sequence[str], objectives: Sequence[Objective], journal: Journal
) -> Series:
    """The unpruned network and members of a final front; journalled, so that a killed run does not do it again."""
    physical = [objective for objective in objectives if objective.physical]
    key = f"series {hashlib.blake2b(' '.join([*masks.digests(), *weights]).encode(), digest_size=16).hexdigest()}"
    answer = journal.replay(MEMBER, key)
    if answer is None:
        start = time.perf_counter()
        full = bench.candidates(masks.layout.full(), [DENSE], bench.search, exact=True)
        dense, *members = [*full, *bench.candidates(masks, weights, bench.search, exact=True)]
        values = np.transpose([objective.measure_all([dense, *members]) for objective in physical])
        times = dense.meant_for.latencies([dense, *members, dense])
        medians = np.median(times, axis=1)
        noise = abs(medians[-1] / medians[0] - 1)
        timings = [[float(median), *interval(row), noise] for median, row in zip(medians, times[:-1], strict=False)]
        answer = journal.write(MEMBER, key, [values.tolist(), timings], 0.0, time.perf_counter() - start)
    values, timings = answer.values
    return Series(np.array(values), pd.DataFrame(timings, columns=["seconds", "low", "high", "noise"]))


def interval(times: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of a median, by order statistics (Conover, "Practical Nonparametric Statistics", 3.2)."""
    ordered, n = np.sort(times), len(times)
    low, high = binom.ppf([0.025, 0.975], n, 0.5).astype(int)
    return float(ordered[max(0, low - 1)]), float(ordered[min(n - 1, high)])
