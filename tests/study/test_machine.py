"""The machine: what a journal is replayed under, how torch computes, and that one run measures at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command import living, wait_for
from filelock import FileLock, Timeout
from tiny import lookup

from pruneframe import Target
from pruneframe.engine import kernel
from pruneframe.study import machine
from pruneframe.study.machine import LIBRARIES, environment, measuring, prepare_torch, say_if_busy
from pruneframe.target import Meter


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of the test's own, in place of the machine's."""
    monkeypatch.setattr(machine, "LOCK", tmp_path / "lock")
    return tmp_path / "lock"


def test_the_environment_is_all_that_answers_may_depend_on() -> None:
    found = environment()
    assert {"pruneframe", "python", "platform", "machine", "processor", "bfloat16", "kernel", *LIBRARIES} == set(found)
    assert all(isinstance(value, str) and value for value in found.values())
    assert found["torch"].startswith(torch.__version__.partition("+")[0])
    assert found == environment()


def test_another_engine_or_library_is_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment()
    assert before["kernel"] == ("none" if kernel() is None else "sparse")
    monkeypatch.setattr(machine, "kernel", lambda: None if kernel() else object())
    assert environment()["kernel"] != before["kernel"]
    monkeypatch.setattr(machine, "version", lambda name: "another")
    assert all(environment()[name] == "another" for name in LIBRARIES)


@pytest.fixture
def torch_as_before() -> Iterator[None]:
    """What `prepare_torch` sets is the process's own."""
    backends = torch.backends
    before = torch.get_num_threads(), backends.cudnn.deterministic
    narrow = backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32
    yield
    torch.set_num_threads(before[0])
    backends.cudnn.deterministic = before[1]
    backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32 = narrow


@pytest.mark.usefixtures("torch_as_before")
def test_torch_computes_with_the_runs_threads_repeatably_and_in_float32_proper() -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.deterministic = False
    prepare_torch(2)
    assert torch.get_num_threads() == 2
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    ("meter", "locks"),
    [("local-cpu", True), ("local-cpu, sizes alone", False), ("analytic", False), ("nothing physical", False)],
)
def test_what_is_measured_locks_the_machine(meter: str, locks: bool, lock: Path) -> None:
    name, _, sizes = meter.partition(", ")
    found = None if meter == "nothing physical" else Meter(lookup(Target, name), timed=not sizes)
    with measuring(found):
        if locks:
            with pytest.raises(Timeout):
                FileLock(lock).acquire(timeout=0)
        else:
            FileLock(lock).acquire(timeout=0).lock.release()
    FileLock(lock).acquire(timeout=0).lock.release()


def test_who_waits_for_the_machine_is_told(lock: Path) -> None:
    told: list[str] = []
    say_if_busy(told.append)
    assert not told
    with FileLock(lock):
        say_if_busy(told.append)
    assert len(told) == 1
    assert str(lock) in told[0]
    with measuring(Meter(lookup(Target, "local-cpu"), timed=True)):  # nobody holds it any more
        pass


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_worker_ends_with_the_process_that_started_it() -> None:
    worker = (
        "import sys, time; from pruneframe.study.machine import prepare_worker; prepare_worker(1, 1, int(sys.argv[1]))"
    )
    command = f"[sys.executable, '-c', {worker + '; time.sleep(600)'!r}, str(os.getpid())]"
    parent = [sys.executable, "-c", f"import os, subprocess, sys; subprocess.Popen({command})"]
    process = subprocess.Popen(parent, start_new_session=True)
    try:
        assert process.wait() == 0  # at once: the worker has lost its parent before it looks
        wait_for(lambda: not living(process.pid), "the worker's end")
    finally:
        for member in living(process.pid):
            os.kill(member, signal.SIGKILL)
