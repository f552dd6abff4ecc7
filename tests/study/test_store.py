"""A study's folder: what is taken for one, what is written into it, and that it is whole or not there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from runs import carried_out, planned, run_of

from pruneframe.errors import InputError
from pruneframe.study.facts import summaries
from pruneframe.study.folder import RunFolder
from pruneframe.study.store import StudyFolder

PLUGIN = '''
from dataclasses import dataclass
import pruneframe as pf
from pruneframe.testing import tiny_problem

@dataclass(frozen=True, repr=False)
class Noted(pf.Method):
    """Evaluates the dense network, and carries a note."""
    name = "noted"
    note: str = pf.setting("", "anything")
    def search(self, task):
        task.evaluate(task.layout.full())

@pf.hookimpl
def pruneframe_methods():
    return [Noted]

@pf.hookimpl
def pruneframe_problems():
    return [tiny_problem()]
'''


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "written",
    [
        None,
        {},
        {"notes.txt": "something else"},
        {"study.json": "{}"},
        {"study.json": '{"format": 0}'},
        {"study.json": "[]"},
        {"study.json": "null"},
        {"study.json": "no json"},
        {"study.json": ""},
    ],
)
def test_existing_refuses_what_is_no_study(tmp_path: Path, written: dict[str, str] | None) -> None:
    folder = tmp_path / "study"
    if written is not None:
        folder.mkdir()
        for name, text in written.items():
            (folder / name).write_text(text)
    with pytest.raises(InputError, match="study"):
        StudyFolder.existing(folder)


def test_existing_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "study").write_text("a file")
    with pytest.raises(InputError, match="not a study"):
        StudyFolder.existing(tmp_path / "study")


@pytest.mark.parametrize("written", [{"notes.txt": "mine"}, {"study.json": '{"format": 0}'}, {".hidden": "mine"}])
def test_prepare_refuses_a_folder_of_something_else_and_leaves_it_alone(
    tmp_path: Path, written: dict[str, str]
) -> None:
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(InputError):
        StudyFolder(tmp_path).prepare({}, {})
    assert contents(tmp_path) == before


def test_prepare_refuses_a_place_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        StudyFolder(tmp_path / "file" / "study").prepare({}, {})
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_prepare_refuses_a_place_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        StudyFolder(tmp_path / "study").prepare({}, {})
    assert not (tmp_path / "study").exists()


def test_prepare_notes_each_command_and_machine_once(tmp_path: Path) -> None:
    for settings, machine in (({"a": 1}, {"cpu": "x"}), ({"a": 2}, {"cpu": "x"}), ({"a": 1}, {"cpu": "y"})):
        StudyFolder(tmp_path / "new" / "study").prepare(settings, machine)
    found = StudyFolder.existing(tmp_path / "new" / "study").settings
    assert found["commands"] == [{"a": 1}, {"a": 2}]
    assert found["environments"] == [{"cpu": "x"}, {"cpu": "y"}]


@given(problem=st.text(max_size=200), method=st.text(max_size=200), seed=st.integers(0, 10**9))
@example(problem="net/a", method="nsga2[scorer=a/b,encoding=../../x]", seed=0)
@example(problem="..", method="..", seed=0)
@example(problem=".", method="", seed=0)
def test_run_folders_lie_inside_the_study_whatever_the_names(problem: str, method: str, seed: int) -> None:
    study = StudyFolder(Path("/study"))
    found = study.run(problem, method, 3, seed, "0123456789").path
    assert Path(os.path.normpath(found)) == found
    assert found.parents[2] == Path("/study/runs")
    assert found.name == f"3-{seed}-0123456789"
    assert all(len(part.encode()) <= 255 for part in found.parts)


def test_long_methods_that_begin_alike_have_folders_of_their_own() -> None:
    one, two = (
        StudyFolder(Path("s")).run("p", "m" * 200 + end, 0, 0, digest) for end, digest in (("a", "1"), ("b", "2"))
    )
    assert one != two


@pytest.mark.parametrize("method", ["noted[note=a/b]", "noted[note=layer-threshold[x=1,y=[2]]]", "noted[note=* ?]"])
def test_runs_of_methods_with_brackets_and_slashes_are_found_again(tmp_path: Path, method: str) -> None:
    source = tmp_path / "noted.py"
    source.write_text(PLUGIN)
    sources = (str(source),)
    (run,) = planned([method], problems=["tiny"], sources=sources, budget=5.0, search_images=None).runs
    StudyFolder(tmp_path / "study").prepare({}, {})
    carried_out(run, tmp_path / "study", sources)
    (found,) = summaries(StudyFolder.existing(tmp_path / "study"))
    assert (found.problem, found.method, found.status) == ("tiny", method, "empty")  # it removes nothing


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunFolder:
    study = tmp_path_factory.mktemp("store")
    return carried_out(run_of("nsga2[encoding=layer-threshold,scorer=taylor]", budget=60.0), study)


def unfinished(run: RunFolder, folder: Path) -> RunFolder:
    """The run as it was before its end: identity, journal and scores."""
    for name in ("identity.json", "journal.jsonl"):
        (folder / name).write_bytes((run.path / name).read_bytes())
    return RunFolder(folder)


def test_evaluations_read_from_a_journal_are_those_of_the_finished_run(finished: RunFolder, tmp_path: Path) -> None:
    early = unfinished(finished, tmp_path)
    assert not early.finished
    pd.testing.assert_frame_equal(early.evaluations(), finished.evaluations(), check_exact=True)


@given(share=st.floats(0, 1))
def test_a_torn_journal_gives_the_evaluations_before_the_tear(
    finished: RunFolder, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    early = unfinished(finished, tmp_path_factory.mktemp("torn"))
    raw = early.journal.read_bytes()
    torn = raw[: int(share * len(raw))]
    early.journal.write_bytes(torn)
    whole = [json.loads(line) for line in torn.splitlines(keepends=True) if line.endswith(b"\n")]
    wanted = [line["number"] for line in whole if line.get("kind") == "evaluate"]
    assert list(early.evaluations()["number"]) == wanted


def test_a_finished_run_holds_what_was_searched(finished: RunFolder) -> None:
    frame, front, result = finished.evaluations(), finished.front(), finished.result
    assert len(frame) == result["evaluations"]
    assert frame["spent"].is_monotonic_increasing
    assert frame["spent"].iloc[-1] == result["passes_spent"] <= 60
    sizes = {name: len(array) for name, array in front.items() if name != "dense_correct"}
    assert set(sizes.values()) == {result["front_size"]}, sizes
    evaluated = {tuple(row) for row in frame[["error", "params"]].to_numpy()}
    assert {tuple(row) for row in front["search"]} <= evaluated
    assert np.array_equal(front["params"], front["search"][:, 1])


def test_no_file_of_a_run_needs_pickle(finished: RunFolder) -> None:
    with np.load(finished.path / "front.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_failure_is_told_until_the_next_try(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    identity: dict[str, Any] = {"problem": "p"}
    run.begin(identity)
    assert (run.identity, run.failure, run.finished) == (identity, None, False)
    run.fail("it broke", {"problem": "q"})
    assert (run.failure, run.identity) == ("it broke", identity)
    run.begin(identity)
    assert run.failure is None


def test_forget_removes_the_run_and_nothing_else(tmp_path: Path) -> None:
    one, two = RunFolder(tmp_path / "0-a"), RunFolder(tmp_path / "1-b")
    for run in (one, two):
        run.begin({})
    one.forget()
    one.forget()
    assert list(contents(tmp_path)) == ["1-b/identity.json"]


def test_the_digest_is_of_all_that_is_told_of_a_study(small: StudyFolder, tmp_path: Path) -> None:
    study = StudyFolder(Path(shutil.copytree(small.path, tmp_path / "study")))
    digest = study.digest
    assert digest == study.digest != small.digest, "it says where the study lies"
    folder = next(iter(study.runs()))
    for path in [file for file in folder.path.iterdir() if file.is_file() and file.name != "lock"]:
        before = path.read_bytes()
        path.write_bytes(before[:-1])
        assert (study.digest == digest) == (path == folder.journal), path
        path.write_bytes(before)
        assert study.digest == digest
    (folder.path / "run.json").unlink()
    unfinished = study.digest
    folder.journal.write_bytes(folder.journal.read_bytes()[:-1])
    assert len({digest, unfinished, study.digest}) == 3
