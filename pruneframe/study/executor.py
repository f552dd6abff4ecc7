"""Executors: what carries out many runs, on the processes of this machine, and what happens when one of them dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ..errors import Damaged, RunsFailed
from ..plugin import HOME
from ..problem import Problem
from ..report import place
from .machine import cores, prepare_worker
from .run import Run
from .store import StudyFolder
from .terms import ONCE, Terms
from .worker import carry_out_named


@contextmanager
def uninterrupted() -> Iterator[None]:
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
        handler(signal.SIGINT, None)


@contextmanager
def _nameless() -> Iterator[None]:
    """Workers are told by name what to do: they never run the script, which has asked for them, a second time."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


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
        with uninterrupted(), _nameless():  # it may start a worker
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


class InPlace(Executor):
    """This process: what is submitted is carried out at once, and an interrupt passes through."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any executor's, but what it returns has its result."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


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
    sources: Sequence[str | Problem],
    make_executor: Callable[[], AbstractContextManager[Executor]],
    watch: Callable[[dict[Run, str]], None],
    terms: Terms = ONCE,
) -> list[str]:
    """Carry out all runs; `watch` is told every half second which are open, done or failed.

    Runs that fail are carried out again, when all others have ended, as often as the terms say. Returns one line per
    run that has failed in the end.
    """
    batch = _Batch(study, sources, make_executor, watch, terms)
    reasons: dict[Run, str] = {}
    for tries in range(1, terms.retries + 2):
        reasons = batch.carry_out(list(reasons) or runs, last=tries == terms.retries + 1)
        if not reasons:
            break
    tried = f" (tried {terms.retries + 1} times)" if terms.retries else ""
    return [f"{run.method} on {place(run, runs)}: {reason}{tried}" for run, reason in reasons.items()]


@dataclass(frozen=True)
class _Batch:
    """Runs of a study that are carried out together."""

    study: StudyFolder
    sources: Sequence[str | Problem]
    make_executor: Callable[[], AbstractContextManager[Executor]]
    watch: Callable[[dict[Run, str]], None]
    terms: Terms

    def carry_out(self, runs: Sequence[Run], last: bool) -> dict[Run, str]:
        """Carry out runs once, for the last time or not; returns why some have failed.

        A worker that dies takes its executor along, so the runs that it interrupted are tried again, each alone in an
        executor of its own: only the one that dies there too has failed.
        """
        reasons: dict[Run, str] = {}
        left = list(runs)
        while left:
            lost = self._carry_out(left, reasons, last)
            suspects = [run for run in lost if run.folder(self.study).journal.exists()] or lost[:1]
            for run in suspects:
                if self._carry_out([run], reasons, last):
                    reasons[run] = _died(run)
                    fail(run, self.study, reasons[run])
                    self.watch({run: "failed" if last else "open"})
            left = [run for run in lost if run not in suspects]
        return reasons

    def _carry_out(self, runs: Sequence[Run], reasons: dict[Run, str], last: bool) -> list[Run]:
        """Carry out some runs in one executor; returns those that were lost with a worker."""
        lost: list[Run] = []
        waiting: dict[Future[dict[str, Any]], Run] = {}
        with self.make_executor() as executor:
            try:
                for run in runs:
                    try:
                        waiting[self._submit(run, executor)] = run
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
                        if isinstance(error, RunsFailed):  # nothing of the run's: there is nobody to carry it out
                            raise error
                        result = _failed(error) if error else future.result()
                        states[run] = result["status"]
                        if result["status"] == "failed":
                            reasons[run] = result["reason"]
                            fail(run, self.study, result["reason"])
                            states[run] = "failed" if last else "open"
                    self.watch(states)
            except BaseException:
                executor.shutdown(cancel_futures=True)
                raise
        return lost

    def _submit(self, run: Run, executor: Executor) -> Future[dict[str, Any]]:
        terms = self.terms.epochs, self.terms.timeout
        return executor.submit(carry_out_named, run.identity, str(self.study.path), self.sources, *terms)


def _died(run: Run) -> str:
    """Why a run has no result; nobody knows which of its plugins ended the process, where it was one."""
    outside = " or ".join(f"plugin {name} {version}" for name, version in run.versions if name != HOME)
    cause = f"out of memory, or ended by {outside}?" if outside else "out of memory?"
    return f"its worker process died ({cause}); the journal is kept"


def _failed(error: BaseException) -> dict[str, Any]:
    """The result of a run that was left by what is no error: some plugin's own exit."""
    return {"status": "failed", "reason": f"{type(error).__name__}: {error}"}


def fail(run: Run, study: StudyFolder, reason: str) -> None:
    """Write down that a run has failed where its worker could not."""
    folder = run.folder(study)
    with contextlib.suppress(OSError, Damaged):  # a full disk, or no folder of the study's: it is told all the same
        folder.check_plain()
        if not folder.finished:  # else its fine-tuning has failed, and its front stands
            folder.fail(reason, run.identity)
