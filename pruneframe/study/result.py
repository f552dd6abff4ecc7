"""The result of a run: the members of its final front, measured once more on both splits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..front import non_dominated, thin
from ..mask import Masks
from ..objective import Objective
from ..search.answer import Question
from ..search.archive import Archive
from ..search.images import Images
from ..search.journal import MEMBER, Journal
from ..search.workbench import DENSE, Workbench
from .timing import Series, measure_series

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
    def differing(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Search images that the unpruned network has right and a member has not, and the reverse, int64[n] each."""
        dense, own = self.dense_search.correct, self.search.correct
        return (dense & ~own).sum(axis=1), (own & ~dense).sum(axis=1)

    @property
    def reduction(self) -> Values:
        """Share of all parameters that is removed, float64[n]."""
        return 1 - self.params / self.total_params


def front_of(members: Members) -> dict[str, NDArray[Any]]:
    """The arrays by which a final front is stored."""
    return {
        "bits": members.masks.bits,
        "weights": np.array(members.weights, dtype=str),
        "params": members.params,
        "search": members.search.values,
        "test": members.test.values,
        "search_error": members.search.error,
        "test_error": members.test.error,
        **dict(zip(("search_lost", "search_gained"), members.differing, strict=True)),
        "kept": members.masks.layer_counts(),
        "correct": np.packbits(members.test.correct, axis=1),
        "dense_correct": np.packbits(members.dense_test.correct[0]),
    }


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
