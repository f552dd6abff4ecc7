"""Inference runtimes as targets, and a command that measures elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import lookup
from torch import nn

import pruneframe as pf
from pruneframe.target import Target
from pruneframe.testing import check_target, make_task, tiny_problem
from pruneframe_plugins import runtimes
from pruneframe_plugins.runtimes import Command, OnnxRuntime, OpenVino

MEASURE = """
import sys, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
weights = sum(1 for _ in session.get_inputs())
print("measured on a board")
print(0.25, 0.5)
"""
SIGNAL_AFTERWARDS = """
import gc, signal
from torch import nn
import pruneframe as pf
from pruneframe_plugins.runtimes import OpenVino

OpenVino(repeats=1, warmup=0).series([nn.Linear(3, 2).eval(), nn.Linear(3, 4).eval()], [pf.Inputs((3,))] * 2)
gc.collect()
signal.signal(signal.SIGALRM, lambda number, frame: print("taken"))
signal.raise_signal(signal.SIGALRM)
"""
Write = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Write:
    """Writes a Python script, and gives the command that runs it."""

    def write(text: str) -> str:
        (tmp_path / "measure.py").write_text(text)
        return f"{sys.executable} {tmp_path / 'measure.py'} {{file}}"

    return write


@pytest.fixture
def unexported(monkeypatch: pytest.MonkeyPatch) -> None:
    """For commands that do not look into their file: an export takes a second."""
    monkeypatch.setattr(pf, "to_onnx", lambda module, inputs: b"a model")


@pytest.mark.parametrize("target", [OnnxRuntime(repeats=3, warmup=1), OpenVino(repeats=3, warmup=1)])
def test_the_contract_holds_for_a_runtime(target: Target) -> None:
    check_target(target)
    assert target.library in target.identity  # type: ignore[attr-defined]
    assert target.measured


@pytest.mark.parametrize("runtime", [OnnxRuntime(), OpenVino()])
def test_a_runtime_computes_what_the_module_does(runtime: Any) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    found = runtime.prepared(module, pf.Inputs((3,)))()
    [logits] = found.values() if hasattr(found, "values") else found
    assert np.asarray(logits) == pytest.approx(module(pf.Inputs((3,)).blank(1)).detach().numpy(), abs=1e-6)


def test_a_process_that_measured_with_openvino_still_takes_signals() -> None:
    command = [sys.executable, "-X", "faulthandler", "-c", SIGNAL_AFTERWARDS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "taken\n"), done.stderr


def test_a_module_is_exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    exported: list[nn.Module] = []
    true = pf.to_onnx
    monkeypatch.setattr(runtimes.pf, "to_onnx", lambda module, inputs: exported.append(module) or true(module, inputs))
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    target = OnnxRuntime(repeats=1, warmup=0)
    target.series([first, second], [(2,), (2,)])
    target.series([first], [(2,)])
    assert exported == [first, second]


def test_a_library_that_is_missing_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxRuntime, "library", "no-such-library")
    with pytest.raises(pf.InputError, match=r"needs no-such-library; pip install 'pruneframe\[runtimes\]'"):
        _ = OnnxRuntime().identity


def test_a_command_is_given_the_model_and_prints_seconds(script: Write) -> None:
    target = Command(run=script(MEASURE), passes=2)
    check_target(target)
    problem = tiny_problem("filter", objectives=("error", "latency"), target=repr(target))
    task = make_task(problem)
    assert task.evaluate(task.layout.full())[0, 1] == 1.0


def test_a_command_may_come_in_quotes() -> None:
    assert lookup(Target, "command[run='ssh board measure {file}']")._words == ["ssh", "board", "measure", "{file}"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import sys; sys.exit('the board is asleep')", "ended with 1: the board is asleep"),
        ("print('soon')", "seconds above 0 in its last line, but printed 'soon'"),
        ("print(-1)", "seconds above 0"),
        ("print(float('nan'))", "seconds above 0"),
        ("pass", "seconds above 0"),
        ("import time; time.sleep(60)", "must end within 0.5 s"),
    ],
)
@pytest.mark.usefixtures("unexported")
def test_a_command_that_measures_nothing(text: str, words: str, script: Write) -> None:
    target = Command(run=script(text), patience=0.5 if "within" in words else 60.0)
    with pytest.raises(pf.InputError, match=words):
        target.series([nn.Linear(2, 2)], [(2,)])


@pytest.mark.usefixtures("unexported")
def test_a_program_that_is_not_there() -> None:
    with pytest.raises(pf.InputError, match="no-such-program cannot be run"):
        Command(run="no-such-program {file}").series([nn.Linear(2, 2)], [(2,)])


@pytest.mark.parametrize("run", ["", "ssh board measure", "measure '{file}"])
def test_a_command_that_is_none(run: str) -> None:
    with pytest.raises(ValueError, match="run must be a command"):
        Command(run=run)
