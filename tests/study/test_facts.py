"""A study read back: summaries of its runs, its boards, what members keep, and what was asked for and is missing."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import moocore
import numpy as np
import pandas as pd
import pytest
from runs import carried_out, run_of, stopped
from studies import forge, study_of

import pruneframe as pf
from pruneframe.front import DROPS
from pruneframe.study import worker
from pruneframe.study.facts import _ranked, facts, overview, summaries
from pruneframe.study.formats import from_table
from pruneframe.study.machine import environment
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table

# The list, in its order.
FIELDS = (
    *("problem", "method", "seed", "status", "units", "batch_norm", "budget", "passes_spent", "evaluations", "seconds"),
    *("hypervolume", "hypervolume_search", "hypervolume_region", "front_size", "dense_error", "dense_test_error"),
    *("reduction_at_0.5", "test_drop_at_0.5", "reduction_at_1", "test_drop_at_1", "reduction_at_2", "test_drop_at_2"),
)
NOTHING = "emo-dir[cuts=none]"  # reaches nothing with 3 passes
STATUSES = ((NOTHING, "empty"), ("nsga2", "done"))
MEASURED_AT_THE_END = FIELDS[FIELDS.index("hypervolume_region") :]


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """An empty one."""
    found = StudyFolder(tmp_path / "study")
    found.prepare({}, {})
    return found


def test_a_summary_has_every_field_of_the_contract(small: StudyFolder) -> None:
    found = summaries(small)
    assert [(one.method, one.seed) for one in found] == [(m, s) for m in ("magnitude", "random") for s in (0, 1, 2)]
    for one in found:
        assert (one.status, one.units, one.batch_norm, one.budget) == ("done", "weight", "frozen", 20.0)
        assert one.done
        volumes = [f"hypervolume{kind}" for kind in ("", "_search", "_region", "_log", "_anytime")]
        for name in (*volumes, "dense_error", "dense_test_error"):
            assert 0 <= getattr(one, name) <= 1
        assert 0 < one.hypervolume_anytime < one.hypervolume_search
        assert np.mean(one.hypervolume_resampled) == pytest.approx(one.hypervolume, abs=0.02)
        for point in one.points:
            assert (point.reduction is None) == (point.test_drop is None) == (point.interval is None)
        assert [(point.drop, point.sure) for point in one.points] == [
            (x, sure) for x in DROPS for sure in (False, True)
        ]
        for drop in DROPS:
            bold, sure = (one.point(drop, kind).reduction or 0.0 for kind in (False, True))
            assert sure <= bold
        assert all(isinstance(getattr(one, name), int) for name in ("seed", "evaluations", "front_size"))
        assert set(FIELDS) <= set(one.json())
    told = [one.json() for one in found]
    assert json.loads(json.dumps(told)) == json.loads(json.dumps(told, allow_nan=False))


def test_summaries_are_the_figures_of_the_stored_front(small: StudyFolder) -> None:
    for one, folder in zip(summaries(small), small.runs(), strict=True):
        front, references = folder.front(), np.array(folder.identity["references"])
        assert references[0] == pytest.approx(0.9)
        for name, split in (("hypervolume", "test"), ("hypervolume_search", "search")):
            volume = moocore.hypervolume(np.minimum(front[split] / references, 1), ref=1.0)
            assert getattr(one, name) == pytest.approx(volume)
        region = references * [(one.dense_test_error + 0.10) / references[0], 1]
        inside = front["test"][(front["test"] < region).all(axis=1)] / region
        expected = moocore.hypervolume(inside, ref=1.0) if len(inside) else 0.0
        assert one.hypervolume_region == pytest.approx(expected)
        removed = 1 - front["params"] / references[1]
        for drop in DROPS:
            allowed = front["search_error"] <= one.dense_error + drop / 100 + 1e-9
            best = removed[allowed].max() if allowed.any() else None
            assert one.point(drop).reduction == pytest.approx(best)
        assert one.evaluations == len(folder.evaluations())
        assert one.front_size == len(front["bits"])


def test_a_summary_says_what_the_run_is_and_what_it_was_computed_with(small: StudyFolder) -> None:
    for one, folder in zip(summaries(small), small.runs(), strict=True):
        identity = folder.identity
        assert (one.hash, one.board) == (identity["hash"], identity["board"])
        assert (one.objectives, one.search_images) == (("error", "params"), 100)
        assert one.folder == str(folder.path)
        assert [list(plugin) for plugin in one.plugins] == identity["versions"]
        assert one.environment == folder.result["environment"]
        assert one.deterministic == (one.method == "magnitude")
        assert (one.finetuned, one.finetuning_passes) == (0, 0.0)


def test_a_partial_run_has_the_figures_of_its_journal(tmp_path: Path, study: StudyFolder) -> None:
    run = run_of("nsga2")
    whole = carried_out(run, tmp_path / "whole")
    folder = stopped(run, study.path, 12)
    (found,) = summaries(study)
    answered = whole.evaluations().query("number <= 12")
    points = answered[["error", "params"]].to_numpy() / np.array(folder.identity["references"])
    assert (found.status, found.evaluations) == ("partial", len(answered))
    assert found.passes_spent == pytest.approx(answered["spent"].iloc[-1])
    assert found.seconds > 0
    assert found.hypervolume_search == pytest.approx(moocore.hypervolume(np.minimum(points, 1), ref=1.0))
    assert math.isnan(found.hypervolume)
    told = found.json()
    assert told["hypervolume"] is None
    assert all(told[name] is None for name in MEASURED_AT_THE_END)
    assert set(FIELDS) <= set(told)
    assert len(long_table(study)) == len(answered)


def test_seconds_are_told_by_the_kind_of_question_and_stay_those_of_the_first_time(tmp_path: Path) -> None:
    run, study = run_of("hierarchical", budget=60), StudyFolder(tmp_path)
    study.prepare({}, {})
    folder = stopped(run, study.path, 30)
    (partial,) = summaries(study)
    before = folder.answers()
    carried_out(run, study.path)
    (found,) = summaries(study)
    for one, answers in ((partial, before), (found, [a for a in folder.answers() if a.kind != "member"])):
        assert one.seconds == pytest.approx(sum(one.seconds_by_kind.values()))
        for kind, seconds in one.seconds_by_kind.items():
            assert seconds == pytest.approx(sum(answer.seconds for answer in answers if answer.kind == kind))
        assert one.own_seconds >= sum(answer.own for answer in answers) > 0
    assert {"scores", "tune", "evaluate"} <= set(found.seconds_by_kind)
    assert folder.answers()[: len(before)] == before
    assert (partial.ended, found.ended) == ("", "budget")
    evaluations = folder.evaluations()
    assert np.all(np.diff(evaluations["own"]) >= 0)
    assert evaluations["own"].iloc[-1] <= found.own_seconds
    assert found.json()["seconds_by_kind"] == found.seconds_by_kind
    rows = long_table(study).query("kind == 'evaluation'")
    assert rows["own_seconds"].tolist() == evaluations["own"].tolist()
    assert rows["processor_seconds"].tolist() == evaluations["processor"].tolist()
    assert 0 < evaluations.processor.iloc[-1] <= found.processor_seconds


def test_a_run_says_where_it_was_computed_and_whether_it_was_continued_elsewhere(
    study: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, there = run_of("random"), environment() | {"machine": "another"}
    with monkeypatch.context() as patch:
        patch.setattr(worker, "environment", lambda device="cpu": there)
        stopped(run, tmp_path / "moved", 5)
    moved = carried_out(run, tmp_path / "moved").result["environment"]
    assert moved == environment() | {"continued": "under other versions"}
    assert moved["machine"] == pf.processor_name()
    assert carried_out(run, study.path).result["environment"] == environment()


def test_a_run_without_an_answer_is_partial_too(study: StudyFolder) -> None:
    folder = stopped(run_of("random"), study.path, 5)
    folder.journal.unlink()
    (found,) = summaries(study)
    assert (found.status, found.evaluations, found.passes_spent) == ("partial", 0, 0)
    assert long_table(study).empty
    assert facts(study).boards == ()


def test_a_failed_run_says_why(study: StudyFolder) -> None:
    folder = stopped(run_of("random"), study.path, 5)
    folder.fail("it broke", folder.identity)
    (found,) = summaries(study)
    assert (found.status, found.reason, found.done) == ("failed", "it broke", False)
    assert found.evaluations == 5
    assert found.json()["reason"] == "it broke"


@pytest.fixture(scope="module")
def with_nothing(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> StudyFolder:
    """A study in which 3 passes are too few for one of two methods."""
    return study_of(tmp_path_factory.mktemp("nothing"), [NOTHING, "nsga2"], [0, 1], budget=3.0)


def test_what_has_reached_nothing_is_not_ranked(with_nothing: StudyFolder) -> None:
    told = summaries(with_nothing)
    assert [(run.method, run.status) for run in told] == [(m, s) for m, s in STATUSES for _ in range(2)]
    assert all(run.reason.startswith("no member is better than guessing") for run in told[:2])
    assert told[0].json()["front_size"] == 1
    assert facts(with_nothing).methods == ["nsga2"]
    assert {run.method for run in facts(with_nothing).done(facts(with_nothing).boards[0])} == {"nsga2"}


def test_a_board_on_which_nothing_was_reached_is_none(with_nothing: StudyFolder, tmp_path: Path) -> None:
    copy = StudyFolder(Path(shutil.copytree(with_nothing.path, tmp_path / "copy")))
    for folder in [folder for folder in copy.runs() if folder.identity["method"] == "nsga2"]:
        folder.forget()
    assert facts(copy).boards == ()
    assert {run.status for run in overview(copy).runs} == {"empty"}


def test_one_run_that_reached_nothing_counts_where_others_reached_something(with_nothing: StudyFolder) -> None:
    good = next(run for run in summaries(with_nothing) if run.done)
    bad = replace(good, seed=9, hypervolume=0.0, hypervolume_search=0.0)
    assert [run.status for run in _ranked([good, bad])] == ["done", "done"]
    assert [run.status for run in _ranked([bad])] == ["empty"]


def test_an_empty_study_has_no_summaries(study: StudyFolder) -> None:
    assert summaries(study) == []
    found = facts(study)
    assert (found.boards, found.runs, found.provenance) == ((), (), {})
    assert found.records.empty
    assert found.layers.empty


def test_a_board_is_what_its_runs_share(small: StudyFolder, boards: StudyFolder) -> None:
    (board,) = facts(small).boards
    folder = next(iter(small.runs()))
    identity, result = folder.identity, folder.result
    assert (board.hash, board.problem, board.objectives) == (identity["board"], "lenet-digits", ("error", "params"))
    assert (list(board.references), board.budget) == (identity["references"], 20.0)
    assert (list(board.dense_search), list(board.dense_test)) == (result["dense_search"], result["dense_test"])
    assert board.quantities == ("share", "parameters")
    assert (board.rules["units"], board.rules["threads"]) == ("weight", 1)
    assert board.rules["images"] == result["images"]
    assert board.source == result["source"] != ""
    assert len(facts(small).done(board)) == 6
    found = facts(boards)
    assert len(found.boards) == 4
    assert [len(found.done(one)) for one in found.boards] == [1] * 4


def test_an_overview_is_all_but_what_methods_recorded_and_members_keep(small: StudyFolder) -> None:
    known, whole = overview(small), facts(small)
    assert (known.boards, known.runs, known.provenance) == (whole.boards, whole.runs, whole.provenance)
    assert known.layers.empty
    assert not whole.layers.empty


def test_provenance_is_kept_with_the_study(study: StudyFolder) -> None:
    for method in ("magnitude", "nsga2"):
        carried_out(run_of(method), study.path)
    known = facts(study).provenance
    assert set(known) == {"magnitude", "nsga2"}
    assert "Deb" in known["nsga2"]


def test_studies_of_two_machines_can_be_merged(tmp_path: Path) -> None:
    for seed in (0, 1):
        StudyFolder(tmp_path / str(seed)).prepare({}, {})
        carried_out(run_of("random", seed), tmp_path / str(seed))
    shutil.copytree(tmp_path / "1" / "runs", tmp_path / "0" / "runs", dirs_exist_ok=True)
    merged = StudyFolder.existing(tmp_path / "0")
    assert [one.seed for one in summaries(merged)] == [0, 1]
    assert set(long_table(merged)["seed"]) == {0, 1}
    assert len(facts(merged).boards) == 1


def copied(folder: StudyFolder, to: Path) -> StudyFolder:
    """To write more into."""
    shutil.copytree(folder.path, to)
    return StudyFolder(to)


def test_a_run_that_was_asked_for_and_has_not_begun_is_missing(small: StudyFolder, tmp_path: Path) -> None:
    study = copied(small, tmp_path / "more")
    study.prepare({"problems": ["lenet-digits"], "methods": ["random", "nsga2"], "instances": [0], "seeds": [0]}, {})

    def missing() -> list[str]:
        return [run.method for run in facts(study).runs if run.status == "missing"]

    assert len(facts(study).done()) == 6
    assert missing() == ["nsga2"]
    assert len(summaries(study)) == 6
    again = {"problems": ["lenet-digits"], "methods": ["random"], "instances": [0], "seeds": [0]}
    study.prepare(again | {"budget": 20.0, "units": None}, {})
    assert missing() == ["nsga2"]
    study.prepare(again | {"objectives": ["error", "params"], "search_images": 100, "units": "weight"}, {})
    assert missing() == ["nsga2"]
    study.prepare(again | {"budget": 40.0}, {})
    assert missing() == ["nsga2", "random"]
    study.prepare(again | {"instances": [0, 3]}, {})
    assert [(run.method, run.instance) for run in facts(study).runs if run.status == "missing"][2:] == [("random", 3)]
    assert [run.method for run in overview(study).runs if run.status == "missing"] == missing()


def test_studies_are_read_together_and_a_run_of_both_counts_once(small: StudyFolder, study: StudyFolder) -> None:
    for method in ("nsga2", "magnitude"):
        carried_out(run_of(method), study.path)
    known = facts(small, study)
    runs = [(run.method, run.seed) for run in known.runs]
    assert sorted(runs) == [*(("magnitude", s) for s in range(3)), ("nsga2", 0), *(("random", s) for s in range(3))]
    assert len(known.boards) == 1


def test_of_a_run_in_two_studies_the_one_that_is_further_counts(tmp_path: Path) -> None:
    run = run_of("random")
    partial, done, tuned = (StudyFolder(tmp_path / name) for name in ("partial", "done", "tuned"))
    stopped(run, partial.path, 5)
    carried_out(run, done.path)
    shutil.copytree(done.path, tuned.path)
    params = run.folder(done).front()["params"]
    errors = np.linspace(0.2, 0.5, len(params))
    run.folder(tuned).finish_finetuning(epochs=3, search_error=errors, test_error=errors, passes=7.0, seconds=1.0)
    for order in ((partial, done), (done, partial)):
        (found,) = summaries(*order)
        assert found.folder == str(run.folder(done).path)
    for order in ((tuned, done, partial), (partial, done, tuned)):
        (found,) = summaries(*order)
        assert (found.status, found.finetuned, found.finetuning_passes) == ("done", 3, 7.0)
        shares = params / run.folder(done).result["total_params"]
        volume = moocore.hypervolume(np.column_stack([errors / 0.9, shares]), ref=1.0)
        assert found.hypervolume_finetuned == pytest.approx(volume)


def test_layers_say_what_each_member_keeps(small: StudyFolder) -> None:
    layers, table = facts(small).layers, long_table(small)
    assert set(layers["board"]) == set(table["board"])
    members = table[(table.kind == "member") & (table.split == "test")]
    kept = layers.groupby(["method", "seed", "number"]).kept.sum()
    assert len(kept) == len(members)
    prunable = layers.groupby(["method", "seed", "number"]).units.sum().iloc[0]
    for row in members.itertuples():
        removed = prunable - kept[row.method, row.seed, row.number]
        assert row.params + removed == pytest.approx(row.params / (1 - row.removed))


def test_records_say_whose_they_are(small: StudyFolder, tmp_path: Path) -> None:
    study = copied(small, tmp_path / "records")
    folder = next(iter(study.runs()))
    table = pd.DataFrame({"record": ["phases"] * 2, "hypervolume": [0.1, 0.2]})
    forge(folder, "diagnostics.parquet", from_table(table))
    found, identity = facts(study).records, folder.identity
    assert found["hypervolume"].tolist() == [0.1, 0.2]
    for name in ("board", "method", "seed"):
        assert set(found[name]) == {identity[name]}
    assert set(found["record"]) == {"phases"}
