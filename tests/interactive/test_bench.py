"""The call and the command are one: the same runs, kept in the same place, each going on with the other's."""

from __future__ import annotations

import inspect
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from command import METHOD, QUICK, in_this_process

import pruneframe as pf
from pruneframe.cli import bench
from pruneframe.configuration.tuned import NAME, TunedSettings
from pruneframe.errors import NothingSelected, RunsFailed
from pruneframe.study import executor
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table
from pruneframe.testing import tiny_problem

RULES: dict[str, Any] = {"budget": 20, "search_images": 100}
SCRIPT = """
import pruneframe as pf

table = pf.bench("random,magnitude", seeds="0-1", budget=20, search_images=100, jobs=2)
print(len(table), table.groupby("method").seed.nunique().to_dict())
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; runs are carried out in a thread."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(executor, "LocalExecutor", lambda jobs, threads: ThreadPoolExecutor(1))
    return tmp_path


def test_a_call_goes_on_with_a_study_of_the_command_and_the_command_with_its(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pruneframe.comparison.edition.write", lambda *arguments: ([], []))
    with in_this_process(here) as command:
        assert command("bench", "--methods", "random", *QUICK, "--seeds", "0").code == 0
        table = pf.bench(["random", "magnitude"], seeds=[0], **RULES)
        monkeypatch.setattr(executor, "carry_out_all", None)  # what would be called now would fail
        assert command("bench", "--methods", "random,magnitude", *QUICK, "--seeds", "0").code == 0
    pd.testing.assert_frame_equal(table, long_table(StudyFolder(here / "pruneframe-study")))
    assert set(table.method) == {"random", "magnitude"}


def test_objects_and_texts_mean_the_same_runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pruneframe_plugins.random_search import RandomSearch

    first = pf.bench("random", seeds="0", **RULES)
    monkeypatch.setattr(executor, "carry_out_all", None)  # what would be called now would fail
    again = pf.bench([RandomSearch()], ["lenet-digits"], 0, objectives=["error", "params"], **RULES)
    pd.testing.assert_frame_equal(first, again)


def test_a_problem_in_memory_runs_here_and_is_kept(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tiny_problem()
    threads = torch.get_num_threads()
    first = pf.bench(["random", "magnitude"], own, [0, 1], budget=8, output="own", threads=threads + 1)
    assert torch.get_num_threads() == threads
    assert first.groupby(["method", "seed"]).ngroups == 4
    monkeypatch.setattr(executor, "carry_out_all", None)
    again = pf.bench(["random", "magnitude"], own, [0, 1], budget=8, output="own", threads=threads + 1)
    pd.testing.assert_frame_equal(first, again)
    study = pf.load("own", plugins=own)
    assert study.member("random", seed=0, number=0).module()
    with pytest.raises(pf.InputError, match="no problem is named 'tiny'"):
        pf.load("own").member("random", seed=0, number=0).module()


def test_a_problem_in_memory_that_was_trained_on_is_another_one(here: Path) -> None:
    own = tiny_problem()
    pf.bench("magnitude", own, 0, budget=4)
    module = own.network
    assert isinstance(module, torch.nn.Module)
    with torch.no_grad():
        next(module.parameters()).mul_(1.5)
    pf.bench("magnitude", own, 0, budget=4)
    assert len(pf.load("pruneframe-study").runs) == 2


def test_what_computes_otherwise_is_another_version() -> None:
    own = tiny_problem()
    module = own.network
    assert isinstance(module, torch.nn.Module)

    class Other(type(module)):  # type: ignore[misc] # any class of module will do
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return -super().forward(images)

    other = Other()
    other.load_state_dict(module.state_dict())
    assert replace(own, network=other).version != own.version == tiny_problem().version


def test_a_run_that_fails_is_told_when_all_have_ended(here: Path) -> None:
    (here / "own.py").write_text(METHOD.replace("BODY", "1 / 0"))
    with pytest.raises(RunsFailed, match=r"own on lenet-digits, seed 0: ZeroDivisionError.*pf\.load\('pruneframe-st"):
        pf.bench("own,magnitude", seeds=0, plugins=["own.py"], **RULES)
    assert sorted(pf.load("pruneframe-study").runs.status) == ["done", "failed"]


def test_a_method_that_declines_is_warned_of(here: Path) -> None:
    (here / "own.py").write_text(METHOD.replace("task.evaluate(task.layout.full())", "task.decline('not today')"))
    with pytest.warns(UserWarning, match="skipped: own declines lenet-digits: not today"):
        table = pf.bench("own,magnitude", seeds=0, plugins=["own.py"], **RULES)
    assert set(table.method) == {"magnitude"}


@pytest.mark.parametrize(
    ("arguments", "error", "line"),
    [
        ({"methods": "randm"}, pf.InputError, "no method is named 'randm'; did you mean 'random'?"),
        ({"methods": []}, NothingSelected, "at least one method and one problem must be named"),
        ({"methods": "random", "budget": -1}, pf.InputError, "0 < budget <= .* must hold, but got -1"),
        ({"methods": "random", "seeds": "x"}, pf.InputError, "seeds are written 0-4 or 1,5,9, but got 'x'"),
        ({"methods": "random", "control": "nsga2"}, pf.InputError, "--control must be one of --methods: no method"),
        ({"methods": "random", "problems": tiny_problem(), "jobs": 2}, pf.InputError, "--jobs must be 1 for a problem"),
        ({"methods": "random", "plugins": ["absent.py"]}, pf.InputError, "-p takes a Python file"),
    ],
)
def test_what_cannot_be_meant_is_raised_and_writes_nothing(
    here: Path, arguments: dict[str, Any], error: type[Exception], line: str
) -> None:
    with pytest.raises(error, match=line):
        pf.bench(**arguments)
    assert list(here.iterdir()) == []


def test_it_is_silent_unless_progress_is_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pf.bench("magnitude", seeds=0, **RULES)
    assert capsys.readouterr() == ("", "")
    pf.bench("magnitude", seeds="0-1", progress=True, **RULES)
    out, err = capsys.readouterr()
    assert out == ""
    assert "1 of 2 runs are already there" in err
    assert "[1/1] magnitude on lenet-digits, seed 1: done" in err


def test_settings_that_trials_found_and_a_page_as_with_the_command(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.comparison.edition.specs", lambda registry, chosen: ("results",))
    rules = ("--seeds", "0", "--budget", "20", "--search-images", "100")
    with in_this_process(here) as command:
        tried = command("tune", "random", "--instances", "1", "--trials", "2", *rules, "--output", "tuning")
        assert tried.code == 0
    [found] = TunedSettings.read(here / "tuning" / NAME).methods
    table = pf.bench("random,magnitude", seeds=0, settings="tuning/tuned.toml", control="random", html=True, **RULES)
    assert set(table.method) == {found.spec, "magnitude"}
    study = StudyFolder(here / "pruneframe-study")
    (asked,) = study.settings["commands"]
    assert (study.settings["control"], asked["tuned"]["methods"][0]["spec"]) == (found.spec, found.spec)
    text = (study.path / "comparison.html").read_text()
    assert "2 of 2 runs done" in text
    assert "http-equiv" not in text, "all is done, and the page does not change any more"
    with pytest.raises(pf.InputError, match="must have one of the methods, magnitude, but has random"):
        pf.bench("magnitude", seeds=0, settings="tuning/tuned.toml", **RULES)


def test_every_option_of_the_command_is_an_argument() -> None:
    options = {param.name for param in bench.command.params} | {"plugins"}
    left_out = {"config", "data", "sources", "problem_files", "as_json", "dry_run"}  # of a shell alone
    assert {*inspect.signature(pf.bench).parameters} == options - left_out | {"progress"}


def test_a_script_needs_no_guard_for_worker_processes(here: Path) -> None:
    """Each worker would run the script once more, and with it the call."""
    path = here / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert line.endswith("{'magnitude': 2, 'random': 2}")
