"""The result of a run: the members of its final front, measured once more, and the indicators over them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..front import DROPS, REGION_MARGIN, choose, hypervolume, non_dominated, thin
from ..mask import Masks
from ..objective import Objective
from ..search.archive import Archive
from ..search.journal import MEMBER, Journal, Question
from ..search.workbench import DENSE, Images, Workbench
from .timing import Series, measure_series

NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Candidates on one split: objective values float64[n, objectives], correct bool[n, images]."""

    values: Values
    correct: NDArray[np.bool_]

    @property
    def error(self) -> Values:
        """Share misclassified, float64[n]."""
        return (~self.correct).mean(axis=1)


@dataclass(frozen=True)
class Members:
    """A final front, and the unpruned network (one row) beside it, in float32 on the search and the test split."""

    masks: Masks
    weights: tuple[str, ...]
    params: NDArray[np.int64]
    total_params: int
    search: Measured
    test: Measured
    dense_search: Measured
    dense_test: Measured
    timings: dict[str, pd.DataFrame] = field(default_factory=dict)  # records, where something was timed

    @property
    def reduction(self) -> Values:
        """Share of all parameters that is removed, float64[n]."""
        return 1 - self.params / self.total_params


def measure_members(
    bench: Workbench, archive: Archive, objectives: Sequence[Objective], references: Values, journal: Journal
) -> Members:
    """Thin the front to at most 100 members, re-evaluate them on the search split, and look at the test split.

    Each is journalled, so that a killed run does not measure it again; nothing here is charged. What is physical is
    measured anew in one series, and members that are dominated then are left out: least values flatter their owners.
    """
    found = archive.members
    values = np.array([evaluation.values for evaluation in found]).reshape(len(found), len(objectives))
    chosen = thin(values / references)
    masks, weights = archive.masks(chosen), tuple(found[i].weights for i in chosen)
    physical = any(objective.physical for objective in objectives)
    series = measure_series(bench, masks, weights, objectives, journal) if physical else None
    look = Look(bench, objectives, journal, series)
    rows = np.arange(len(masks)) + 1  # of the series, behind the unpruned network
    search = look("search", masks, weights, rows)
    if physical:
        stays = np.flatnonzero(non_dominated(search.values))
        masks, weights, rows = masks[stays], tuple(weights[row] for row in stays), rows[stays]
        search = Measured(search.values[stays], search.correct[stays])
    full, first = bench.network.layout.full(), np.array([0])
    return Members(
        masks=masks,
        weights=weights,
        params=bench.network.params(masks),
        total_params=bench.network.total_params,
        search=search,
        test=look("test", masks, weights, rows),
        dense_search=look("search", full, (DENSE,), first),
        dense_test=look("test", full, (DENSE,), first),
        timings={} if series is None else series.records([0, *rows]),
    )


@dataclass(frozen=True)
class Look:
    """Measures final members on a split, in float32; what is physical is known from the series."""

    bench: Workbench
    objectives: Sequence[Objective]
    journal: Journal
    series: Series | None

    def __call__(self, split: str, masks: Masks, weights: Sequence[str], rows: NDArray[np.intp]) -> Measured:
        """Candidates on "search" or "test"; `rows` says where in the series each is."""
        bench = self.bench
        images = bench.search if split == "search" else self._test
        values = np.empty((len(masks), len(self.objectives)))
        correct = np.empty((len(masks), len(images.labels)), dtype=bool)
        own = np.array([not objective.physical for objective in self.objectives])
        for row, mask in enumerate(masks.digests()):
            question = Question.of(MEMBER, split=split, mask=mask, weights=weights[row])
            *found, right = self._answer(question, masks[[row]], images)
            values[row, own] = found
            bits = np.frombuffer(bytes.fromhex(right), dtype=np.uint8)
            correct[row] = np.unpackbits(bits, count=len(images.labels)).view(np.bool_)
        if self.series is not None:
            values[:, ~own] = self.series.values[rows]
        return Measured(values, correct)

    @cached_property
    def _test(self) -> Images:
        return self.bench.images(self.bench.loaded.data.test)

    def _answer(self, question: Question, mask: Masks, images: Images) -> list[Any]:
        """Values of the objectives that are not physical, and which images are right, packed, in hex digits."""
        answer = self.journal.replay(question)
        if answer is None:
            start = time.perf_counter()
            bench = self.bench
            candidate = next(bench.candidates(mask, [question["weights"]], images, exact=True))
            found = [
                bench.judge.values(objective, [candidate])[0] for objective in self.objectives if not objective.physical
            ]
            right = np.packbits(candidate.correct).tobytes().hex()
            answer = self.journal.write(question, [*found, right], 0.0, time.perf_counter() - start)
        return answer.values


def indicators(members: Members, objectives: Sequence[str], references: Values) -> dict[str, Any]:
    """Hypervolumes and operating points of a final front, as `summary --json` names them.

    hypervolume: with the members' values on test; hypervolume_search: on search; hypervolume_region: as the first, the
    error divided by (dense test error + 0.10). reduction_at_x: the largest share removed among members whose *search*
    error is at most x points above dense; test_drop_at_x: what that member loses on test, in points, and its paired
    95 % interval. Nothing is selected on test.
    """
    dense_error = float(members.dense_search.error[0])
    dense_test_error = float(members.dense_test.error[0])
    region = references.copy()
    if "error" in objectives:
        region[list(objectives).index("error")] = dense_test_error + REGION_MARGIN
    found: dict[str, Any] = {
        "hypervolume": hypervolume(members.test.values / references),
        "hypervolume_search": hypervolume(members.search.values / references),
        "hypervolume_region": hypervolume(members.test.values / region),
        "front_size": len(members.masks),
        "dense_error": dense_error,
        "dense_test_error": dense_test_error,
    }
    for drop in DROPS:
        found |= _operating_point(members, drop, dense_error)
    return found


def _operating_point(members: Members, drop: float, dense_error: float) -> dict[str, Any]:
    name = f"{drop:g}"
    keys = (f"reduction_at_{name}", f"test_drop_at_{name}", f"test_drop_interval_at_{name}")
    chosen = choose(members.search.error, members.reduction, dense_error + drop / 100)
    if chosen is None:
        return dict.fromkeys(keys)
    lost, interval = paired_drop(members.dense_test.correct[0], members.test.correct[chosen])
    return dict(zip(keys, (float(members.reduction[chosen]), lost, list(interval)), strict=True))


def paired_drop(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, tuple[float, float]]:
    """Points of accuracy lost between two networks on the same images, and the 95 % interval of that difference.

    The normal interval for a difference of paired proportions (Agresti, "Categorical Data Analysis", section 11.1).
    """
    n = len(before)
    lost, gained = int(np.sum(before & ~after)), int(np.sum(after & ~before))
    difference = (lost - gained) / n
    half = NORMAL_95 * math.sqrt(max(0.0, lost + gained - (lost - gained) ** 2 / n)) / n
    return 100 * difference, (100 * (difference - half), 100 * (difference + half))
