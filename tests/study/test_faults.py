"""Faults of plugins: each ends as that run failed, its plugin named in one line, and the others are done."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from runs import planned

from pruneframe.errors import Faulty, InputError
from pruneframe.patience import TimeUp, within
from pruneframe.study.executor import LocalExecutor, carry_out_all, fail
from pruneframe.study.facts import summaries
from pruneframe.study.log import printing_to
from pruneframe.study.store import StudyFolder
from pruneframe.study.terms import Terms
from pruneframe.study.worker import carry_out

LONG = 50.0  # seconds; what loops rings the alarm itself, so that on a busy machine nobody else's time is up
PLUGIN = '''
import os, signal, sys
from dataclasses import dataclass
import numpy as np
import pandas as pd
import pruneframe as pf


class Leaves(BaseException):
    """No error."""


@dataclass(frozen=True, repr=False)
class Faulty(pf.Method):
    """One of many faults."""

    name = "faulty"
    does: str = pf.setting("nothing", "what goes wrong")

    def search(self, task):
        if self.does == "raises at once":
            raise RuntimeError("two\\nlines")
        if self.does == "interrupts":
            raise KeyboardInterrupt
        if self.does == "loops at once":
            while True:
                signal.raise_signal(signal.SIGALRM)
        if self.does == "nothing":
            return
        task.evaluate(task.layout.full())
        if self.does == "exits":
            sys.exit(3)
        if self.does == "loops":
            while True:
                try:
                    signal.raise_signal(signal.SIGALRM)
                except Exception:
                    pass
        if self.does == "leaves":
            raise Leaves("so long")
        if self.does == "prints":
            print("to be seen")
            print("and this", file=sys.stderr)
            os.write(1, b"a library" + bytes([10]))
            os.system("echo and a program >&2")
        if self.does == "records":
            task.record("x", [1, 2])
        if self.does == "records what no file holds":
            task.record("x", pd.DataFrame({"a": [object()]}))
        if self.does == "probes test images":
            task.probe("error", task.layout.full(), images="test")
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
        while self.gives == "never":
            signal.raise_signal(signal.SIGALRM)
        if self.gives == "one layer nan":
            scores = np.ones(total, dtype=np.float32)
            scores[network.layout.slices[1]] = np.nan
            return scores
        return np.full(total, np.nan) if self.gives == "nan" else np.zeros(total - 1)


@dataclass(frozen=True, repr=False)
class Declares(Odd):
    """It declares what cannot be charged."""

    name = "declares"
    images = -5
    passes = 1


@dataclass(frozen=True, repr=False)
class Checks(Odd):
    """It fails when it is asked whether it is defined."""

    name = "checks"

    def check(self, network):
        raise KeyError("gone")


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
        odd = {"text": "seven", "nan": float("nan"), "none": None, "below": -1.0, "huge": 10**400}
        return odd.get(self.gives, 1.0)

    def measure_all(self, candidates):
        return None if self.gives == "nothing" else [self.measure(candidate) for candidate in candidates]

    def reference(self, dense):
        return 0.0 if self.gives == "zero" else 1.0


@pf.hookimpl
def pruneframe_methods():
    return [Faulty]


@pf.hookimpl
def pruneframe_scorers():
    return [Odd, Declares, Checks]


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
    "leaves": "Leaves: so long",
    "records": "must be a pandas DataFrame",
    "records what no file holds": "record 'x' must have columns of one type each",
    "probes test images": "images must be 'train' or 'search', but got 'test'",
    "evaluates bits": "must be Masks",
    "asks for weights": "'abcdef'",
    "mutates": "changed its 'conv1.weight'",
    "scores nan": "scorer odd must give finite scores",
    "scores one layer nan": "scorer odd[gives=one layer nan] must give finite scores",
    "scores few": "scorer odd[gives=few] must give finite scores",
    "scores error": "scorer odd[gives=error] fails: KeyError: 'gone'",
    "varies": "variation few must make 2 binary children",
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
    [
        *(("text", "['seven']"), ("nan", "[nan]"), ("none", "[None]"), ("below", "[-1.0]"), ("huge", "but gave [...]")),
        *(("nothing", "TypeError"), ("zero", "a reference above 0, but gave 0.0")),
    ],
)
def test_an_objective_that_gives_no_number_fails_the_runs(gives: str, told: str, plugin: str, tmp_path: Path) -> None:
    objectives = ("error", f"strange[gives={gives}]")
    (run,) = planned(["random"], sources=[plugin], objectives=objectives).runs
    reason = carry_out(run, tmp_path, (plugin,))["reason"]
    assert "objective strange" in reason
    assert told in reason
    assert "plugin 'wrong'" in reason


@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        ("odd[gives=error]", "fails: KeyError: 'gone'"),
        ("declares", "must declare whole numbers of images and passes, 0 or more, but declares (-5, 1)"),
        ("checks", "fails: KeyError: 'gone'"),
    ],
)
def test_a_bundled_method_is_not_blamed_for_a_scorer(scorer: str, words: str, plugin: str, tmp_path: Path) -> None:
    (run,) = planned([f"magnitude[scorer={scorer}]"], sources=[plugin]).runs
    reason = carry_out(run, tmp_path, (plugin,))["reason"]
    assert reason.startswith(f"scorer {scorer} {words} (plugin 'wrong'")


def test_what_a_plugin_prints_is_in_the_log_of_its_run(
    plugin: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    quiet, loud = planned(["random", "faulty[does=prints]"], sources=[plugin]).runs
    for run in (quiet, loud):
        assert carry_out(run, tmp_path, (plugin,))["status"] == "done"
    study = StudyFolder(tmp_path)
    assert loud.folder(study).log.read_text() == "to be seen\nand this\na library\nand a program\n"
    assert not quiet.folder(study).log.exists()
    assert capfd.readouterr() == ("", "")


def test_a_scorer_that_never_ends_is_blamed_where_the_method_is_not(plugin: str, tmp_path: Path) -> None:
    """Whoever is from outside and was at work when the time was up."""
    runs = planned(["magnitude[scorer=odd[gives=never]]"], sources=[plugin], patience=LONG)
    [fault] = runs.faults.values()
    assert f"within {LONG:g} s, but " in fault
    assert "asked nothing (plugin 'wrong'" in fault


def test_a_search_ends_in_time_and_goes_on_with_more(plugin: str, tmp_path: Path) -> None:
    """In a process of its own, as runs are: the alarm is the process's, and so is the one of these tests' own limit."""
    runs = planned(["faulty[does=loops]"], sources=[plugin]).runs
    study, watch = StudyFolder(tmp_path), lambda states: None
    [line] = carry_out_all(runs, study, (plugin,), lambda: LocalExecutor(1, 1), watch, Terms(timeout=LONG))
    assert f"must end within {LONG:g} s" in line
    assert runs[0].folder(study).journal.exists()


def test_one_that_asks_nothing_has_failed_when_it_is_planned_and_others_run(plugin: str, tmp_path: Path) -> None:
    found = planned(["faulty[does=loops at once]", "random"], sources=[plugin], patience=LONG)
    hanging, other = found.runs
    assert [*found.faults] == [hanging]
    fail(hanging, StudyFolder(tmp_path), found.faults[hanging])
    assert "asked nothing" in found.faults[hanging]
    assert "plugin 'wrong'" in found.faults[hanging]
    told = {run.method: (run.status, run.reason) for run in summaries(StudyFolder(tmp_path))}
    assert told == {hanging.method: ("failed", found.faults[hanging])}
    assert carry_out(other, tmp_path, (plugin,))["status"] == "done"


def test_a_plugin_that_ends_its_worker_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "leaves.py"
    path.write_text(PLUGIN.replace("sys.exit(3)", "os._exit(0)"))
    study = StudyFolder(tmp_path / "study")
    runs = planned(["faulty[does=exits]", "random"], sources=[str(path)]).runs
    failures = carry_out_all(runs, study, (str(path),), lambda: LocalExecutor(1, 1), lambda states: None)
    assert [line.partition(":")[0] for line in failures] == [f"{runs[0].method} on lenet-digits, seed 0"]
    assert f"its worker process died (out of memory, or ended by plugin {path} " in str(runs[0].folder(study).failure)
    assert runs[1].folder(study).finished


def test_an_interrupt_of_its_own_is_a_fault_of_the_plugin_and_no_users(plugin: str, tmp_path: Path) -> None:
    study = StudyFolder(tmp_path)
    runs = planned(["faulty[does=interrupts]", "random"], sources=[plugin]).runs
    [line] = carry_out_all(runs, study, (plugin,), lambda: LocalExecutor(1, 1), lambda states: None)
    assert "KeyboardInterrupt" in line
    assert f"(plugin 'wrong' of {plugin}" in line
    assert runs[1].folder(study).finished


def test_what_interrupts_itself_is_told_apart_from_what_a_signal_interrupts() -> None:
    def raises() -> None:
        raise KeyboardInterrupt

    own = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it
    try:
        with pytest.raises(RuntimeError, match="it raises KeyboardInterrupt, which is for users alone"):
            within(60, raises)
        with pytest.raises(KeyboardInterrupt):
            within(60, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, own)


def test_a_thread_that_is_left_running_fails_its_run_and_hinders_nobody(tmp_path: Path) -> None:
    """Python would wait for it when the worker ends."""
    path = tmp_path / "threads.py"
    sleeper = "import threading, time; threading.Thread(target=time.sleep, args=(1e6,), name='sleeper').start()"
    path.write_text(PLUGIN.replace("sys.exit(3)", sleeper))
    study = StudyFolder(tmp_path / "study")
    runs = planned(["faulty[does=exits]", "random"], sources=[str(path)]).runs
    [line] = carry_out_all(runs, study, (str(path),), lambda: LocalExecutor(1, 1), lambda states: None)
    assert "a run must leave no thread running, but left 'sleeper'; join it (plugin 'threads'" in line
    assert runs[1].folder(study).finished


LOADING = '''
import sys
from dataclasses import dataclass

import torch
from torch import nn

import pruneframe as pf
from pruneframe.testing import tiny_problem

TINY = tiny_problem()


class Odd(nn.Module):
    """It does not run."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, images):
        raise KeyError("gone")


