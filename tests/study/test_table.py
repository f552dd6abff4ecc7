"""The long table: a row per evaluation, and several per final member."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from runs import carried_out, run_of

from pruneframe.study.facts import facts, summaries
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import evaluations, long_table

COLUMNS = {"board", "problem", "method", "seed", "number", "passes_spent", "seconds", "kind", "split"}


@pytest.fixture(scope="module")
def table(small: StudyFolder) -> pd.DataFrame:
    return long_table(small)


def test_an_empty_study_has_an_empty_table_with_the_columns_that_reports_select_by(tmp_path: Path) -> None:
    StudyFolder(tmp_path).prepare({}, {})
    table = long_table(StudyFolder(tmp_path))
    assert table.empty
    assert set(table.columns) >= COLUMNS


def test_evaluations_are_the_rows_of_that_kind(small: StudyFolder, table: pd.DataFrame) -> None:
    own = table[table.kind == "evaluation"]
    found = evaluations(small)
    pd.testing.assert_frame_equal(found, own[found.columns].reset_index(drop=True))
    assert {"seconds", "own_seconds", "processor_seconds"} <= set(found.columns)


def test_it_has_a_row_per_evaluation_and_two_per_member(small: StudyFolder, table: pd.DataFrame) -> None:
    assert COLUMNS | {"error", "params", "error_normalised", "params_normalised"} <= set(table.columns)
    found = summaries(small)
    assert len(table) == sum(one.evaluations + 2 * one.front_size for one in found)
    for one in found:
        rows = table[(table.method == one.method) & (table.seed == one.seed)]
        counts = rows.groupby(["kind", "split"]).size().to_dict()
        assert counts == {
            ("evaluation", "search"): one.evaluations,
            ("member", "search"): one.front_size,
            ("member", "test"): one.front_size,
        }
        evaluations = rows[rows.kind == "evaluation"]
        assert evaluations["passes_spent"].iloc[-1] == pytest.approx(one.passes_spent)
        assert evaluations["passes_spent"].is_monotonic_increasing


def test_members_are_those_of_the_stored_front(small: StudyFolder, table: pd.DataFrame) -> None:
    for folder in small.runs():
        front, identity, result = folder.front(), folder.identity, folder.result
        own = table[(table.method == identity["method"]) & (table.seed == identity["seed"]) & (table.kind == "member")]
        for split in ("search", "test"):
            rows = own[own.split == split]
            assert rows["number"].tolist() == list(range(len(front["bits"])))
            np.testing.assert_array_equal(rows[["error", "params"]], front[split])
            np.testing.assert_array_equal(rows["error"], front[f"{split}_error"])
            np.testing.assert_array_equal(rows["removed"], 1 - front["params"] / result["total_params"])


def test_normalised_values_are_shares_of_the_references(small: StudyFolder, table: pd.DataFrame) -> None:
    (board,) = facts(small).boards
    for name, reference in zip(board.objectives, board.references, strict=True):
        np.testing.assert_allclose(table[f"{name}_normalised"], table[name] / reference)
    assert board.references[1] == board.dense_test[1]


def test_boards_are_named_by_their_hash_and_problems_by_their_name(small: StudyFolder, table: pd.DataFrame) -> None:
    (board,) = facts(small).boards
    assert set(table["board"]) == {board.hash}
    assert set(table["problem"]) == {"lenet-digits"}


def test_runs_on_several_boards_share_one_table(boards: StudyFolder) -> None:
    table = long_table(boards)
    with_macs = {board.hash for board in facts(boards).boards if "macs" in board.objectives}
    assert len(with_macs) == 1
    wider = table["board"].isin(with_macs)
    assert table.loc[wider, "macs"].notna().all()
    assert table.loc[~wider, "macs"].isna().all()
    assert table["error"].notna().all()


def test_members_have_error_and_what_is_removed_whatever_the_objectives(tmp_path: Path) -> None:
    folder = carried_out(run_of("random", objectives=("distortion", "size")), tmp_path)
    table, front = long_table(StudyFolder(tmp_path)), folder.front()
    members = table[(table.kind == "member") & (table.split == "test")]
    np.testing.assert_array_equal(members["error"], front["test_error"])
    np.testing.assert_array_equal(members["distortion"], front["test"][:, 0])
    np.testing.assert_array_equal(members["params"], front["params"])
    assert members["removed"].between(0, 1).all()
    assert table.loc[table.kind == "evaluation", ["error", "removed"]].isna().all(axis=None)


def test_a_run_of_two_studies_is_there_once(small: StudyFolder, table: pd.DataFrame, boards: StudyFolder) -> None:
    both = long_table(small, boards)  # its first board is that of the small study
    own = long_table(boards)
    (board,) = facts(small).boards
    assert len(both) == len(table) + len(own[own["board"] != board.hash])
