"""Limits of a machine: memory that the system takes back, and a disk that can only be read from some moment on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import assert_same_front, carried_out, planned, run_of

from pruneframe import files
from pruneframe.search.journal import Journal
from pruneframe.study import folder as folder_module
from pruneframe.study.executor import LocalExecutor, carry_out_all
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out

GROUPS = (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"))
ALLOWED = 100 << 20  # bytes that a process may take after it has entered the group
HUNGRY = '''
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pruneframe as pf

@dataclass(frozen=True, repr=False)
class Hungry(pf.Method):
    """Takes more memory than it may have."""
    name = "hungry"
    def search(self, task):
        task.evaluate(task.layout.full())
        Path("GROUP", "cgroup.procs").write_text(str(os.getpid()))
        np.ones(10 * ALLOWED, np.uint8)

@pf.hookimpl
def pruneframe_methods():
    return [Hungry]
'''


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group whose processes the system kills when they take more memory than that."""
    for base, limit in GROUPS:
        path = Path(base) / f"pruneframe-test-{os.getpid()}"
        try:
            path.mkdir()
        except OSError:
            continue
        try:
            (path / limit).write_text(str(ALLOWED))
            yield path
            return
        except OSError:
            continue
        finally:
            path.rmdir()
    pytest.skip("needs a control group of its own, which only root has")


def test_a_worker_that_is_killed_for_its_memory_fails_its_run_alone(group: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "hungry.py"
    plugin.write_text(HUNGRY.replace("GROUP", str(group)).replace("ALLOWED", str(ALLOWED)))
    runs = planned(["hungry", "random"], sources=[str(plugin)]).runs
    study = StudyFolder(tmp_path / "study")
    failures = carry_out_all(runs, study, (str(plugin),), lambda: LocalExecutor(1, 1), lambda states: None)
    [failure] = failures
    assert failure.startswith(
        "hungry on lenet-digits, seed 0: its worker process died (out of memory, or ended by plugin "
    )
    assert failure.endswith("?); the journal is kept")
    assert [run.folder(study).finished for run in runs] == [False, True]
    assert runs[0].folder(study).journal.exists()


@pytest.mark.parametrize("name", ["a journal", "front.npz", "run.json"])
def test_a_folder_that_is_read_only_half_way_fails_the_run_which_goes_on_afterwards(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("random")
    append, write_whole = Journal._append, folder_module.write_whole
    closed = False

    def close_at(written: str) -> None:
        """From there on nothing can be written any more, not even why."""
        nonlocal closed
        closed = closed or written == name
        if closed:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), written)

    def journalled(journal: Journal, line: dict[str, Any]) -> None:
        if line.get("number") == 7:
            close_at("a journal")
        append(journal, line)

    def written(path: Path, write: Callable[..., object]) -> None:
        close_at(path.name)
        write_whole(path, write)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_append", journalled)
        for module in (files, folder_module):
            patch.setattr(module, "write_whole", written)
        result = carry_out(run, tmp_path / "closed", ())
    assert result["status"] == "failed"
    assert result["reason"].startswith("[Errno 30] Read-only file system")
    assert "\n" not in result["reason"]
    assert not run.folder(StudyFolder(tmp_path / "closed")).finished
    assert_same_front(carried_out(run, tmp_path / "closed"), carried_out(run, tmp_path / "undisturbed"))
