"""Faults of plugins: each ends as that run failed, its plugin named in one line, and the others are done."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import planned

from pruneframe.errors import Faulty
from pruneframe.study.executor import LocalExecutor, carry_out_all, fail
from pruneframe.study.patience import TimeUp, printing_to, within
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out

PLUGIN = '''
import os, sys
from dataclasses import dataclass
import numpy as np
import pandas as pd
import pruneframe as pf


@dataclass(frozen=True, repr=False)
class Faulty(pf.Method):
    """One of many faults."""

    name = "faulty"
    does: str = pf.setting("nothing", "what goes wrong")

    def search(self, task):
        if self.does == "raises at once":
            raise RuntimeError("two\\nlines")
        if self.does == "loops at once":
            while True:
                task.layout.full()
        if self.does == "nothing":
            return
        task.evaluate(task.layout.full())
        if self.does == "exits":
            sys.exit(3)
        if self.does == "loops":
            while True:
                try:
                    task.layout.full()
                except Exception:
                    pass
        if self.does == "prints":
            print("to be seen")
            print("and this", file=sys.stderr)
        if self.does == "records":
            task.record("x", [1, 2])
        if self.does == "evaluates bits":
            task.evaluate(np.ones((1, task.layout.total), bool))
        if self.does == "asks for weights":
            task.evaluate(task.layout.full(), "abcdef")
        if self.does == "mutates":
            task.network.module.conv1.weight.data.zero_()
        if self.does.startswith("scores "):
            task.scores(f"odd[gives={self.does[7:]}]")
        if self.does == "varies":
            variables = task.encoding("mask").variables(task.layout)
            parents = task.layout.full(4).bits
            task.variation("few").vary(parents, 2, variables, task.rng)
        task.evaluate(task.layout.full() - task.layout.full())


@dataclass(frozen=True, repr=False)
class Odd(pf.Scorer):
    """Scores that are none."""

    name = "odd"
    gives: str = pf.setting("nan", "what it gives")

    def score(self, network, images, labels, rng):
        total = network.layout.total
        if self.gives == "error":
            raise KeyError("gone")
        return np.full(total, np.nan) if self.gives == "nan" else np.zeros(total - 1)


@dataclass(frozen=True, repr=False)
class Few(pf.Variation):
    """One child too few."""

    name = "few"

    def vary(self, parents, n, variables, rng, scores=None, free=None):
        return parents[: n - 1]


@dataclass(frozen=True, repr=False)
class Strange(pf.Objective):
    """Values that are none."""

    name = "strange"
    quantity = "share"
    gives: str = pf.setting("text", "what it gives")

    def measure(self, candidate):
        return {"text": "seven", "nan": float("nan"), "none": None}.get(self.gives, 1.0)

    def reference(self, dense):
        return 0.0 if self.gives == "zero" else 1.0


@pf.hookimpl
def pruneframe_methods():
    return [Faulty]


@pf.hookimpl
def pruneframe_scorers():
    return [Odd]


@pf.hookimpl
def pruneframe_variations():
    return [Few]


@pf.hookimpl
def pruneframe_objectives():
    return [Strange]
'''
FAULTS = {
    "raises at once": "RuntimeError: two lines",
    "nothing": "must evaluate something",
    "exits": "SystemExit: 3",
    "records": "must be a pandas DataFrame",
    "evaluates bits": "must be Masks",
    "asks for weights": "'abcdef'",
    "mutates": "changed its 'conv1.weight'",
    "scores nan": "scorer odd must give finite scores",
    "scores few": "scorer odd[gives=few] must give finite scores",
    "scores error": "scorer odd[gives=error] fails: KeyError: 'gone'",
    "varies": "variation few must make 2 children",
}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plugin") / "wrong.py"
    path.write_text(PLUGIN)
    return str(path)


@pytest.mark.parametrize("does", FAULTS)
def test_a_fault_ends_its_run_in_one_line_that_names_the_plugin(does: str, plugin: str, tmp_path: Path) -> None:
    (run,) = planned([f"faulty[does={does}]"], sources=[plugin]).runs
    result = carry_out(run, tmp_path, (plugin,))
    assert result["status"] == "failed"
    assert FAULTS[does] in result["reason"]
    assert f"(plugin 'wrong' of {plugin}" in result["reason"]
    assert "\n" not in result["reason"]
    assert run.folder(StudyFolder(tmp_path)).failure == result["reason"]


@pytest.mark.parametrize(
    ("gives", "told"),
    [("text", "['seven']"), ("nan", "[nan]"), ("none", "[None]"), ("zero", "a reference above 0, but gave 0.0")],
)
def test_an_objective_that_gives_no_number_fails_the_runs(gives: str, told: str, plugin: str, tmp_path: Path) -> None:
    objectives = ("error", f"strange[gives={gives}]")
    (run,) = planned(["random"], sources=[plugin], objectives=objectives).runs
    reason = carry_out(run, tmp_path, (plugin,))["reason"]
    assert "objective strange" in reason
    assert told in reason
    assert "plugin 'wrong'" in reason


def test_a_bundled_method_is_not_blamed_for_a_scorer(plugin: str, tmp_path: Path) -> None:
    (run,) = planned(["magnitude[scorer=odd[gives=error]]"], sources=[plugin]).runs
    assert "plugin 'wrong'" in carry_out(run, tmp_path, (plugin,))["reason"]


def test_what_a_plugin_prints_is_in_the_log_of_its_run(
    plugin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet, loud = planned(["random", "faulty[does=prints]"], sources=[plugin]).runs
    for run in (quiet, loud):
        assert carry_out(run, tmp_path, (plugin,))["status"] == "done"
    study = StudyFolder(tmp_path)
    assert loud.folder(study).log.read_text() == "to be seen\nand this\n"
    assert not quiet.folder(study).log.exists()
    assert capsys.readouterr() == ("", "")


def test_a_search_ends_in_time_and_goes_on_with_more(plugin: str, tmp_path: Path) -> None:
    (run,) = planned(["faulty[does=loops]"], sources=[plugin]).runs
    result = carry_out(run, tmp_path, (plugin,), timeout=0.5)
    assert "must end within 0.5 s" in result["reason"]
    assert run.folder(StudyFolder(tmp_path)).journal.exists()


def test_one_that_asks_nothing_has_failed_when_it_is_planned_and_others_run(plugin: str, tmp_path: Path) -> None:
    found = planned(["faulty[does=loops at once]", "random"], sources=[plugin], patience=0.5)
    hanging, other = found.runs
    assert [*found.faults] == [hanging]
    line = fail(hanging, StudyFolder(tmp_path), found.runs, found.faults[hanging])
    assert "asked nothing" in line
    assert "plugin 'wrong'" in line
    assert carry_out(other, tmp_path, (plugin,))["status"] == "done"


def test_a_plugin_that_ends_its_worker_otherwise_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "leaves.py"
    path.write_text(
        PLUGIN.replace("sys.exit(3)", 'raise Leaves("so long")').replace(
            "import pruneframe as pf\n", "import pruneframe as pf\n\nclass Leaves(BaseException): pass\n"
        )
    )
    study = StudyFolder(tmp_path / "study")
    runs = planned(["faulty[does=exits]", "random"], sources=[str(path)]).runs
    failures = carry_out_all(runs, study, (str(path),), lambda: LocalExecutor(1, 1), lambda states: None)
    assert [line.partition(":")[0] for line in failures] == [f"{runs[0].method} on lenet-digits, seed 0"]
    assert runs[1].folder(study).finished


def for_ever() -> None:
    while True:
        pass


def test_patience_ends_a_block_and_leaves_the_next_one_alone() -> None:
    with pytest.raises(TimeUp), within(0.05):
        for_ever()
    with within(None), within(60):
        pass


def test_nothing_is_kept_of_what_is_printed_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with printing_to(None):
        print("lost")
    with printing_to(tmp_path / "absent" / "log"):  # as on a full disk
        print("lost")
    assert capsys.readouterr().out == ""


def test_faults_are_told_apart_by_their_component() -> None:
    assert (Faulty("x").kind, Faulty("x", "scorer", "odd").spec) == ("method", "odd")
