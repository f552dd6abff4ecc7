"""A study goes on under the versions and on the hardware that it was computed with, or it says so."""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from runs import carried_out, run_of

from pruneframe.errors import InputError
from pruneframe.files import write_document
from pruneframe.plugin import Plugin
from pruneframe.study.machine import environment
from pruneframe.study.store import StudyFolder
from pruneframe.study.surroundings import check_surroundings, repositories


@pytest.fixture
def elsewhere(tmp_path: Path) -> StudyFolder:
    """A study with a run, begun under another torch on another processor."""
    study = StudyFolder(tmp_path / "study")
    study.prepare({}, environment() | {"torch": "1.0", "machine": "abacus", "cores": 3})
    carried_out(run_of("random"), study.path)
    return study


def test_what_differs_is_said_in_one_line_with_both_ways_out(elsewhere: StudyFolder) -> None:
    here = environment()
    told = f"under machine abacus, torch 1.0, but here is machine {here['machine']}, torch {here['torch']}; another"
    with pytest.raises(InputError) as raised:
        check_surroundings(elsewhere, here)
    assert told in str(raised.value)
    assert "bench --force" in str(raised.value)


def test_the_same_surroundings_go_on_whatever_the_number_of_cores(elsewhere: StudyFolder) -> None:
    check_surroundings(elsewhere, environment() | {"torch": "1.0", "machine": "abacus", "cores": 5})
    elsewhere.prepare({}, environment())
    check_surroundings(elsewhere, environment())


def test_a_study_without_runs_goes_on_anywhere(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "study")
    study.prepare({}, environment() | {"torch": "1.0"})
    check_surroundings(study, environment())


def test_another_device_is_part_of_each_run_and_another_gpu_is_not(elsewhere: StudyFolder) -> None:
    here = environment() | {"torch": "1.0", "machine": "abacus"}
    check_surroundings(elsewhere, here | {"gpu": "large", "bfloat16": "gpu"})
    elsewhere.prepare({}, here | {"gpu": "large", "bfloat16": "gpu"})
    with pytest.raises(InputError, match="under gpu large, but here is gpu small"):
        check_surroundings(elsewhere, here | {"gpu": "small", "bfloat16": "gpu"})


def test_a_plugin_that_was_committed_to_meanwhile_is_another_one(elsewhere: StudyFolder) -> None:
    here = environment() | {"torch": "1.0", "machine": "abacus"}
    elsewhere.prepare({}, here | {"git of mine": "abc", "git of other": "def"})
    with pytest.raises(InputError, match="under git of mine abc, but here is git of mine abc-dirty"):
        check_only(elsewhere, here | {"git of mine": "abc-dirty"})
    check_surroundings(elsewhere, here | {"git of third": "ghi"})


def check_only(study: StudyFolder, here: dict[str, Any]) -> None:
    """Against the latest surroundings alone."""
    settings = study.settings
    write_document(study.path / "study.json", settings | {"environments": settings["environments"][-1:]})
    check_surroundings(study, here)


def test_the_repository_of_an_installed_plugin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "mine.py"
    module.write_text("one = 1\n")
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "m"],
    ):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("mine")
    known = SimpleNamespace(
        plugins=[
            Plugin("mine", "mine", "0.1", module="mine"),
            Plugin("bundled", "pruneframe", "0.1", "bundled", module="pruneframe"),
        ]
    )
    [(name, commit)] = repositories(known).items()  # type: ignore[arg-type]
    assert (name, len(commit)) == ("git of mine", 7)
    module.write_text("one = 2\n")
    assert repositories(known) == {name: f"{commit}-dirty"}  # type: ignore[arg-type]
