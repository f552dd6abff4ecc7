"""Executors: what carries out many runs, on the processes of this machine, and what happens when one of them dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ..report import place
from .machine import cores, prepare_worker
from .run import Run
from .store import StudyFolder
from .worker import carry_out


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
        share = max(1, cores() // jobs)
        super().__init__(jobs, context, initializer=prepare_worker, initargs=(threads, share, os.getpid()))

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


class Standing:
    """Lends one executor again and again, so that its workers keep what they have loaded; a broken one is replaced."""

    def __init__(self, make_executor: Callable[[], Executor]) -> None:
        self._make = make_executor
        self._executor: Executor | None = None

    @contextmanager
    def lent(self) -> Iterator[Executor]:
        """The executor, for as long as the block takes; whoever breaks it off ends it."""
        if self._executor is None:
            self._executor = self._make()
        try:
            yield self._executor
        except BaseException:
            self._executor = None
            raise
        try:
            self._executor.submit(int)
        except BrokenProcessPool:
            self._executor = None

    def end(self) -> None:
        """Let its workers go."""
        if self._executor is not None:
            self._executor.shutdown()


def carry_out_all(
    runs: Sequence[Run],
    study: StudyFolder,
    sources: Sequence[str],
    make_executor: Callable[[], AbstractContextManager[Executor]],
    watch: Callable[[dict[Run, str]], None],
    epochs: int = 0,
    timeout: float | None = None,
) -> list[str]:
    """Carry out all runs; `watch` is told every half second which are open, done or failed.

    `epochs`: of the common fine-tuning of their fronts; `timeout`: seconds that a search may take. Returns one line per
    failed run. A worker that dies takes
    its executor along, so the runs that it interrupted are tried again, each alone in an executor of its own: only the
    one that dies there too has failed.
    """
    failures: list[str] = []
    left = list(runs)
    while left:
        lost = _carry_out(left, study, sources, make_executor, watch, failures, epochs, timeout)
        suspects = [run for run in lost if run.folder(study).journal.exists()] or lost[:1]
        for run in suspects:
            if _carry_out([run], study, sources, make_executor, watch, failures, epochs, timeout):
                failures.append(_failure(run, runs, "its worker process died (out of memory?); the journal is kept"))
                watch({run: "failed"})
        left = [run for run in lost if run not in suspects]
    return failures


def _carry_out(
    runs: Sequence[Run],
    study: StudyFolder,
    sources: Sequence[str],
    make_executor: Callable[[], AbstractContextManager[Executor]],
    watch: Callable[[dict[Run, str]], None],
    failures: list[str],
    epochs: int,
    timeout: float | None,
) -> list[Run]:
    """Carry out some runs in one executor; returns those that were lost with a worker."""
    lost: list[Run] = []
    waiting: dict[Future[dict[str, Any]], Run] = {}
    with make_executor() as executor:
        try:
            for run in runs:
                try:
                    waiting[executor.submit(carry_out, run, study.path, sources, epochs, timeout)] = run
                except BrokenProcessPool:  # an earlier run has killed its worker already
                    lost.append(run)
            while waiting:
                done, _ = wait(waiting, timeout=0.5)
                states = dict.fromkeys(waiting.values(), "open")
                for future in done:
                    run = waiting.pop(future)
                    error = future.exception()
                    if isinstance(error, BrokenProcessPool):
                        lost.append(run)
                        continue
                    result = _failed(error) if error else future.result()
                    states[run] = result["status"]
                    failures += [_failure(run, runs, result["reason"])] if result["status"] == "failed" else []
                watch(states)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
    return lost


def _failed(error: BaseException) -> dict[str, Any]:
    """The result of a run that was left by what is no error: some plugin's own exit."""
    return {"status": "failed", "reason": f"{type(error).__name__}: {error}"}


def fail(run: Run, study: StudyFolder, runs: Sequence[Run], reason: str) -> str:
    """Write down that a run has failed before it began; returns its line."""
    run.folder(study).fail(reason)
    return _failure(run, runs, reason)


def _failure(run: Run, runs: Sequence[Run], reason: str) -> str:
    return f"{run.method} on {place(run, runs)}: {reason}"
