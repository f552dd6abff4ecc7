"""What a worker does with a run: it is repeatable, keeps its budget, and tells what becomes of it when it fails."""

from __future__ import annotations

import fcntl
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import assert_same_front, carried_out, run_of

from pruneframe.engine import kernel
from pruneframe.front import non_dominated
from pruneframe.study.facts import summaries
from pruneframe.study.folder import RunFolder
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out

METHODS = (
    "random",
    "magnitude",
    "magnitude[scorer=lamp]",
    "nsga2",
    "nsga2[encoding=layer-threshold,scorer=taylor]",
    "moead",
    "platypus",
    "platypus[algorithm=SPEA2,encoding=mask]",
    "platypus[algorithm=EpsMOEA]",
    "platypus[algorithm=IBEA]",
    "platypus[algorithm=MOEAD]",
    "platypus[algorithm=GDE3]",
)

PLUGIN = '''
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pruneframe as pf

class Odd(Exception):
    """No error that pruneframe knows."""

@dataclass(frozen=True, repr=False)
class Breaks(pf.Method):
    """Evaluates ten masks, and breaks after some of them while a file says so."""
    name = "breaks"
    after: int = pf.setting(4, "evaluations before it breaks")
    def search(self, task):
        for _ in range(10):
            task.evaluate(pf.Masks.pack(task.rng.random((1, task.layout.total)) < 0.9, task.layout))
            if len(task.archive.evaluations) == self.after and Path(__file__).with_name("broken").exists():
                raise Odd("on purpose")

@dataclass(frozen=True, repr=False)
class Idle(pf.Method):
    """Evaluates nothing."""
    name = "idle"
    def search(self, task):
        pass

@dataclass(frozen=True, repr=False)
class Short(pf.Method):
    """Stops after three evaluations."""
    name = "short"
    def search(self, task):
        task.evaluate(task.layout.full(3))  # one is new

@dataclass(frozen=True, repr=False)
class Global(pf.Method):
    """Draws from numpy's global generator, which no run seeds."""
    name = "global"
    def search(self, task):
        while True:
            task.evaluate(pf.Masks.pack(np.random.random((1, task.layout.total)) < 0.9, task.layout))
            if len(task.archive.evaluations) == 4 and Path(__file__).with_name("broken").exists():
                raise Odd("on purpose")

@pf.hookimpl
def pruneframe_methods():
    return [Breaks, Idle, Short, Global]
'''


