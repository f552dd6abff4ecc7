"""Runs over Dask, by a real scheduler and workers: some are killed, some join late, and every run is there once."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import PATIENCE, wait_for
from runs import assert_same_front, planned

from pruneframe.errors import InputError
from pruneframe.study import clerk as clerk_module
from pruneframe.study import cluster as cluster_module
from pruneframe.study.clerk import Clerk, ClerkDied, Unwanted
from pruneframe.study.cluster import DaskExecutor, check_cluster, connected, size_of
from pruneframe.study.executor import carry_out_all
from pruneframe.study.machine import versions
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.terms import Terms
from pruneframe.study.worker import carry_out

distributed = pytest.importorskip("distributed", reason="needs the extra dask")
PLUGIN = '''
import os, time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pruneframe as pf

@dataclass(frozen=True, repr=False)
class Paced(pf.Method):
    """Random masks; tells which worker carries it out, and goes on after three when it may."""
    name = "paced"
    def search(self, task):
        print(os.getppid())
        encoding, scores = task.encoding("mask"), task.scores("magnitude")
        genomes = encoding.sample(8, task.layout, scores, task.rng)
        for number in range(8):
            task.evaluate(encoding.decode(genomes[[number]], task.layout, scores))
            while number == 3 and not Path("RELEASE").exists():
                time.sleep(0.01)

@pf.hookimpl
def pruneframe_methods():
    return [Paced]
'''


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Where it exists, runs go on."""
    return tmp_path / "release"


