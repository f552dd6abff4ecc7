"""A series: physical values of several networks, measured while they take turns, and how sure they are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from ..mask import Masks
from ..objective import Objective
from ..search.answer import Question
from ..search.journal import MEMBER, Journal
from ..search.workbench import Workbench
from ..target import Gauge, Physical, Target


@dataclass(frozen=True)
class Series:
    """Values of the physical objectives, float64[1 + members, physical], the unpruned network's first.

    Where the target measures, `timings` has a row for each: the median seconds of a forward pass, and the 95 % interval
    of that median; `noise` is the share by which the unpruned network's medians differ when it is measured as two.
    """

    values: NDArray[np.float64]
    timings: pd.DataFrame
    noise: float

    def records(self, rows: Sequence[int]) -> dict[str, pd.DataFrame]:
        """For the report: some rows' timings, and the noise."""
        if not len(self.timings):
            return {}
        noise = pd.DataFrame([{"noise": self.noise}])
        return {"timings": self.timings.iloc[list(rows)].reset_index(drop=True), "noise of timings": noise}


class Overheard:
    """A target, and the seconds that it was last asked for."""

    def __init__(self, target: Gauge) -> None:
        self._target = target
        self.times: NDArray[np.float64] | None = None

    def latencies(self, networks: Sequence[Physical]) -> NDArray[np.float64]:
        """As the target's."""
        self.times = self._target.latencies(networks)
        return self.times

    def memory(self, network: Physical) -> float:
        """As the target's."""
        return self._target.memory(network)


def measure_series(
    bench: Workbench, masks: Masks, weights: Sequence[str], objectives: Sequence[Objective], journal: Journal
) -> Series:
    """The unpruned network and members of a final front; journalled, so that a killed run does not do it again."""
    physical = [objective for objective in objectives if objective.physical]
    members = hashlib.blake2b(" ".join([*masks.digests(), *weights]).encode(), digest_size=16).hexdigest()
    question = Question.of(MEMBER, series=members)
    answer = journal.replay(question)
    if answer is None:
        start = time.perf_counter()
        dense = bench.dense(bench.search)
        overheard = Overheard(dense.meant_for)
        target = cast(Target, overheard)
        dense = replace(dense, target=target)
        candidates = bench.candidates(masks, weights, bench.search)
        judged = [dense, *(replace(one, target=target, dense=dense) for one in candidates)]
        values = np.transpose([bench.judge.values(objective, judged) for objective in physical])
        measured = bench.meter is not None and bench.meter.measured
        found = [values.tolist(), *_summarised(overheard.times if measured else None, len(values))]
        answer = journal.write(question, found, 0.0, time.perf_counter() - start)
    values, timings, noise = answer.values
    return Series(np.array(values), pd.DataFrame(timings, columns=["seconds", "low", "high"]), noise)


def _summarised(times: NDArray[np.float64] | None, networks: int) -> tuple[list[list[float]], float]:
    """Medians and intervals of the last so many rows of seconds; before them comes what they are compared with."""
    if times is None:
        return [], 0.0
    medians = np.median(times, axis=1)
    rows = [[float(median), *interval(row)] for median, row in zip(medians, times, strict=True)][-networks:]
    return rows, float(abs(medians[-networks] / medians[0] - 1))


def interval(times: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of a median, by order statistics (Conover, "Practical Nonparametric Statistics", 3.2)."""
    ordered, n = np.sort(times), len(times)
    low, high = binom.ppf([0.025, 0.975], n, 0.5).astype(int)
    return float(ordered[max(0, low - 1)]), float(ordered[min(n - 1, high)])
