"""Members of final fronts that a user would choose: by a loss that is allowed, or by a size. Chosen on search alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

import pruneframe as pf


@dataclass(frozen=True)
class Chosen:
    """One run's member: what is removed as a share of the unpruned network's, and points of error above its."""

    method: str
    seed: int
    number: int
    removed: float
    lost_on_search: float
    lost_on_test: float


def fronts(table: pd.DataFrame, board: pf.Board, kind: str = "member") -> Iterator[tuple[str, int, pd.DataFrame]]:
    """Method, seed and members of each run, one row a member: the search split's columns, and `test_error`."""
    rows, test = pf.members(table, board, "search", kind), pf.members(table, board, "test", kind)
    for (method, seed), front in rows.groupby(["method", "seed"]):
        own = test[(test.method == method) & (test.seed == seed)].set_index("number")
        yield str(method), int(str(seed)), front.assign(test_error=own.error.reindex(front.number).to_numpy())


def dense_errors(study: pf.StudyFacts, board: pf.Board) -> tuple[float, float]:
    """The unpruned network's error on search and on test."""
    run = study.done(board)[0]
    return run.dense_error, run.dense_test_error


def removed(front: pd.DataFrame, objective: str) -> pd.Series:
    """The share of an objective that members save; of the parameters also where they are no objective."""
    return front["removed"] if objective == "params" else 1 - front[f"{objective}_normalised"]


def within(
    table: pd.DataFrame, study: pf.StudyFacts, board: pf.Board, objective: str, points: float
) -> Iterator[Chosen]:
    """Of each run the member that saves most of an objective at so many points of *search* error above dense."""
    dense, dense_test = dense_errors(study, board)
    for method, seed, front in fronts(table, board):
        saved = removed(front, objective).to_numpy()
        row = pf.choose(front.error.to_numpy(), saved, dense + points / 100)
        if row is not None:
            yield _chosen(method, seed, front.iloc[row], float(saved[row]), dense, dense_test)


def at_size(table: pd.DataFrame, study: pf.StudyFacts, board: pf.Board, times: float) -> Iterator[Chosen]:
    """Of each run the member with the least *search* error among those `times` smaller than the unpruned network."""
    dense, dense_test = dense_errors(study, board)
    for method, seed, front in fronts(table, board):
        small = front[front.removed >= 1 - 1 / times - 1e-12]
        if len(small):
            row = small.sort_values(["error", "removed"], ascending=[True, False]).iloc[0]
            yield _chosen(method, seed, row, float(row["removed"]), dense, dense_test)


def _chosen(method: str, seed: int, row: pd.Series, saved: float, dense: float, dense_test: float) -> Chosen:
    lost, lost_on_test = 100 * (row["error"] - dense), 100 * (row["test_error"] - dense_test)
    return Chosen(method, seed, int(row["number"]), saved, float(lost), float(lost_on_test))


def coverage(chosen: Sequence[Chosen], runs: int) -> str:
    """How many of a method's runs have such a member, where not all do."""
    return "" if len(chosen) == runs else f", {len(chosen)} of {runs}"


def rows_of(found: dict[tuple[str, str], list[Chosen]]) -> pd.DataFrame:
    """One row per run, cost and allowance, for those who compute on."""
    rows = [{"of": cost, "chosen": heading} | asdict(c) for (cost, heading), chosen in found.items() for c in chosen]
    return pd.DataFrame(rows)
