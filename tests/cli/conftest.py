"""What tests of the command line share: a folder to give commands in, and a finished study to read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import QUICK, Cli, in_this_process

NOT_DRAWN = ("pruneframe.comparison.edition.write", lambda *arguments: ([], []))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The empty folder in which commands are given."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def cli(here: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """The command line in this process, in that folder."""
    with in_this_process(here, capsys) as run:
        yield run


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A finished study of two methods and two seeds, for tests that only read it."""
    folder = tmp_path_factory.mktemp("finished")
    with in_this_process(folder) as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr(*NOT_DRAWN)
        assert run("bench", "--methods", "magnitude,nsga2", *QUICK, "--seeds", "0-1").code == 0
    return folder / "pruneframe-study"


@pytest.fixture
def own_study(study: Path, tmp_path: Path) -> Path:
    """A copy of it, for tests that write into it."""
    return Path(shutil.copytree(study, tmp_path / "copied"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No comparison is typeset: a test that is about the runs alone need not wait for it."""
    monkeypatch.setattr(*NOT_DRAWN)