@pytest.mark.skipif(kernel() is None, reason="the kernel could not be built here")
@pytest.mark.parametrize("method", ["nsga2", "moead[encoding=layer-threshold]"])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_either_engine_ends_with_the_same_front(
    method: str, units: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = carried_out(run_of(method, budget=200, units=units), tmp_path / "fast")
    monkeypatch.setattr("pruneframe.engine.sparse.kernel", lambda: None)
    plain = carried_out(run_of(method, budget=200, units=units), tmp_path / "plain")
    assert len(fast.front()["bits"]) > 1
    assert_same_front(fast, plain)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "plugin.py"
    file.write_text(PLUGIN)
    return file


def check_budget(folder: RunFolder, budget: float) -> None:
    """It is never exceeded, and leaves no room for another evaluation."""
    result = folder.result
    assert sum(answer.charge for answer in folder.answers()) == pytest.approx(result["passes_spent"])
    assert result["passes_spent"] <= budget + 1e-9
    assert result["passes_spent"] > budget - 1, "another evaluation would have fitted"
    assert result["evaluations"] == len(folder.evaluations())


@pytest.mark.parametrize("method", METHODS)
def test_runs_of_one_identity_are_equal_and_never_exceed_their_budget(method: str, tmp_path: Path) -> None:
    run = run_of(method, budget=43.7)
    one, two = (carried_out(run, tmp_path / name) for name in ("one", "two"))
    assert_same_front(one, two)
    columns = ["number", "mask", "weights", "spent", "error", "params"]
    assert one.evaluations()[columns].equals(two.evaluations()[columns])
    check_budget(one, 43.7)


@pytest.mark.parametrize("method", METHODS)
def test_a_budget_of_whole_passes_is_spent(method: str, tmp_path: Path) -> None:
    check_budget(carried_out(run_of(method, budget=41.0), tmp_path), 41.0)


def test_a_finished_run_is_not_done_again(tmp_path: Path) -> None:
    run = run_of("random")
    folder = carried_out(run, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    assert carried_out(run, tmp_path).result == folder.result
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before


@pytest.mark.parametrize("method", ["random", "nsga2", "platypus"])
def test_seeds_are_independent_repetitions(method: str, tmp_path: Path) -> None:
    one, two = (carried_out(run_of(method, seed=seed), tmp_path) for seed in (0, 1))
    assert set(one.evaluations()["mask"]) != set(two.evaluations()["mask"])


def test_methods_that_say_so_are_deterministic_unless_something_was_drawn(tmp_path: Path) -> None:
    one, two = (carried_out(run_of("magnitude", seed=seed), tmp_path) for seed in (0, 1))
    assert one.result["deterministic"] is True
    assert_same_front(one, two)
    assert carried_out(run_of("random"), tmp_path).result["deterministic"] is False
    assert carried_out(run_of("magnitude[scorer=random]"), tmp_path).result["deterministic"] is False


@pytest.mark.parametrize("settings", [{"units": "filter"}, {"objectives": ("error", "params", "macs")}])
@pytest.mark.parametrize("method", ["random", "magnitude", "nsga2", "moead", "platypus"])
def test_the_final_front_is_non_dominated_on_every_board(method: str, settings: dict[str, Any], tmp_path: Path) -> None:
    folder = carried_out(run_of(method, budget=60, **settings), tmp_path)
    values = folder.front()["search"]
    assert values.shape[1] == len(settings.get("objectives", ("error", "params")))
    assert np.all(non_dominated(values))
    assert folder.result["looks_at_test"] == len(values) == folder.result["front_size"]


def lines(folder: RunFolder) -> list[bytes]:
    return folder.journal.read_bytes().splitlines()


def test_a_method_that_raises_is_told_and_goes_on_from_its_journal(tmp_path: Path, plugin: Path) -> None:
    sources = (str(plugin),)
    run = run_of("breaks", budget=20, sources=sources)
    study = tmp_path / "study"
    folder = run.folder(StudyFolder(study))
    plugin.with_name("broken").touch()
    for _ in range(2):
        result = carry_out(run, study, sources)
        assert result["status"] == "failed"
        assert result["reason"].startswith("Odd: on purpose (plugin 'plugin' of ")
        assert folder.failure == result["reason"]
        assert not folder.finished
    before = lines(folder)
    assert [json.loads(line)["kind"] for line in before[1:]] == ["evaluate"] * 4

    plugin.with_name("broken").unlink()
    carried_out(run, study, sources)
    assert lines(folder)[:5] == before
    assert len(folder.evaluations()) == 10
    assert folder.failure is None
    assert_same_front(folder, carried_out(run, tmp_path / "undisturbed", sources))


def test_a_failed_run_is_summarised_as_failed(tmp_path: Path, plugin: Path) -> None:
    sources = (str(plugin),)
    run = run_of("breaks[after=2]", budget=20, sources=sources)
    plugin.with_name("broken").touch()
    carry_out(run, tmp_path / "study", sources)
    (found,) = summaries(StudyFolder(tmp_path / "study"))
    assert (found.status, found.reason.partition(" (")[0], found.evaluations) == ("failed", "Odd: on purpose", 2)


def test_a_method_that_asks_otherwise_on_replay_fails_and_says_where(tmp_path: Path, plugin: Path) -> None:
    sources = (str(plugin),)
    run = run_of("global", budget=20, sources=sources)
    plugin.with_name("broken").touch()
    carry_out(run, tmp_path / "study", sources)
    plugin.with_name("broken").unlink()
    result = carry_out(run, tmp_path / "study", sources)
    assert result["status"] == "failed"
    assert "question 0" in result["reason"]


def test_a_method_may_stop_early(tmp_path: Path, plugin: Path) -> None:
    folder = carried_out(run_of("short", budget=20, sources=(str(plugin),)), tmp_path / "study", (str(plugin),))
    assert folder.result["passes_spent"] == 1
    assert (folder.result["ended"], folder.result["repeats"]) == ("method", 2)
    assert folder.result["front_size"] == 1


def test_a_method_that_evaluates_nothing_has_no_front_and_breaks_nothing(tmp_path: Path, plugin: Path) -> None:
    run = run_of("idle", budget=20, sources=(str(plugin),))
    result = carry_out(run, tmp_path / "study", (str(plugin),))
    (found,) = summaries(StudyFolder(tmp_path / "study"))
    assert found.evaluations == 0
    assert found.status == result["status"]
    if result["status"] == "failed":
        assert "evaluat" in result["reason"]
    else:
        assert (found.front_size, found.hypervolume, found.point(2).reduction) == (0, 0.0, None)


def test_a_run_planned_on_other_images_is_refused(tmp_path: Path) -> None:
    run = replace(run_of("random"), fingerprint="0" * 16)
    result = carry_out(run, tmp_path, ())
    assert result["status"] == "failed"
    assert "other weights or images" in result["reason"]


def test_a_run_being_written_elsewhere_is_left_alone(tmp_path: Path) -> None:
    run = run_of("random")
    folder = run.folder(StudyFolder(tmp_path))
    folder.path.mkdir(parents=True)
    with folder.journal.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        result = carry_out(run, tmp_path, ())
        assert "another process" in result["reason"]
        assert folder.journal.read_bytes() == b""


def test_a_target_that_gives_other_answers_here_is_refused(tmp_path: Path) -> None:
    run = run_of("random", units="filter", objectives=("error", "latency"), target="analytic")
    result = carry_out(replace(run, target_identity="another"), tmp_path, ())
    assert result == {"status": "failed", "reason": "target analytic is another one than where the run was planned"}