@dataclass(frozen=True, repr=False)
class Own(pf.Units):
    """Single weights of the first layer, and one fault."""

    name = "own"
    does: str = pf.setting("nothing", "what goes wrong")

    def layout(self, network):
        first = network.layers[0]
        if self.does == "fails":
            raise KeyError("gone")
        while self.does == "never":
            pass
        if self.does == "exits":
            sys.exit(0)
        if self.does == "harms":
            next(network.module.parameters()).zero_()
        size = 0 if self.does == "no units" else first.weights
        layout = pf.Layout(repr(self), (pf.Group(first.name, size, first.shape),))
        return None if self.does == "nothing at all" else layout


@pf.hookimpl
def pruneframe_units():
    return [Own]


def fails():
    raise KeyError("gone")


def interrupts():
    raise KeyboardInterrupt


def shouts():
    print("to be seen")
    return TINY.data


@pf.hookimpl
def pruneframe_problems():
    loaders = {"fails": fails, "exits": lambda: sys.exit(0), "nothing": lambda: None, "shouts": shouts}
    loaders["interrupts"] = interrupts
    problems = [pf.Problem(f"data-{does}", TINY.network, load) for does, load in loaders.items()]
    networks = {"fails": lambda: 1 / 0, "nothing": lambda: None, "odd": Odd}
    problems.append(pf.Problem("image", Odd, TINY.data))
    return [TINY, *problems, *(pf.Problem(f"net-{does}", made, TINY.data) for does, made in networks.items())]
