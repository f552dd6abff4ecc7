"""Members of final fronts that a user would choose: by a loss that is allowed, or by a size. Chosen on search alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

import pruneframe as pf


@dataclass(frozen=True)
class Chosen:
    """One run's member: what is removed as a share of the unpruned network's, and points of error above its."""

    method: str
    instance: int
    seed: int
    number: int
    removed: float
    lost_on_search: float
    lost_on_test: float


Fronts = dict[tuple[str, int, int], pd.DataFrame]  # by method, instance and seed


def fronts(table: pd.DataFrame, board: pf.Board, kind: str = "member") -> Fronts:
    """The members of each run, one row a member: the search split's columns, and `test_error`."""
    rows, test = pf.members(table, board, "search", kind), pf.members(table, board, "test", kind)
    if not len(rows):
        return {}
    own = [*pf.RUN, "number"]
    both = rows.merge(test[[*own, "error"]].rename(columns={"error": "test_error"}), "left", own)
    return dict(sorted(pf.by_run(both).items()))


def removed(front: pd.DataFrame, objective: str) -> pd.Series:
    """The share of an objective that members save; of the parameters also where they are no objective."""
    return front["removed"] if objective == "params" else 1 - front[f"{objective}_normalised"]


def within(found: Fronts, board: pf.Board, objective: str, points: float, sure: bool = False) -> Iterator[Chosen]:
    """Of each run the member that saves most of an objective at so many points of *search* error above dense.

    A `sure` one loses at most so many on search with 90 % confidence.
    """
    for key, front in found.items():
        saved, dense = removed(front, objective).to_numpy(), board.instance(key[1]).dense_error
        losses = front.loss_bound.to_numpy() if sure else front.error.to_numpy() - dense
        row = pf.choose(losses, saved, points / 100)
        if row is not None:
            yield _chosen(key, board, front, row, float(saved[row]))


def at_size(found: Fronts, board: pf.Board, times: float) -> Iterator[Chosen]:
    """Of each run the member with the least *search* error among those `times` smaller than the unpruned network."""
    for key, front in found.items():
        errors, saved = front.error.to_numpy(), front.removed.to_numpy()
        small = np.flatnonzero(saved >= 1 - 1 / times - 1e-12)
        if len(small):
            row = int(small[np.lexsort((-saved[small], errors[small]))[0]])
            yield _chosen(key, board, front, row, float(saved[row]))


def _chosen(key: tuple[str, int, int], board: pf.Board, front: pd.DataFrame, row: int, saved: float) -> Chosen:
    error, test_error, number = (front[name].to_numpy()[row] for name in ("error", "test_error", "number"))
    dense = board.instance(key[1])
    lost, lost_on_test = error - dense.dense_error, test_error - dense.dense_test_error
    return Chosen(*key, int(number), saved, float(100 * lost), float(100 * lost_on_test))


def coverage(chosen: Sequence[Chosen], runs: int) -> str:
    """How many of a method's runs have such a member, where not all do."""
    return "" if len(chosen) == runs else f", {len(chosen)} of {runs}"


def rows_of(found: dict[tuple[str, str], list[Chosen]]) -> pd.DataFrame:
    """One row per run, cost and allowance, for those who compute on."""
    rows = [{"of": cost, "chosen": heading} | asdict(c) for (cost, heading), chosen in found.items() for c in chosen]
    return pd.DataFrame(rows)
