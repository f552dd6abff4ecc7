"""Studies: what a command means, what is refused before anything is written, and how runs are carried out."""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruneframe.errors import Declined, InputError
from pruneframe.readout import summaries
from pruneframe.registry import Registry
from pruneframe.run import Run
from pruneframe.store import StudyFolder
from pruneframe.study import LocalExecutor, Plan, carry_out_all, plan, seconds_per_unit

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

@pf.hookimpl
def pruneframe_methods():
    return [Dies, Raises]
'''


def planned(
    methods: Sequence[str],
    seeds: Sequence[int] = (0,),
    problems: Sequence[str] = ("lenet-digits",),
    sources: tuple[str, ...] = (),
    **settings: Any,
) -> Plan:
    settings = {"budget": 20.0, "search_images": 100} | settings
    return plan(Registry(sources), methods, problems, seeds, settings, "cpu", 1, lambda line: None)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "plugin.py"
    file.write_text(PLUGIN)
    return file


def carried_out(
    runs: Sequence[Run],
    folder: Path,
    sources: tuple[str, ...] = (),
    executor: Callable[[], Executor] = lambda: ThreadPoolExecutor(1),
    watch: Callable[[dict[Run, str]], None] = lambda states: None,
) -> list[str]:
    return carry_out_all(runs, StudyFolder(folder), sources, executor, watch)


def test_a_plan_is_the_grid_of_problems_methods_and_seeds() -> None:
    runs = planned(["random", "nsga2[population=6]"], seeds=[3, 1]).runs
    assert [(run.problem, run.method, run.seed) for run in runs] == [
        ("lenet-digits", "random", 3),
        ("lenet-digits", "nsga2[population=6]", 3),
        ("lenet-digits", "random", 1),
        ("lenet-digits", "nsga2[population=6]", 1),
    ]
    assert {run.budget for run in runs} == {20.0}
    assert {run.search_images for run in runs} == {100}
    assert len({run.board for run in runs}) == 1


def test_what_is_named_twice_is_run_once() -> None:
    runs = planned(["random", "nsga2[population=none]", "nsga2", "random"], seeds=[0, 0]).runs
    assert [run.method for run in runs] == ["random", "nsga2"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ["randm"]}, ["randm", "'random'"]),
        ({"methods": ["random[scorer=magnitud]"]}, ["magnitud", "'magnitude'"]),
        ({"methods": ["nsga2[encoding=maks]"]}, ["maks", "'mask'"]),
        ({"methods": ["nsga2[variation=unifrm+bit-flip]"]}, ["unifrm", "'uniform'"]),
        ({"methods": ["nsga2[popluation=4]"]}, ["popluation", "'population'"]),
        ({"methods": ["nsga2[population=many]"]}, ["population", "'many'"]),
        ({"methods": ["nsga2[population=1]"]}, ["population", "1"]),
        ({"methods": ["platypus[algorithm=NSGAIV]"]}, ["NSGAIV", "NSGAII"]),
        ({"methods": ["random["]}, ["random[", "name[setting=value,...]"]),
        ({"problems": ["lenet-digit"]}, ["lenet-digit", "'lenet-digits'"]),
        ({"objectives": ("error", "parms")}, ["parms", "'params'"]),
        ({"objectives": ("error", "error")}, ["distinct"]),
        ({"objectives": ()}, ["at least one"]),
        ({"units": "kernel"}, ["units", "weight", "filter"]),
        ({"batch_norm": "moved"}, ["batch_norm", "frozen", "shifted"]),
        ({"search_images": 361}, ["360", "361"]),
        ({"search_images": 0}, ["search_images", "0"]),
        ({"search_images": -1}, ["search_images", "-1"]),
        ({"budget": 0.0}, ["budget", "0"]),
        ({"budget": -5.0}, ["budget", "-5"]),
        ({"budget": 1.99}, ["budget", "2", "1.99"]),
        ({"budget": math.nan}, ["budget", "nan"]),
        ({"budget": math.inf}, ["budget", "inf"]),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_rule_and_the_value(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        planned(**{"methods": ["random"]} | changes)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scorer", ["bn-scale", "fpgm"])
def test_a_scorer_that_cannot_score_the_units_is_refused_before_it_runs(scorer: str) -> None:
    with pytest.raises(InputError, match=scorer):
        planned([f"magnitude[scorer={scorer}]"])


@pytest.mark.parametrize("method", ["nsga2[variation=sbx-pm]", "moead[encoding=layer-ratio,variation=bit-flip]"])
def test_a_variation_of_another_kind_of_variables_is_refused_before_it_runs(method: str) -> None:
    with pytest.raises(InputError, match=r"sbx-pm|bit-flip"):
        planned([method])


def test_a_method_declines_before_anything_runs() -> None:
    with pytest.raises(Declined, match=r"GDE3.*encoding=layer-threshold"):
        planned(["random", "platypus[algorithm=GDE3,encoding=mask]"])


@pytest.mark.parametrize("method", ["nsga2[scorer=taylor]", "magnitude[scorer=snip]", "random[scorer=fisher]"])
def test_a_budget_that_scores_alone_use_up_is_refused(method: str) -> None:
    # 1,000 training images forward and backward are 30 passes over 100 search images
    with pytest.raises(InputError, match="budget"):
        planned([method], budget=20.0)


def test_the_price_of_shifted_statistics_counts_in_the_least_budget(tmp_path: Path) -> None:
    source = tmp_path / "tiny.py"
    source.write_text(
        "import pruneframe as pf\nfrom pruneframe.testing import tiny_problem\n"
        "@pf.hookimpl\ndef pruneframe_problems():\n    return [tiny_problem()]\n"
    )
    board = {"problems": ["tiny"], "sources": (str(source),), "search_images": 40, "batch_norm": "shifted"}
    # 60 training images move the statistics: an evaluation is 1 + 60/40 passes
    assert planned(["random"], budget=5.0, **board).problems[0].price == 2.5
    with pytest.raises(InputError, match=r"budget >= 5"):
        planned(["random"], budget=4.9, **board)


def test_an_estimate_of_the_time_is_positive() -> None:
    assert seconds_per_unit(planned(["random"]).problems[0], "cpu") > 0


def test_two_jobs_find_what_one_job_finds(tmp_path: Path) -> None:
    runs = planned(["nsga2", "platypus"], seeds=[0, 1], budget=40.0).runs
    assert carried_out(runs, tmp_path / "one") == []
    assert carried_out(runs, tmp_path / "two", executor=lambda: LocalExecutor(2, 1)) == []
    for run in runs:
        one, two = (run.folder(StudyFolder(tmp_path / name)).front() for name in ("one", "two"))
        assert one.keys() == two.keys()
        assert all(np.array_equal(one[name], two[name]) for name in one)


def test_one_failure_is_reported_and_the_others_are_done(tmp_path: Path, plugin: Path) -> None:
    sources = (str(plugin),)
    runs = planned(["random", "raises", "magnitude"], sources=sources).runs
    (failure,) = carried_out(runs, tmp_path / "study", sources)
    assert failure == "raises on lenet-digits, seed 0: RuntimeError: on purpose"
    found = {run["method"]: run["status"] for run in summaries(StudyFolder(tmp_path / "study"))}
    assert found == {"random": "done", "raises": "failed", "magnitude": "done"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_worker_that_dies_is_reported_and_the_others_are_done(jobs: int, tmp_path: Path, plugin: Path) -> None:
    sources = (str(plugin),)
    runs = planned(["random", "dies", "magnitude", "nsga2"], sources=sources).runs
    failures = carried_out(runs, tmp_path / "study", sources, lambda: LocalExecutor(jobs, 1))
    assert [failure for failure in failures if failure.startswith("dies on lenet-digits, seed 0: ")] == failures
    assert len(failures) == 1
    found = {run["method"]: run["status"] for run in summaries(StudyFolder(tmp_path / "study"))}
    assert found.pop("dies") in ("partial", "failed")
    assert found == {"random": "done", "magnitude": "done", "nsga2": "done"}


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


def test_whoever_watches_is_told_how_every_run_ended(tmp_path: Path, plugin: Path) -> None:
    sources = (str(plugin),)
    runs = planned(["random", "raises"], sources=sources).runs
    told: dict[Run, list[str]] = {run: [] for run in runs}

    def watch(states: dict[Run, str]) -> None:
        for run, state in states.items():
            told[run].append(state)

    carried_out(runs, tmp_path / "study", sources, watch=watch)
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