@pytest.fixture
def plugin(tmp_path: Path, release: Path) -> str:
    path = tmp_path / "paced.py"
    path.write_text(PLUGIN.replace("RELEASE", str(release)))
    return str(path)


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A study that has begun, as a command leaves it."""
    found = StudyFolder(tmp_path / "study")
    found.prepare({}, {})
    return found


@contextlib.contextmanager
def workers(number: int) -> Iterator[Any]:
    """A scheduler with so many workers, whose processes nannies start again when they die."""
    quiet = {"silence_logs": logging.CRITICAL, "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=number, threads_per_worker=1, **quiet) as cluster:
        yield cluster


def pids(client: Any) -> list[int]:
    """Of all workers that answer."""
    return [pid for pid in client.run(os.getpid, on_error="ignore").values() if isinstance(pid, int)]


def check_same_as_serial(runs: tuple[Run, ...], study: StudyFolder, plugin: str, serial: Path) -> None:
    """Every run is done, and its front is the one of a serial study to the bit."""
    for run in runs:
        assert carry_out(run, serial, (plugin,))["status"] == "done"
        assert_same_front(run.folder(study), run.folder(StudyFolder(serial)))


@pytest.mark.timeout(300)
def test_a_worker_is_killed_and_one_joins_late_and_every_run_is_there_once(
    study: StudyFolder, plugin: str, release: Path, tmp_path: Path
) -> None:
    runs = planned(["paced"], seeds=range(5), sources=[plugin]).runs
    killed: list[int] = []
    with workers(1) as cluster, connected(cluster.scheduler_address) as client:

        def watch(states: dict[Run, str]) -> None:
            begun = [run for run in runs if len(_answers(run, study)) >= 4]
            if begun and not killed:
                killed.extend(pids(client))
                cluster.scale(2)
                os.kill(killed[0], signal.SIGKILL)
            elif killed and len([pid for pid in pids(client) if pid not in killed]) == 2:
                release.touch()

        failures = carry_out_all(
            runs, study, (plugin,), lambda: DaskExecutor(client, study, 1, versions()), watch, Terms()
        )
    assert failures == []
    carriers = [run.folder(study).log.read_text().split() for run in runs]
    assert sorted(map(len, carriers)) == [1, 1, 1, 1, 2]  # the one that was begun when its worker died was gone on with
    assert [by for by in carriers if str(killed[0]) in by] == [by for by in carriers if len(by) == 2]
    assert len({pid for by in carriers for pid in by}) == 3  # the new one and the late one had their shares
    assert len(done(study)) == 5
    check_same_as_serial(runs, study, plugin, tmp_path / "serial")


def _answers(run: Run, study: StudyFolder) -> list[Any]:
    with contextlib.suppress(InputError):  # a line that is being written
        return list(run.folder(study).answers())
    return []


@pytest.mark.slow("minutes")
@pytest.mark.timeout(1800)
def test_a_hundred_runs_are_there_once_whatever_is_killed(
    study: StudyFolder, plugin: str, release: Path, tmp_path: Path
) -> None:
    release.touch()
    runs = planned(["paced", "random"], seeds=range(50), sources=[plugin]).runs
    rng, kills, due = random.Random(0), 0, 3
    with workers(3) as cluster, connected(cluster.scheduler_address) as client:

        def watch(states: dict[Run, str]) -> None:
            """Kill one of the workers whenever some more runs are done."""
            nonlocal kills, due
            if len(done(study)) >= due and (known := pids(client)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(known), signal.SIGKILL)
                    kills, due = kills + 1, len(done(study)) + rng.randint(5, 14)

        failures = carry_out_all(
            runs, study, (plugin,), lambda: DaskExecutor(client, study, 1, versions()), watch, Terms(retries=3)
        )
    print(f"{len(done(study))} runs, {kills} kills")
    assert kills >= 5
    assert failures == []
    assert len(done(study)) == len(runs) == 100
    check_same_as_serial(runs, study, plugin, tmp_path / "serial")


@pytest.mark.timeout(300)
def test_a_result_that_is_lost_with_its_worker_comes_again(study: StudyFolder) -> None:
    late = threading.Event()
    with workers(1) as cluster, connected(cluster.scheduler_address) as client:
        first = client.submit(int)
        first.add_done_callback(lambda sent: late.wait())  # callbacks share one thread
        executor = DaskExecutor(client, study, 1, versions())
        future = executor.submit(versions)
        [sent] = executor._sent
        wait_for(lambda: sent.status == "finished", "the result")
        os.kill(pids(client)[0], signal.SIGKILL)
        wait_for(lambda: sent.status != "finished", "its loss")
        late.set()
        assert future.result(PATIENCE) == versions()


def done(study: StudyFolder) -> list[Path]:
    """What marks the runs that have ended well."""
    return [*study.path.glob("runs/*/*/*/run.json")]


def errand(study: StudyFolder, call: str, *arguments: Any, **others: str) -> dict[str, Any]:
    return {"call": call, "arguments": arguments, "study": str(study.path), "versions": others}


@pytest.mark.timeout(120)
def test_a_clerk_ends_when_nobody_waits_and_its_death_is_told(study: StudyFolder) -> None:
    clerk = Clerk(1, {})
    with pytest.raises(Unwanted):
        clerk.call(errand(study, "time:sleep", 600), lambda: False)
    assert not clerk.living
    clerk = Clerk(1, {"PRUNEFRAME_TOLD": "so"})
    assert clerk.call(errand(study, "os:getenv", "PRUNEFRAME_TOLD"), lambda: True) == "so"
    with pytest.raises(ClerkDied, match="ended with 9"):
        clerk.call(errand(study, "os:_exit", 9), lambda: True)
    assert not clerk.living


def test_a_worker_elsewhere_must_see_the_study_and_have_the_same_versions(study: StudyFolder, tmp_path: Path) -> None:
    answer = clerk_module._answer
    assert answer(errand(study, "os:getpid", **versions())) == os.getpid()
    told = answer(errand(study, "os:getpid", torch="0.1"))
    assert told["status"] == "failed"
    assert "must have torch 0.1" in told["reason"]
    told = answer(errand(StudyFolder(tmp_path / "elsewhere"), "os:getpid"))
    assert "must see the study" in told["reason"]


@pytest.mark.parametrize("where", ["local", "local:0", "local:two", "local:-1"])
def test_what_names_no_cluster_is_refused(where: str) -> None:
    with pytest.raises(InputError, match="must name 1 to 9999 workers"):
        check_cluster(where)


def test_a_cluster_here_has_a_size_and_others_have_none() -> None:
    assert (size_of("local:3"), size_of("tcp://10.0.0.1:8786")) == (3, None)


def test_without_dask_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install pruneframe\[dask\]"):
        check_cluster("local:2")


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "PATIENCE", 0.5)
    nowhere = "tcp://127.0.0.1:9"
    with pytest.raises(InputError, match=f"a scheduler that answers, but got '{nowhere}'"), connected(nowhere):
        pass
