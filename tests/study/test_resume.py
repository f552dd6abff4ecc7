"""Runs that are killed at any moment: the same command again gives the front of an undisturbed run."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command import PATIENCE, living, wait_for
from runs import Death, assert_same_front, carried_out, run_of, stopped

from pruneframe import files
from pruneframe.search.journal import Journal
from pruneframe.study import folder as folder_module
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out

METHODS = (
    "random",
    "magnitude",
    "nsga2",
    "moead",
    "platypus",
    "nsga2[encoding=layer-threshold,scorer=taylor]",
    "platypus[algorithm=EpsMOEA,encoding=mask]",
    "weighted-ga[preset=sparsity,population=6,images=100,every=3]",
    "emo-dir[preset=paper,inheriting=true,population=4,members=3]",
)
DEATHS = 10

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")


def tear(journal: Path, rng: random.Random) -> None:
    """Cut off the end of the last line, as a machine does that goes down while it is written."""
    raw = journal.read_bytes()
    last = raw.splitlines(keepends=True)[-1]
    journal.write_bytes(raw[: len(raw) - rng.randint(1, len(last))])


@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_dies_at_ten_random_questions_ends_as_if_undisturbed(
    method: str, torn: bool, tmp_path: Path
) -> None:
    run = run_of(method, budget=60)
    reference = carried_out(run, tmp_path / "undisturbed")
    questions = len(reference.answers())
    rng = random.Random(f"{method} {torn}")
    folder = run.folder(StudyFolder(tmp_path / "killed"))
    for number in sorted(rng.sample(range(questions), min(DEATHS, questions))):
        stopped(run, tmp_path / "killed", number)
        if torn:
            tear(folder.journal, rng)
        assert not folder.finished
    assert_same_front(carried_out(run, tmp_path / "killed"), reference)
    columns = ["number", "mask", "spent", "error", "params"]
    assert folder.evaluations()[columns].equals(reference.evaluations()[columns])


@pytest.mark.parametrize(
    "settings",
    [{"units": "filter", "batch_norm": "shifted", "budget": 300}, {"objectives": ("distortion", "size", "macs")}],
)
def test_other_boards_resume_too(settings: dict[str, Any], tmp_path: Path) -> None:
    check_resumes("nsga2", settings, tmp_path)


@pytest.mark.parametrize(("method", "answers"), [("hamp[preset=paper,screening=8]", (41, 97)), ("netadapt", (23,))])
def test_searches_for_a_target_resume_too(method: str, answers: tuple[int, ...], tmp_path: Path) -> None:
    settings = {"units": "filter", "objectives": ("error", "latency", "memory"), "target": "analytic", "budget": 150}
    check_resumes(method, settings, tmp_path, answers)


def test_a_measured_run_goes_on_with_what_was_measured(tmp_path: Path) -> None:
    physical = {"units": "filter", "objectives": ("error", "latency", "memory"), "budget": 30}
    run = run_of("nsga2", target="local-cpu[repeats=2,warmup=0]", **physical)
    folder = stopped(run, tmp_path, 17)
    before = folder.answers()
    assert len(before) == 18
    carried_out(run, tmp_path)
    assert folder.answers()[: len(before)] == before


def check_resumes(method: str, settings: dict[str, Any], tmp_path: Path, answers: tuple[int, ...] = (23,)) -> None:
    run = run_of(method, **{"budget": 40} | settings)
    reference = carried_out(run, tmp_path / "undisturbed")
    for answer in answers:
        stopped(run, tmp_path / "killed", answer)
    assert_same_front(carried_out(run, tmp_path / "killed"), reference)


@pytest.mark.parametrize("file", ["evaluations.parquet", "front.npz", "run.json"])
def test_death_between_the_last_files_leaves_a_run_that_can_be_finished(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("random")
    write_whole = folder_module.write_whole

    def die(path: Path, write: Callable[..., object]) -> None:
        if path.name == file:
            raise Death
        write_whole(path, write)

    with monkeypatch.context() as patch:
        for module in (files, folder_module):
            patch.setattr(module, "write_whole", die)
        with pytest.raises(Death):
            carry_out(run, tmp_path / "killed", ())
    assert not run.folder(StudyFolder(tmp_path / "killed")).finished
    assert_same_front(carried_out(run, tmp_path / "killed"), carried_out(run, tmp_path / "undisturbed"))


@pytest.mark.parametrize("number", [0, 7])
def test_a_full_disk_fails_the_run_which_goes_on_when_there_is_room(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("random")
    append = Journal._append

    def full(journal: Journal, line: dict[str, Any]) -> None:
        if line.get("number") == number:
            # what fitted of the line is on the disk
            append(journal, {"number": number})
            journal._file.seek(0, os.SEEK_END)  # type: ignore[union-attr]
            journal._file.truncate(journal._file.tell() - 5)  # type: ignore[union-attr]
            raise OSError(errno.ENOSPC, "No space left on device")
        append(journal, line)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_append", full)
        result = carry_out(run, tmp_path / "full", ())
    assert result["status"] == "failed"
    assert "No space left on device" in result["reason"]
    assert_same_front(carried_out(run, tmp_path / "full"), carried_out(run, tmp_path / "undisturbed"))


def bench(folder: Path, method: str, budget: float) -> subprocess.Popen[bytes]:
    """`pruneframe bench` in a session of its own, so that it can be killed with all its workers."""
    command = [sys.executable, "-c", "from pruneframe.cli.main import main; main()", "bench", "--methods", method]
    command += ["--seeds", "0", "--budget", str(budget), "--threads", "1", "--output", "study"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def written(journal: Path) -> int:
    """Lines in a journal that may not exist yet."""
    try:
        return journal.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def wait_for_answers(journal: Path, number: int, ended: Callable[[], bool]) -> None:
    wait_for(lambda: written(journal) >= number or ended(), "answers")


def moments(budget: int) -> list[int]:
    """Answers after which a run is killed.

    From its first half, so that what a slow machine does between look and kill never ends it.
    """
    return sorted(random.Random(1).sample(range(1, budget // 2), DEATHS))


def test_ten_sigkills(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")  # they begin with everything imported, each on its own
    processes.set_forkserver_preload(
        ["pruneframe.study.worker", "pruneframe_plugins.nsga2", "sklearn.datasets", "pytest"]
    )
    budget = 2000
    run = run_of("nsga2", budget=budget, search_images=None)
    reference = carried_out(run, tmp_path / "undisturbed")
    folder = run.folder(StudyFolder(tmp_path / "killed"))
    for number in moments(budget):
        process = processes.Process(target=carry_out, args=(run, tmp_path / "killed", ()))
        process.start()
        try:
            wait_for_answers(folder.journal, number, lambda process=process: not process.is_alive())
        finally:
            process.kill()
            process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not folder.finished
    assert_same_front(carried_out(run, tmp_path / "killed"), reference)


@contextmanager
def cleared(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Nothing of a session outlives the test."""
    try:
        yield
    finally:
        for member in living(process.pid):
            os.kill(member, signal.SIGKILL)
        process.wait()


