"""What tests share: a cache of their own, the folder of real data where there is one, and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from studies import study_of

from pruneframe.store import StudyFolder

REAL_DATA = os.environ.get("PRUNEFRAME_DATA")  # the tests themselves run without it


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the whole session, so that the small LeNet is trained once; never the user's own."""
    folder = tmp_path_factory.mktemp("cache")
    patch = pytest.MonkeyPatch()
    patch.setenv("PRUNEFRAME_CACHE", str(folder))
    patch.delenv("PRUNEFRAME_DATA", raising=False)
    patch.setenv("PRUNEFRAME_PLUGINS", "")
    yield folder
    patch.undo()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> StudyFolder:
    """A study of two methods and three seeds, for tests that only read it."""
    return study_of(tmp_path_factory.mktemp("small"), ["magnitude", "random"], seeds=[0, 1, 2])


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10, MNIST and trained ResNets; tests that need them skip where PRUNEFRAME_DATA names no such folder."""
    if not REAL_DATA or not (Path(REAL_DATA) / "cifar10.npz").exists():
        pytest.skip("PRUNEFRAME_DATA names no folder with cifar10.npz, MNIST and weights")
    monkeypatch.setenv("PRUNEFRAME_DATA", str(Path(REAL_DATA).resolve()))
    return Path(REAL_DATA)


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def pruneframe(tmp_path: Path) -> Command:
    """Run the command line in an empty folder; `env` adds to the environment."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from pruneframe.cli.main import main; main()", *arguments]
        environment = os.environ | (env or {})
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return run


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command with --json printed."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