'''


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plugin") / "loading.py"
    path.write_text(LOADING)
    return str(path)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("data-fails", "KeyError: 'gone'"),
        ("data-exits", "SystemExit: 0"),
        ("data-interrupts", "RuntimeError: it raises KeyboardInterrupt"),
        ("data-nothing", "data must be Data and the network a Module, but are NoneType and "),
        ("net-fails", "ZeroDivisionError"),
        ("net-nothing", "data must be Data and the network a Module, but are Data and NoneType"),
    ],
)
def test_a_problem_that_cannot_be_loaded_is_told_and_the_others_run(problem: str, words: str, loading: str) -> None:
    found = planned(["random"], sources=[loading], problems=[problem, "tiny"], search_images=40)
    assert [run.problem for run in found.runs] == ["tiny"]
    [line] = found.broken
    assert line.startswith(f"{problem}: problem {problem} fails: ")
    assert words in line
    assert f"(plugin 'loading' of {loading}" in line
    with pytest.raises(Faulty, match=words):
        planned(["random"], sources=[loading], problems=[problem])


def test_a_problem_that_cannot_be_used_is_named(loading: str) -> None:
    with pytest.raises(InputError, match=r"^net-odd: the network must run on one image"):
        planned(["random"], sources=[loading], problems=["net-odd"])
    with pytest.raises(InputError, match=r"^image: the network must run on one image"):  # not by chance
        planned(["random"], sources=[loading], problems=["image"])


def test_what_a_loader_prints_is_no_output(loading: str, capsys: pytest.CaptureFixture[str]) -> None:
    planned(["random"], sources=[loading], problems=["data-shouts"], search_images=40)
    assert capsys.readouterr() == ("", "to be seen\n")


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("fails", "unit own[does=fails] fails: KeyError: 'gone'"),
        ("exits", "unit own[does=exits] fails: SystemExit: 0"),
        ("harms", "units own[does=harms] must leave the network as it is"),
        ("no units", "units own[does=no units] must give groups of units that the network has"),
        ("nothing at all", "units own[does=nothing at all] must give a Layout, but gave a NoneType"),
        ("never", "units own[does=never] must give a Layout within 0.5 s, but go on"),
    ],
)
def test_so_are_units_that_cannot_be(does: str, words: str, loading: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.model.laid.PLANNING", 0.5 if does == "never" else 60)
    with pytest.raises(Faulty) as caught:
        planned(["random"], sources=[loading], problems=["tiny"], units=f"own[does={does}]", search_images=40)
    assert words in str(caught.value)
    assert "(plugin 'loading'" in str(caught.value)


HANGING = """
from dataclasses import dataclass
import pruneframe as pf


@dataclass(frozen=True, repr=False)
class Hangs(pf.Target):
    \"\"\"It never says anything.\"\"\"

    name = "hangs"

    def latencies(self, networks):
        while True:
            pass

    def memory(self, network):
        return 1.0


@pf.hookimpl
def pruneframe_targets():
    return [Hangs]
"""


def test_a_target_that_never_answers_fails_the_runs_that_it_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "hanging.py"
    path.write_text(HANGING)
    board = {"units": "filter", "objectives": ("error", "latency"), "target": "hangs"}
    [fault] = planned(["random"], sources=[str(path)], patience=0.5, **board).faults.values()
    assert fault.startswith("target hangs must judge a network within 0.5 s, but goes on (plugin 'hanging' of ")


def for_ever() -> None:
    while True:
        pass


def test_patience_ends_a_block_and_leaves_the_next_one_alone() -> None:
    with pytest.raises(TimeUp):
        within(0.05, for_ever)
    within(None, lambda: within(60, lambda: None))


def test_an_outer_alarm_waits_for_the_inner_block_and_rings() -> None:
    with pytest.raises(TimeUp):
        within(0.05, lambda: (within(60, lambda: time.sleep(0.1)), for_ever()))


def test_an_alarm_that_a_destructor_swallows_rings_again_and_is_not_talked_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Slow:
        def __del__(self) -> None:
            for_ever()

    def work() -> None:
        Slow()  # the first alarm rings in its destructor, where Python ignores what is raised
        for_ever()

    with pytest.raises(TimeUp):
        within(0.05, work)
    gc.collect()
    assert capsys.readouterr() == ("", "")


def test_an_alarm_that_comes_late_hits_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    rings: list[Any] = []
    monkeypatch.setattr(signal, "signal", lambda number, ring: rings.append(ring))
    within(60, lambda: None)
    assert rings[0](signal.SIGALRM, sys._getframe()) is None


def test_nothing_is_kept_of_what_is_printed_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with printing_to(None):
        print("lost")
    with printing_to(tmp_path / "absent" / "log"):  # as on a full disk
        print("lost")
    assert capsys.readouterr().out == ""


def test_faults_are_told_apart_by_their_component() -> None:
    assert (Faulty("x").kind, Faulty("x", "scorer", "odd").spec) == ("method", "odd")
