"""What tests share: a cache of their own, the folder of real data where there is one, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Command
from command import parsed as parsed  # for those who still ask for it here
from filelock import FileLock
from hypothesis import HealthCheck, settings
from studies import study_of
from tiny import lookup, registry

from pruneframe.deploy.reader import opened
from pruneframe.study.store import StudyFolder

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # nothing is wrong with what takes long on a machine that has other work

REAL_DATA = os.environ.get("PRUNEFRAME_DATA")  # the tests themselves run without it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first: no worker is left alone with it when the others have nothing to do any more."""
    items.sort(key=lambda item: not any("minutes" in mark.args for mark in item.iter_markers("slow")))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the whole session and all its workers, so that networks are trained once; never the user's own."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder = shared / "cache"
    folder.mkdir(exist_ok=True)
    patch = pytest.MonkeyPatch()
    patch.setenv("PRUNEFRAME_CACHE", str(folder))
    patch.delenv("PRUNEFRAME_DATA", raising=False)
    patch.setenv("PRUNEFRAME_PLUGINS", "no:*")  # what is installed beside pruneframe is none of theirs
    torch.set_num_threads(1)  # workers share the cores already
    with FileLock(shared / "trained.lock"):
        registry().problem("lenet-digits").load(lookup)
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


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exported files are read back in this process: for tests that are not about its being a fresh one."""

    def here(
        files: Sequence[Path], identity: dict[str, Any], sources: Sequence[str], batches: Iterable[torch.Tensor]
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        predict = opened(files, identity, sources)
        return ((images, predict(images)) for images in batches)

    monkeypatch.setattr("pruneframe.deploy.exported.read_back", here)


@pytest.fixture
def pruneframe(tmp_path: Path) -> Command:
    """Run the command line in an empty folder; `env` adds to the environment."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from pruneframe.cli.main import main; main()", *arguments]
        environment = os.environ | (env or {})
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return run
