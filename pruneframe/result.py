"""The result of a run: the members of its final front, measured once more, and the indicators over them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .archive import Archive
from .front import REGION_MARGIN, hypervolume, thin
from .journal import Journal
from .mask import Masks
from .objective import Objective
from .workbench import DENSE, Images, Workbench

DROPS = (0.5, 1.0, 2.0)  # points of lost accuracy at which the reduction is reported
MEMBER = "member"  # kind of the journal's lines about final members
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

    @property
    def reduction(self) -> Values:
        """Share of all parameters that is removed, float64[n]."""
        return 1 - self.params / self.total_params


def measure_members(bench: Workbench, archive: Archive, objectives: Sequence[Objective], journal: Journal) -> Members:
    """Thin the front to at most 100 members, re-evaluate them on the search split, and look at the test split.

    Each is journalled, so that a killed run does not measure it again; nothing here is charged.
    """
    masks, found = archive.front()
    references = np.array([o.reference(bench.dense(bench.search)) for o in objectives])
    values = np.array([evaluation.values for evaluation in found]).reshape(len(found), len(objectives))
    chosen = thin(values / references)
    masks, weights = masks[chosen], tuple(found[i].weights for i in chosen)
    full, dense = bench.network.layout.full(), (DENSE,)
    splits = {"search": bench.search, "test": bench.images(bench.loaded.data.test)}
    measured = {
        (name, kind): _measure(bench, group, ids, objectives, name, images, journal)
        for name, images in splits.items()
        for kind, group, ids in (("dense", full, dense), ("members", masks, weights))
    }
    return Members(
        masks=masks,
        weights=weights,
        params=bench.network.params(masks),
        total_params=bench.network.total_params,
        search=measured["search", "members"],
        test=measured["test", "members"],
        dense_search=measured["search", "dense"],
        dense_test=measured["test", "dense"],
    )


def _measure(
    bench: Workbench,
    masks: Masks,
    weights: Sequence[str],
    objectives: Sequence[Objective],
    split: str,
    images: Images,
    journal: Journal,
) -> Measured:
    values = np.empty((len(masks), len(objectives)))
    correct = np.empty((len(masks), len(images.labels)), dtype=bool)
    for row, (digest, name) in enumerate(zip(masks.digests(), weights, strict=True)):
        key = f"{split} {digest} {name}"
        answer = journal.replay(MEMBER, key)
        if answer is None:
            start = time.perf_counter()
            candidate = next(bench.candidates(masks[[row]], [name], images, exact=True))
            found = [float(objective.measure(candidate)) for objective in objectives]
            right = np.packbits(candidate.logits.argmax(axis=1) == candidate.labels).tobytes().hex()
            answer = journal.write(MEMBER, key, [*found, right], 0.0, time.perf_counter() - start)
        values[row] = answer.values[:-1]
        bits = np.frombuffer(bytes.fromhex(answer.values[-1]), dtype=np.uint8)
        correct[row] = np.unpackbits(bits, count=len(images.labels)).view(np.bool_)
    return Measured(values, correct)


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


def choose(errors: Values, reductions: Values, limit: float) -> int | None:
    """The member with the largest reduction among those with an error of at most `limit`; ties: the smaller error."""
    allowed = np.flatnonzero(errors <= limit + 1e-12)
    if len(allowed) == 0:
        return None
    return int(min(allowed, key=lambda i: (-reductions[i], errors[i])))


def paired_drop(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, tuple[float, float]]:
    """Points of accuracy lost between two networks on the same images, and the 95 % interval of that difference.

    The normal interval for a difference of paired proportions (Agresti, "Categorical Data Analysis", section 11.1).
    """
    n = len(before)
    lost, gained = int(np.sum(before & ~after)), int(np.sum(after & ~before))
    difference = (lost - gained) / n
    half = NORMAL_95 * math.sqrt(max(0.0, lost + gained - (lost - gained) ** 2 / n)) / n
    return 100 * difference, (100 * (difference - half), 100 * (difference + half))
