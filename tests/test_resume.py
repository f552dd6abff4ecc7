"""Runs that are killed at any moment: the same command again gives the front of an undisturbed run."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruneframe import store
from pruneframe.journal import Answer, Journal
from pruneframe.registry import Registry
from pruneframe.run import Run, carry_out
from pruneframe.store import RunFolder, StudyFolder
from pruneframe.study import plan

METHODS = (
    "random",
    "magnitude",
    "nsga2",
    "moead",
    "platypus",
    "nsga2[encoding=layer-threshold,scorer=taylor]",
    "platypus[algorithm=EpsMOEA,encoding=mask]",
    "weighted-ga[population=6,images=100,every=3]",
    "emo-dir[population=4,members=3]",
)
DEATHS = 10
PATIENCE = 120  # seconds until a test gives up waiting for another process

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")


class Death(BaseException):
    """The end of a process, as far as it can be played inside another one."""


def planned(method: str, budget: float, search_images: int | None = None, **settings: Any) -> Run:
    settings |= {"budget": budget, "search_images": search_images}
    return plan(Registry(), [method], ["lenet-digits"], [0], settings, "cpu", 1, lambda line: None).runs[0]


def undisturbed(run: Run, folder: Path) -> RunFolder:
    assert carry_out(run, folder, ())["status"] == "done"
    return run.folder(StudyFolder(folder))


def assert_same_front(one: RunFolder, two: RunFolder) -> None:
    first, second = one.front(), two.front()
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@contextmanager
def dying_at(number: int) -> Iterator[None]:
    """Death right after the answer to a question was written, before the method sees it."""
    write = Journal.write

    def write_and_die(journal: Journal, *arguments: Any) -> Answer:
        answer = write(journal, *arguments)
        if answer.number == number:
            raise Death
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "write", write_and_die)
        yield


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
    run = planned(method, 60, search_images=100)
    reference = undisturbed(run, tmp_path / "undisturbed")
    questions = len(reference.answers())
    rng = random.Random(f"{method} {torn}")
    folder = run.folder(StudyFolder(tmp_path / "killed"))
    for number in sorted(rng.sample(range(questions), min(DEATHS, questions))):
        with dying_at(number), pytest.raises(Death):
            carry_out(run, tmp_path / "killed", ())
        if torn:
            tear(folder.journal, rng)
        assert not folder.finished
    assert_same_front(undisturbed(run, tmp_path / "killed"), reference)
    columns = ["number", "mask", "spent", "error", "params"]
    assert folder.evaluations()[columns].equals(reference.evaluations()[columns])


@pytest.mark.parametrize(
    "settings",
    [{"units": "filter", "batch_norm": "shifted", "budget": 300}, {"objectives": ("distortion", "size", "macs")}],
)
def test_other_boards_resume_too(settings: dict[str, Any], tmp_path: Path) -> None:
    check_resumes("nsga2", settings, tmp_path)


@pytest.mark.parametrize(("method", "answer"), [("hamp[scorer=l2]", 41), ("hamp[scorer=l2]", 97), ("netadapt", 23)])
def test_searches_for_a_device_resume_too(method: str, answer: int, tmp_path: Path) -> None:
    settings = {"units": "filter", "objectives": ("error", "latency", "memory"), "target": "analytic", "budget": 150}
    check_resumes(method, settings, tmp_path, answer)


def check_resumes(method: str, settings: dict[str, Any], tmp_path: Path, answer: int = 23) -> None:
    run = planned(method, **{"budget": 40, "search_images": 100} | settings)
    reference = undisturbed(run, tmp_path / "undisturbed")
    with dying_at(answer), pytest.raises(Death):
        carry_out(run, tmp_path / "killed", ())
    assert_same_front(undisturbed(run, tmp_path / "killed"), reference)


@pytest.mark.parametrize("file", ["evaluations.parquet", "front.npz", "run.json"])
def test_death_between_the_last_files_leaves_a_run_that_can_be_finished(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned("random", 20, search_images=100)
    write_whole = store.write_whole

    def die(path: Path, write: Callable[..., object]) -> None:
        if path.name == file:
            raise Death
        write_whole(path, write)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_whole", die)
        with pytest.raises(Death):
            carry_out(run, tmp_path / "killed", ())
    assert not run.folder(StudyFolder(tmp_path / "killed")).finished
    assert_same_front(undisturbed(run, tmp_path / "killed"), undisturbed(run, tmp_path / "undisturbed"))


@pytest.mark.parametrize("number", [0, 7])
def test_a_full_disk_fails_the_run_which_goes_on_when_there_is_room(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned("random", 20, search_images=100)
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
    assert_same_front(undisturbed(run, tmp_path / "full"), undisturbed(run, tmp_path / "undisturbed"))


def bench(folder: Path, method: str, budget: float) -> subprocess.Popen[bytes]:
    """`pruneframe bench` in a session of its own, so that it can be killed with all its workers."""
    command = [sys.executable, "-c", "from pruneframe.cli.main import main; main()", "bench", "--methods", method]
    command += ["--seeds", "0", "--budget", str(budget), "--threads", "1", "--output", "study"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.002)


def written(journal: Path) -> int:
    """Lines in a journal that may not exist yet."""
    try:
        return journal.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def wait_for_answers(process: subprocess.Popen[bytes], journal: Path, number: int) -> None:
    wait_for(lambda: written(journal) >= number or process.poll() is not None, "answers")


def living(session: int) -> list[int]:
    """Processes of a session that have not ended; one that only waits to be collected has."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, member = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(member) == session and state not in "ZX":
            found.append(int(path.parent.name))
    return found


@contextmanager
def cleared(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Nothing of a session outlives the test."""
    try:
        yield
    finally:
        for member in living(process.pid):
            os.kill(member, signal.SIGKILL)
        process.wait()


def test_ten_sigkills_through_the_command_line(tmp_path: Path) -> None:
    method, budget = "nsga2", 3000
    run = planned(method, budget)
    reference = undisturbed(run, tmp_path / "undisturbed")
    folder = run.folder(StudyFolder(tmp_path / "study"))
    # half of the run at most, so that what a slow machine does between look and kill never ends it
    targets = sorted(random.Random(1).sample(range(1, budget // 2), DEATHS))
    for target in targets:
        process = bench(tmp_path, method, budget)
        with cleared(process):
            wait_for_answers(process, folder.journal, target)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert not folder.finished, (tmp_path / "log").read_text()
    process = bench(tmp_path, method, budget)
    with cleared(process):
        assert process.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
    assert_same_front(folder, reference)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_of_a_killed_parent_end_by_themselves_and_the_run_goes_on(tmp_path: Path) -> None:
    method, budget = "random", 3000
    run = planned(method, budget)
    folder = run.folder(StudyFolder(tmp_path / "study"))
    process = bench(tmp_path, method, budget)
    with cleared(process):
        wait_for_answers(process, folder.journal, 100)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: not living(process.pid), "the workers' end")
    assert not folder.finished, (tmp_path / "log").read_text()
    process = bench(tmp_path, method, budget)
    with cleared(process):
        assert process.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
    assert_same_front(folder, undisturbed(run, tmp_path / "undisturbed"))
