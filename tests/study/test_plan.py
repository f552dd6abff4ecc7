"""Plans: what a command means, and what is refused before anything is written."""

from __future__ import annotations

import math
from typing import Any

import pytest
from runs import planned

from pruneframe.errors import InputError
from pruneframe.study import plan
from pruneframe.study.plan import WORKER, most_jobs, seconds_per_pass


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
    assert {run.instance for run in runs} == {0}


def test_instances_are_networks_and_splits_of_their_own_under_the_same_rules() -> None:
    found = planned(["random", "magnitude"], seeds=[0, 1], instances=[2, 0])
    assert [(run.instance, run.seed, run.method) for run in found.runs] == [
        (instance, seed, method) for instance in (2, 0) for seed in (0, 1) for method in ("random", "magnitude")
    ]
    assert len({run.board for run in found.runs}) == 1
    assert len({run.fingerprint for run in found.runs}) == 2
    assert set(found.runs) > set(planned(["random", "magnitude"], seeds=[0, 1]).runs)
    assert [one.problem.called for one in found.problems] == ["lenet-digits, instance 2"]


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
        ({"objectives": ("error", "latency")}, ["'latency'", "taken out", "filter", "weight"]),
        ({"units": "kernel"}, ["unit", "'kernel'", "weight", "filter"]),
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


def test_an_estimate_of_the_time_is_positive() -> None:
    assert seconds_per_pass(planned(["random"]).problems[0], "cpu", "float32") > 0


@pytest.mark.parametrize(
    ("cores", "threads", "memory", "jobs"),
    [(8, 1, 64e9, 4), (3, 1, 64e9, 3), (8, 3, 64e9, 2), (2, 4, 64e9, 1), (8, 1, 5 * WORKER, 2), (8, 1, 1e6, 1)],
)
def test_runs_fill_the_cores_and_half_the_memory(
    cores: int, threads: int, memory: float, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "cores", lambda: cores)
    monkeypatch.setattr(plan, "memory", lambda: int(memory))
    assert most_jobs(planned(["random", "magnitude"], seeds=[0, 1]), threads) == jobs


def test_where_something_is_measured_runs_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "cores", lambda: 8)
    timed = {"units": "filter", "objectives": ("error", "latency"), "budget": 40.0}
    assert most_jobs(planned(["random"], seeds=[0, 1], **timed), 1) == 1


def test_a_run_has_the_threads_that_are_named_however_many_runs_there_are() -> None:
    alone, more = planned(["random"]), planned(["random", "magnitude"], seeds=range(5))
    assert set(alone.runs) < set(more.runs)