@pytest.mark.slow("minutes")
def test_ten_sigkills_through_the_command_line(tmp_path: Path) -> None:
    method, budget = "nsga2", 3000
    run = run_of(method, budget=budget, search_images=None)
    reference = carried_out(run, tmp_path / "undisturbed")
    folder = run.folder(StudyFolder(tmp_path / "study"))
    for number in moments(budget):
        process = bench(tmp_path, method, budget)
        with cleared(process):
            wait_for_answers(folder.journal, number, lambda process=process: process.poll() is not None)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert not folder.finished, (tmp_path / "log").read_text()
    process = bench(tmp_path, method, budget)
    with cleared(process):
        assert process.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
    assert_same_front(folder, reference)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_of_a_killed_parent_end_by_themselves_and_the_run_goes_on(tmp_path: Path) -> None:
    method, budget = "nsga2", 3000
    run = run_of(method, budget=budget, search_images=None)
    folder = run.folder(StudyFolder(tmp_path / "study"))
    process = bench(tmp_path, method, budget)
    with cleared(process):
        wait_for_answers(folder.journal, 100, lambda: process.poll() is not None)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: not living(process.pid), "the workers' end")
    assert not folder.finished, (tmp_path / "log").read_text()
    before = folder.answers()
    assert_same_front(carried_out(run, tmp_path / "study"), carried_out(run, tmp_path / "undisturbed"))
    assert folder.answers()[: len(before)] == before, "it goes on from its journal"
