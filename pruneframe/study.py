"""Studies: problems x methods x seeds become runs; executors carry them out."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

from .engine import search_precision
from .errors import Declined
from .journal import Shelf
from .method import Method
from .problem import LoadedProblem
from .registry import Registry
from .run import Run, carry_out, prepare_worker
from .store import StudyFolder
from .suitability import check, check_budget, target_of
from .workbench import DENSE, Workbench


@dataclass(frozen=True)
class Plan:
    """The runs that a command means, in the order in which they are carried out."""

    runs: tuple[Run, ...]
    problems: tuple[LoadedProblem, ...]
    measured: bool  # whether anything is measured on a device, so that runs would be in each other's way


def plan(
    registry: Registry,
    methods: Sequence[str],
    problems: Sequence[str],
    seeds: Sequence[int],
    settings: dict[str, Any],
    device: str,
    threads: int,
    report: Callable[[str], None],
) -> Plan:
    """Load every problem, ask every method whether it can run on it, and name the runs; writes nothing to a study.

    Raises InputError, Declined among them, for whatever would make a run fail from the start.
    """
    chosen = [cast(Method, registry.component("method", spec)) for spec in methods]
    named = [registry.problem(name).with_settings(**settings) for name in problems]
    for problem in named:
        target_of(registry, problem)
    loaded = [problem.load(report) for problem in named]
    for one in loaded:
        check_budget(one, target_of(registry, one.problem))
        for method in chosen:
            try:
                check(registry, one, method)
            except Declined as error:
                raise Declined(f"method {method!r} declines {one.problem.name!r}: {error}") from error
    runs = [_run(registry, one, method, seed, device, threads) for one, seed, method in product(loaded, seeds, chosen)]
    targets = [target_of(registry, problem) for problem in named]
    measured = any(target is not None and target.measured for target in targets)
    return Plan(tuple(dict.fromkeys(runs)), tuple(loaded), measured)


def _run(registry: Registry, loaded: LoadedProblem, method: Method, seed: int, device: str, threads: int) -> Run:
    problem = loaded.problem
    target = target_of(registry, problem)
    return Run(
        problem=problem.name,
        method=repr(method),
        seed=seed,
        budget=float(problem.budget),
        units=problem.units,
        batch_norm=problem.batch_norm,
        search_images=len(loaded.search),
        objectives=problem.objectives,
        device=device,
        threads=threads,
        fingerprint=loaded.fingerprint,
        versions=tuple(registry.versions_behind(problem, method).items()),
        dtype=search_precision(device),
        target="" if target is None else repr(target.device),
        target_identity="" if target is None else target.device.identity,
    )


def seconds_per_unit(loaded: LoadedProblem, device: str, sample: int = 200) -> float:
    """An estimate of how long one unit takes, from one timed pass over a few images."""
    bench = Workbench(loaded, device, Shelf(None))
    images = bench.subset("search", sample)
    masks = loaded.network.layout.full()
    for _ in range(2):  # the first pass warms up
        start = time.perf_counter()
        list(bench.candidates(masks, [DENSE], images))
        seconds = time.perf_counter() - start
    return seconds * len(loaded.search) / len(images.labels)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put an interrupt off until the block ends; processes that begin in it inherit that they are never interrupted.

    A terminal interrupts the whole group, but what it means is decided by the parent alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited; another thread may still be hit
    handler = signal.signal(signal.SIGINT, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if arrived and callable(handler):  # not where interrupts are ignored
        raise KeyboardInterrupt


class LocalExecutor(ProcessPoolExecutor):
    """Worker processes on this machine, started afresh so that no thread or lock is inherited.

    Cancelling ends the runs that are under way, too: their journals know how to go on.
    """

    def __init__(self, jobs: int, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        super().__init__(jobs, context, initializer=prepare_worker, initargs=(threads, os.getpid()))

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any executor's."""
        with _uninterrupted():  # it may start a worker
            future = super().submit(fn, *args, **kwargs)
            with self._shutdown_lock:  # CPython wakes its manager before it starts a worker, which then goes unwatched
                self._executor_manager_thread_wakeup.wakeup()
            return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As any executor's."""
        if cancel_futures:
            for worker in list((self._processes or {}).values()):
                worker.kill()
        super().shutdown(wait, cancel_futures=cancel_futures)


def carry_out_all(
    runs: Sequence[Run],
    study: StudyFolder,
    sources: Sequence[str],
    make_executor: Callable[[], Executor],
    watch: Callable[[dict[Run, str]], None],
    epochs: int = 0,
) -> list[str]:
    """Carry out all runs; `watch` is told every half second which are open, done or failed.

    `epochs`: of the common fine-tuning of their fronts. Returns one line per failed run. A worker that dies takes
    its executor along, so the runs that it interrupted are tried again, each alone in an executor of its own: only the
    one that dies there too has failed.
    """
    failures: list[str] = []
    left = list(runs)
    while left:
        lost = _carry_out(left, study, sources, make_executor, watch, failures, epochs)
        suspects = [run for run in lost if run.folder(study).journal.exists()] or lost[:1]
        for run in suspects:
            if _carry_out([run], study, sources, make_executor, watch, failures, epochs):
                failures.append(_failure(run, "its worker process died (out of memory?); the journal is kept"))
                watch({run: "failed"})
        left = [run for run in lost if run not in suspects]
    return failures


def _carry_out(
    runs: Sequence[Run],
    study: StudyFolder,
    sources: Sequence[str],
    make_executor: Callable[[], Executor],
    watch: Callable[[dict[Run, str]], None],
    failures: list[str],
    epochs: int,
) -> list[Run]:
    """Carry out some runs in one executor; returns those that were lost with a worker."""
    lost: list[Run] = []
    waiting: dict[Future[dict[str, Any]], Run] = {}
    with make_executor() as executor:
        try:
            for run in runs:
                try:
                    waiting[executor.submit(carry_out, run, study.path, sources, epochs)] = run
                except BrokenProcessPool:  # an earlier run has killed its worker already
                    lost.append(run)
            while waiting:
                done, _ = wait(waiting, timeout=0.5)
                states = dict.fromkeys(waiting.values(), "open")
                for future in done:
                    run = waiting.pop(future)
                    if isinstance(future.exception(), BrokenProcessPool):
                        lost.append(run)
                        continue
                    result = future.result()
                    states[run] = result["status"]
                    failures += [_failure(run, result["reason"])] if result["status"] == "failed" else []
                watch(states)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
    return lost


def _failure(run: Run, reason: str) -> str:
    return f"{run.method} on {run.problem}, seed {run.seed}: {reason}"
