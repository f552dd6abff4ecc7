"""Executors: runs on one job or two, what becomes of the others when one fails or dies, and cancelling."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from runs import assert_same_front, planned

from pruneframe.study.executor import InPlace, LocalExecutor, Standing, carry_out_all
from pruneframe.study.facts import summaries
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.terms import ONCE, Terms

PLUGIN = '''
import os
from dataclasses import dataclass

import pruneframe as pf

@dataclass(frozen=True, repr=False)
class Dies(pf.Method):
    """Takes its process down after one evaluation, as the system does when memory runs out."""
    name = "dies"
    def search(self, task):
        task.evaluate(task.layout.full())
        os._exit(9)

@dataclass(frozen=True, repr=False)
class Raises(pf.Method):
    """Raises after one evaluation."""
    name = "raises"
    def search(self, task):
        task.evaluate(task.layout.full())
        raise RuntimeError("on purpose")

@dataclass(frozen=True, repr=False)
class Flaky(pf.Method):
    """Raises the first two times."""
    name = "flaky"
    def search(self, task):
        print("tried")
        task.evaluate(task.layout.full())
        with open(__file__ + ".tries", "a+") as file:
            file.write("x")
            file.seek(0)
            tries = len(file.read())
        if tries < 3:
            raise RuntimeError("not yet")

@pf.hookimpl
def pruneframe_methods():
    return [Dies, Raises, Flaky]
'''


@pytest.fixture
def plugin(tmp_path: Path) -> tuple[str, ...]:
    file = tmp_path / "plugin.py"
    file.write_text(PLUGIN)
    return (str(file),)


def carried_out(
    runs: Sequence[Run],
    folder: Path,
    sources: tuple[str, ...] = (),
    executor: Callable[[], Executor] = lambda: ThreadPoolExecutor(1),
    watch: Callable[[dict[Run, str]], None] = lambda states: None,
    terms: Terms = ONCE,
) -> list[str]:
    return carry_out_all(runs, StudyFolder(folder), sources, executor, watch, terms)


def statuses(folder: Path) -> dict[str, str]:
    return {run.method: run.status for run in summaries(StudyFolder(folder))}


def test_two_jobs_find_what_one_job_finds(tmp_path: Path) -> None:
    runs = planned(["nsga2", "platypus"], seeds=[0, 1], budget=40.0).runs
    assert carried_out(runs, tmp_path / "one") == []
    assert carried_out(runs, tmp_path / "two", executor=lambda: LocalExecutor(2, 1)) == []
    for run in runs:
        assert_same_front(*(run.folder(StudyFolder(tmp_path / name)) for name in ("one", "two")))


def test_one_failure_is_reported_and_the_others_are_done(tmp_path: Path, plugin: tuple[str, ...]) -> None:
    runs = planned(["random", "raises", "magnitude"], sources=plugin).runs
    (failure,) = carried_out(runs, tmp_path / "study", plugin)
    assert failure.startswith("raises on lenet-digits, seed 0: RuntimeError: on purpose (plugin ")
    assert statuses(tmp_path / "study") == {"random": "done", "raises": "failed", "magnitude": "done"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_worker_that_dies_is_reported_and_the_others_are_done(
    jobs: int, tmp_path: Path, plugin: tuple[str, ...]
) -> None:
    runs = planned(["random", "dies", "magnitude", "nsga2"], sources=plugin).runs
    failures = carried_out(runs, tmp_path / "study", plugin, lambda: LocalExecutor(jobs, 1))
    assert [failure for failure in failures if failure.startswith("dies on lenet-digits, seed 0: ")] == failures
    assert len(failures) == 1
    found = statuses(tmp_path / "study")
    assert found == {"random": "done", "magnitude": "done", "nsga2": "done", "dies": "failed"}


@pytest.mark.timeout(60)
def test_cancelling_after_a_worker_has_died_returns() -> None:
    executor = LocalExecutor(1, 1)
    with pytest.raises(BrokenProcessPool):
        executor.submit(os._exit, 9).result()
    executor.shutdown(cancel_futures=True)
    assert not multiprocessing.active_children()


@pytest.mark.timeout(60)
def test_cancelling_ends_what_is_under_way() -> None:
    executor = LocalExecutor(1, 1)
    future = executor.submit(time.sleep, 600)
    while not future.running():
        time.sleep(0.01)
    executor.shutdown(cancel_futures=True)
    assert not multiprocessing.active_children()


def test_whoever_watches_is_told_how_every_run_ended(tmp_path: Path, plugin: tuple[str, ...]) -> None:
    runs = planned(["random", "raises"], sources=plugin).runs
    told: dict[Run, list[str]] = {run: [] for run in runs}

    def watch(states: dict[Run, str]) -> None:
        for run, state in states.items():
            told[run].append(state)

    carried_out(runs, tmp_path / "study", plugin, watch=watch)
    assert [states[-1] for states in told.values()] == ["done", "failed"]
    assert not any({"done", "failed"} & set(states[:-1]) for states in told.values())


def test_what_stops_the_watching_cancels_what_has_not_begun(tmp_path: Path) -> None:
    runs = planned(["random"], seeds=range(6), budget=200.0).runs

    def watch(states: dict[Run, str]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carried_out(runs, tmp_path / "study", watch=watch)
    finished = [run for run in runs if run.folder(StudyFolder(tmp_path / "study")).finished]
    assert len(finished) < len(runs)


def test_the_epochs_of_the_common_fine_tuning_are_passed_on(tmp_path: Path) -> None:
    (run,) = planned(["magnitude"]).runs
    assert carried_out([run], tmp_path, terms=Terms(epochs=1)) == []
    assert run.folder(StudyFolder(tmp_path)).finetuned_epochs == 1


def test_a_run_that_fails_is_tried_again_as_often_as_it_may_and_by_the_next_command(
    tmp_path: Path, plugin: tuple[str, ...]
) -> None:
    runs = planned(["flaky", "random"], sources=plugin).runs
    told: list[str] = []

    def watch(states: dict[Run, str]) -> None:
        told.extend(state for run, state in states.items() if run == runs[0])

    failures = carried_out(runs, tmp_path / "study", plugin, watch=watch, terms=Terms(retries=1))
    [failure] = failures
    assert failure.startswith("flaky on lenet-digits, seed 0: RuntimeError: not yet (plugin ")
    assert failure.endswith(" (tried 2 times)")
    assert told.index("failed") == len(told) - 1  # as long as it is tried again it is open
    assert statuses(tmp_path / "study") == {"flaky": "failed", "random": "done"}
    assert carried_out(runs, tmp_path / "study", plugin) == []
    assert all(run.folder(StudyFolder(tmp_path / "study")).finished for run in runs)


def test_tries_end_when_all_is_done(tmp_path: Path, plugin: tuple[str, ...]) -> None:
    runs = planned(["flaky"], sources=plugin).runs
    assert carried_out(runs, tmp_path / "study", plugin, terms=Terms(retries=5)) == []
    log = runs[0].folder(StudyFolder(tmp_path / "study")).log.read_text()
    assert log.count("tried") == 3


def process_of(standing: Standing) -> int:
    """The worker that answers when the executor is lent."""
    with standing.lent() as executor:
        return executor.submit(os.getpid).result()


@pytest.mark.timeout(60)
def test_a_standing_executor_keeps_its_worker_until_it_breaks() -> None:
    standing = Standing(lambda: LocalExecutor(1, 1))
    first = process_of(standing)
    assert process_of(standing) == first != os.getpid()
    with standing.lent() as executor, pytest.raises(BrokenProcessPool):
        executor.submit(os._exit, 9).result()
    second = process_of(standing)
    assert second != first
    standing.end()
    assert not multiprocessing.active_children()


def test_in_place_a_result_is_there_at_once_and_an_interrupt_passes() -> None:
    with InPlace() as executor:
        assert executor.submit(os.getpid).result(timeout=0) == os.getpid()

        def interrupted() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            executor.submit(interrupted)


def test_workers_do_not_run_the_script_that_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", "/does/not/exist.py", raising=False)
    monkeypatch.setattr(main, "__spec__", None)
    with LocalExecutor(1, 1) as executor:
        assert executor.submit(os.getpid).result(timeout=120) != os.getpid()
    assert sys.modules["__main__"] is main
