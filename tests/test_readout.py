"""A study read back: summaries, the long table, what tells boards and methods apart, and the progress of a run."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pandas as pd
import pytest

from pruneframe.journal import Answer, Journal
from pruneframe.progress import Progress
from pruneframe.readout import _apart, _labels, facts, long_table, summaries
from pruneframe.registry import Registry
from pruneframe.run import Run, carry_out, environment
from pruneframe.store import RunFolder, StudyFolder
from pruneframe.study import plan

# The list, in its order.
FIELDS = (
    *("problem", "method", "seed", "status", "units", "batch_norm", "budget", "units_spent", "evaluations", "seconds"),
    *("hypervolume", "hypervolume_search", "hypervolume_region", "front_size", "dense_error", "dense_test_error"),
    *("reduction_at_0.5", "test_drop_at_0.5", "reduction_at_1", "test_drop_at_1", "reduction_at_2", "test_drop_at_2"),
)
MEASURED_AT_THE_END = FIELDS[FIELDS.index("hypervolume_region") :]
COLUMNS = {"board", "problem", "method", "seed", "number", "units_spent", "seconds", "kind", "split"}

PLUGIN = '''
from dataclasses import dataclass

import pruneframe as pf

@dataclass(frozen=True, repr=False)
class Own(pf.Method):
    """Evaluates random masks; version {version}."""
    name = "own"
    def search(self, task):
        while True:
            task.evaluate(pf.Masks.pack(task.rng.random((1, task.layout.total)) < 0.9, task.layout))

@pf.hookimpl
def pruneframe_methods():
    return [Own]
'''


def planned(
    methods: Sequence[str], seeds: Sequence[int] = (0,), sources: tuple[str, ...] = (), **settings: Any
) -> tuple[Run, ...]:
    settings = {"budget": 20.0, "search_images": 100} | settings
    return plan(Registry(sources), methods, ["lenet-digits"], seeds, settings, "cpu", 1, lambda line: None).runs


def carried_out(runs: Sequence[Run], folder: Path, sources: tuple[str, ...] = ()) -> StudyFolder:
    StudyFolder(folder).prepare({}, {})
    for run in runs:
        result = carry_out(run, folder, sources)
        assert result["status"] == "done", result
    return StudyFolder.existing(folder)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return carried_out(planned(["magnitude", "nsga2"], seeds=[0, 1]), tmp_path_factory.mktemp("readout"))


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """One problem under four sets of rules."""
    runs = planned(["random"]) + planned(["random"], budget=30.0) + planned(["random"], units="filter")
    runs += planned(["random"], objectives=("error", "params", "macs"))
    return carried_out(runs, tmp_path_factory.mktemp("boards"))


def stopped(run: Run, folder: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """The run as a kill leaves it, after the answer to one question."""

    class Death(BaseException):
        pass

    def write_and_die(journal: Journal, *arguments: Any) -> Answer:
        answer = write(journal, *arguments)
        if answer.number == at:
            raise Death
        return answer

    write = Journal.write
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", write_and_die)
        with pytest.raises(Death):
            carry_out(run, folder, ())
    return run.folder(StudyFolder(folder))


def test_a_summary_has_every_field_of_the_contract(study: StudyFolder) -> None:
    found = summaries(study)
    assert [(one["method"], one["seed"]) for one in found] == [
        ("magnitude", 0),
        ("magnitude", 1),
        ("nsga2", 0),
        ("nsga2", 1),
    ]
    for one in found:
        assert set(FIELDS) <= set(one)
        assert (one["status"], one["units"], one["batch_norm"], one["budget"]) == ("done", "weight", "frozen", 20.0)
        for name in ("hypervolume", "hypervolume_search", "hypervolume_region", "dense_error", "dense_test_error"):
            assert 0 <= one[name] <= 1
        for drop in ("0.5", "1", "2"):
            assert (one[f"reduction_at_{drop}"] is None) == (one[f"test_drop_at_{drop}"] is None)
        assert all(isinstance(one[name], int) for name in ("seed", "evaluations", "front_size"))
    assert json.loads(json.dumps(found)) == found


def test_summaries_are_the_figures_of_the_stored_front(study: StudyFolder) -> None:
    for one, folder in zip(summaries(study), study.runs(), strict=True):
        front, references = folder.front(), np.array(folder.identity["references"])
        assert references[0] == pytest.approx(0.9)
        for name, split in (("hypervolume", "test"), ("hypervolume_search", "search")):
            assert one[name] == pytest.approx(moocore.hypervolume(np.minimum(front[split] / references, 1), ref=1.0))
        region = references * [(one["dense_test_error"] + 0.10) / references[0], 1]
        inside = front["test"][(front["test"] < region).all(axis=1)] / region
        expected = moocore.hypervolume(inside, ref=1.0) if len(inside) else 0.0
        assert one["hypervolume_region"] == pytest.approx(expected)
        removed = 1 - front["params"] / references[1]
        for drop in (0.5, 1, 2):
            allowed = front["search_error"] <= one["dense_error"] + drop / 100 + 1e-9
            best = removed[allowed].max() if allowed.any() else None
            assert one[f"reduction_at_{drop:g}"] == pytest.approx(best)
        assert one["evaluations"] == len(folder.evaluations())
        assert one["front_size"] == len(front["bits"])


def test_a_partial_run_has_the_figures_of_its_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = planned(["nsga2"])
    whole = carried_out([run], tmp_path / "whole")
    folder = stopped(run, tmp_path / "killed", 12, monkeypatch)
    (found,) = summaries(StudyFolder(tmp_path / "killed"))
    answered = next(iter(whole.runs())).evaluations().query("number <= 12")
    points = answered[["error", "params"]].to_numpy() / np.array(folder.identity["references"])
    assert (found["status"], found["evaluations"]) == ("partial", len(answered))
    assert found["units_spent"] == pytest.approx(answered["spent"].iloc[-1])
    assert found["seconds"] > 0
    assert found["hypervolume_search"] == pytest.approx(moocore.hypervolume(np.minimum(points, 1), ref=1.0))
    assert found["hypervolume"] is None
    assert all(found[name] is None for name in MEASURED_AT_THE_END)
    assert set(FIELDS) <= set(found)
    assert len(long_table(StudyFolder(tmp_path / "killed"))) == len(answered)


def test_a_run_without_an_answer_is_partial_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StudyFolder(tmp_path).prepare({}, {})
    (run,) = planned(["random"])
    folder = stopped(run, tmp_path, 5, monkeypatch)
    folder.journal.unlink()
    (found,) = summaries(StudyFolder(tmp_path))
    assert (found["status"], found["evaluations"], found["units_spent"]) == ("partial", 0, 0)
    assert long_table(StudyFolder(tmp_path)).empty
    assert facts(StudyFolder(tmp_path)).boards == ()


def test_an_empty_study_has_no_summaries(tmp_path: Path) -> None:
    StudyFolder(tmp_path).prepare({}, {})
    assert summaries(StudyFolder(tmp_path)) == []
    table = long_table(StudyFolder(tmp_path))
    assert table.empty
    assert set(table.columns) >= COLUMNS, "reports select rows by them"


def test_the_long_table_has_a_row_per_evaluation_and_two_per_member(study: StudyFolder) -> None:
    table = long_table(study)
    assert COLUMNS | {"error", "params", "error_normalised", "params_normalised"} <= set(table.columns)
    found = summaries(study)
    assert len(table) == sum(one["evaluations"] + 2 * one["front_size"] for one in found)
    for one in found:
        rows = table[(table.method == one["method"]) & (table.seed == one["seed"])]
        counts = rows.groupby(["kind", "split"]).size().to_dict()
        assert counts == {
            ("evaluation", "search"): one["evaluations"],
            ("member", "search"): one["front_size"],
            ("member", "test"): one["front_size"],
        }
        evaluations = rows[rows.kind == "evaluation"]
        assert evaluations["units_spent"].iloc[-1] == pytest.approx(one["units_spent"])
        assert evaluations["units_spent"].is_monotonic_increasing


def test_normalised_values_are_shares_of_the_references(study: StudyFolder) -> None:
    table = long_table(study)
    (board,) = facts(study).boards
    for name, reference in zip(board.objectives, board.references, strict=True):
        np.testing.assert_allclose(table[f"{name}_normalised"], table[name] / reference)
    assert board.references[1] == board.dense_test[1]


def test_one_board_is_called_after_its_problem(study: StudyFolder) -> None:
    assert [board.label for board in facts(study).boards] == ["lenet-digits"]
    assert set(long_table(study)["board"]) == {"lenet-digits"}


def test_boards_are_told_apart_by_what_differs(boards: StudyFolder) -> None:
    labels = [board.label for board in facts(boards).boards]
    assert len(set(labels)) == 4
    for label in labels:
        assert label.startswith("lenet-digits (units ")
        assert all(rule in label for rule in ("budget", "objectives"))
        assert not any(rule in label for rule in ("batch_norm", "search_images", "threads", "fingerprint"))
    assert any("budget 30" in label for label in labels)
    assert any("error+params+macs" in label for label in labels)
    assert {run["board"] for run in facts(boards).runs} == set(labels)


def test_runs_on_several_boards_share_one_table(boards: StudyFolder) -> None:
    table = long_table(boards)
    wider = table["board"].str.contains("macs")
    assert table.loc[wider, "macs"].notna().all()
    assert table.loc[~wider, "macs"].isna().all()
    assert table["error"].notna().all()


def test_methods_are_told_apart_by_version_where_nothing_else_differs(tmp_path: Path) -> None:
    for version in ("one", "two"):
        source = tmp_path / version / "own.py"
        source.parent.mkdir()
        source.write_text(PLUGIN.replace("{version}", version))
        runs = planned(["own"], budget=5.0, sources=(str(source),))
        carried_out(runs, tmp_path / "study", (str(source),))
    found = StudyFolder(tmp_path / "study")
    called = {run["method"] for run in facts(found).runs}
    assert len(called) == 2
    assert all(re.fullmatch(r"own \(version [0-9a-f]+\)", name) for name in called), "no path, which may name its owner"
    assert called == set(long_table(found)["method"])
    assert {run["method"] for run in summaries(found)} == {"own"}


def test_boards_and_versions_are_told_apart_without_naming_machines_or_packages() -> None:
    rules = {"problem": "toy", "budget": 5.0}
    machines = ("local-cpu on a fast one", "local-cpu on a slow one", "analytic")
    identities = [rules | {"board": str(n), "target_identity": machine} for n, machine in enumerate(machines)]
    assert list(_labels(identities).values()) == [
        "toy (target local-cpu) #1",
        "toy (target local-cpu) #2",
        "toy (target analytic)",
    ]
    shared, own = ("pruneframe", "1"), [("/home/me/a.py", "x"), ("/home/me/a.py", "y"), ("/home/you/a.py", "y")]
    assert _apart([{shared, one} for one in own]) == [" (version x)", " (version y #1)", " (version y #2)"]
    assert _apart([{shared}]) == [""]


def test_provenance_is_kept_with_the_study(study: StudyFolder) -> None:
    known = facts(study).provenance
    assert set(known) == {"magnitude", "nsga2"}
    assert "Deb" in known["nsga2"]


def test_progress_reads_a_journal_while_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = planned(["random"])
    StudyFolder(tmp_path).prepare({}, {})
    progress = Progress(run.folder(StudyFolder(tmp_path)), run.budget)
    progress.refresh()
    assert (progress.spent, progress.evaluations, progress.hypervolume, progress.seconds_left) == (0, 0, 0.0, None)
    volumes = []
    for number in (4, 9):
        stopped(run, tmp_path, number, monkeypatch)
        progress.refresh()
        assert progress.spent == pytest.approx(number)  # question 0 are the scores, which look at no image
        assert progress.seconds_left == pytest.approx(progress.seconds / number * (20 - number))
        volumes.append(progress.hypervolume)
    assert 0 < volumes[0] <= volumes[1]
    carried_out([run], tmp_path)
    progress.refresh()
    assert progress.spent == 20
    (summary,) = summaries(StudyFolder(tmp_path))
    assert progress.hypervolume == pytest.approx(summary["hypervolume_search"])
    assert progress.state == "done"
    assert progress.seconds_left == 0


def test_a_long_answer_is_shown_while_it_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = planned(["random"])
    StudyFolder(tmp_path).prepare({}, {})
    stopped(run, tmp_path, 4, monkeypatch)
    progress = Progress(run.folder(StudyFolder(tmp_path)), run.budget)
    progress.refresh()
    assert (progress.spent, progress.state) == (4, "searching")
    seconds = progress.seconds
    with Journal(progress.folder.journal, environment(run.device)) as journal:
        journal.tell("tuning", 0.25, 8.0, 3.0)
        journal.tell("tuning", 0.5, 8.0, 6.0)  # too soon after the one before
        progress.refresh()
        assert (progress.units, progress.state) == (4 + 2, "searching (tuning, 25%)")
        assert (progress.spent, progress.seconds) == (4, seconds)  # a kill would lose the rest
        assert progress.seconds_left == pytest.approx((seconds + 3) / 6 * (20 - 6))
        journal.write("tune", "key", ["id"], 8.0, 12.0)
        progress.refresh()
        assert (progress.units, progress.spent, progress.state) == (4 + 8, 4 + 8, "searching")
        monkeypatch.setattr("pruneframe.journal.SYNC_SECONDS", 0.0)
        journal.tell("training", 0.5, 8.0, 6.0)
    progress.refresh()
    assert (progress.spent, progress.state) == (4 + 8, "searching")  # nothing is under way where nobody computes
    left_behind = progress.folder.journal.with_suffix(".underway")
    left_behind.write_text('{"what": "training", "share": 0.5, "charge": 4.0, "seconds": 6.0}')
    progress.refresh()
    assert progress.units == 4 + 8 + 4
    os.utime(left_behind, (0, 0))
    progress.refresh()
    assert progress.units == 4 + 8


def test_studies_of_two_machines_can_be_merged(tmp_path: Path) -> None:
    for seed in (0, 1):
        carried_out(planned(["random"], seeds=[seed]), tmp_path / str(seed))
    shutil.copytree(tmp_path / "1" / "runs", tmp_path / "0" / "runs", dirs_exist_ok=True)
    merged = StudyFolder.existing(tmp_path / "0")
    assert [one["seed"] for one in summaries(merged)] == [0, 1]
    assert isinstance(long_table(merged), pd.DataFrame)
    assert len(facts(merged).boards) == 1


def test_a_run_that_was_asked_for_and_has_not_begun_is_missing(tmp_path: Path) -> None:
    study = carried_out(planned(["random"]), tmp_path)
    study.prepare({"problems": ["lenet-digits"], "methods": ["random", "nsga2"], "seeds": [0]}, {})
    statuses = {run["method"]: run["status"] for run in facts(study).runs}
    assert statuses == {"random": "done", "nsga2": "missing"}
    assert [run["method"] for run in summaries(study)] == ["random"]
    again = {"problems": ["lenet-digits"], "methods": ["random"], "seeds": [0]}
    study.prepare(again | {"budget": 20.0, "units": None}, {})
    assert len(facts(study).runs) == 2
    study.prepare(again | {"budget": 40.0}, {})
    assert [run["status"] for run in facts(study).runs] == ["done", "missing", "missing"]


def test_studies_are_read_together_and_a_run_of_both_counts_once(study: StudyFolder, tmp_path: Path) -> None:
    other = carried_out(planned(["random"]) + planned(["magnitude"]), tmp_path)
    known = facts(study, other)
    assert sorted({(run["method"], run["seed"]) for run in known.runs}) == sorted(
        [("magnitude", 0), ("magnitude", 1), ("nsga2", 0), ("nsga2", 1), ("random", 0)]
    )
    assert len(known.runs) == 5
    assert len(known.boards) == 1
    table = long_table(study, other)
    assert len(table) == len(long_table(study)) + (long_table(other).method == "random").sum()


def test_layers_say_what_each_member_keeps(study: StudyFolder) -> None:
    layers, table = facts(study).layers, long_table(study)
    members = table[(table.kind == "member") & (table.split == "test")]
    kept = layers.groupby(["method", "seed", "number"]).kept.sum()
    assert len(kept) == len(members)
    prunable = layers.groupby(["method", "seed", "number"]).units.sum().iloc[0]
    for row in members.itertuples():
        removed = prunable - kept[row.method, row.seed, row.number]
        assert row.params + removed == pytest.approx(row.params / (1 - row.removed))
