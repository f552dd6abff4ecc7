"""Where the wall time of `pruneframe bench` goes, and how much memory it needs.

    python benchmarks/profile_bench.py [--problem resnet56-cifar10] [--methods 'nsga2[preset=textbook]']
                                       [--budget 100] [--json]

The command itself runs in this process, its runs one after the other, in a temporary folder, while timers stand around
the functions of each part. What one part calls is its own time, so that the shares add up to 1. `evaluator` answers the
search; `evaluator, final` measures the final front once more, on the search and the test images. `method` is the search
without all that it asks for: selection, variation, decoding, digests, the archive. A real command also starts Python,
imports torch and the plugins, and does so again in every worker process, whose memory is apart from its own.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import cached_property
from typing import Any

import click
from memory import peak_mb

from pruneframe.cli import bench, options
from pruneframe.method import Method
from pruneframe.problem import LoadedProblem
from pruneframe.registry import Registry
from pruneframe.search.journal import Journal
from pruneframe.search.shelf import Shelf
from pruneframe.search.subnetwork import SubNetwork
from pruneframe.search.workbench import Workbench
from pruneframe.spec import names
from pruneframe.study import executor, plan, worker
from pruneframe.study.folder import RunFolder
from pruneframe.study.store import StudyFolder

METHOD, REST = "method", "rest"
PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "loading": (
        (plan, "plan"),
        (worker, "_loaded"),
        (LoadedProblem, "fingerprint"),
        (Workbench, "__init__"),
        (Workbench, "images"),
        (Workbench, "dense"),
    ),
    "evaluator": ((Workbench, "measure"), (SubNetwork, "error")),
    "scores and training": (
        (Workbench, "score"),
        (Workbench, "train"),
        (SubNetwork, "fit_head"),
        (SubNetwork, "fit"),
    ),
    "journal": ((Journal, "__init__"), (Journal, "write"), (Journal, "__exit__"), (Shelf, "put")),
    "evaluator, final": ((worker, "measure_members"),),
    "results": ((StudyFolder, "prepare"), (RunFolder, "begin"), (RunFolder, "finish")),
    "report": ((bench, "conclude"),),
}


class Stopwatch:
    """The seconds of each part; `rest` when none is running."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys([*PARTS, METHOD, REST], 0.0)
        self._running = REST
        self._since = time.perf_counter()

    def switch(self, part: str) -> str:
        """From now on time is this part's; returns whose it was."""
        now = time.perf_counter()
        self.seconds[self._running] += now - self._since
        before, self._running, self._since = self._running, part, now
        return before

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """The block is this part's, unless it is a piece of another part."""
        if self._running not in (METHOD, REST):
            yield
            return
        before = self.switch(part)
        try:
            yield
        finally:
            self.switch(before)

    def around(self, part: str, function: Any) -> Any:
        """The same function, method, generator or cached property, timed."""
        if isinstance(function, cached_property):
            timed = cached_property(self.around(part, function.func))
            timed.__set_name__(object, str(function.attrname))
            return timed

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.time(part):
                found = function(*args, **kwargs)
            return self._each(part, found) if inspect.isgenerator(found) else found

        return call

    def _each(self, part: str, items: Iterator[Any]) -> Iterator[Any]:
        """The items, each computed on this part's time."""
        nothing = object()
        while True:
            with self.time(part):
                item = next(items, nothing)
            if item is nothing:
                return
            yield item


class OneByOne(Executor):
    """Runs what is submitted at once, in this process."""

    def __init__(self, jobs: int, threads: int) -> None:
        pass

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any executor's."""
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@contextmanager
def replaced(owner: Any, name: str, replace: Callable[[Any], Any]) -> Iterator[None]:
    """An attribute of a class or module, replaced in the block by what `replace` makes of it."""
    before = vars(owner)[name]
    setattr(owner, name, replace(before))
    try:
        yield
    finally:
        setattr(owner, name, before)


def searches(methods: str) -> set[tuple[type, str]]:
    """The classes whose `search` the methods run, with the name of that attribute."""
    registry = Registry()
    kinds = [type(registry.component(Method, spec)) for spec in names([methods])]
    return {(next(owner for owner in kind.__mro__ if "search" in vars(owner)), "search") for kind in kinds}


def profile(methods: str, arguments: list[str]) -> dict[str, float]:
    """Seconds of each part while the command runs with these arguments; its own output goes to standard error."""
    parts = {**PARTS, METHOD: tuple(searches(methods))}
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(sys.stderr))
        output = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(replaced(executor, "LocalExecutor", lambda local: OneByOne))
        stopwatch = Stopwatch()
        for part, functions in parts.items():
            for owner, name in functions:
                stack.enter_context(replaced(owner, name, functools.partial(stopwatch.around, part)))
        command = ["--methods", methods, "--output", output, *arguments]
        failed = bench.command.main(command, "pruneframe bench", standalone_mode=False)
        stopwatch.switch(REST)
    if failed:
        sys.exit(failed)
    return stopwatch.seconds


@click.command()
@click.option("--problem", default="resnet56-cifar10", show_default=True, help="One problem.")
@click.option("--methods", default="nsga2[preset=textbook]", show_default=True, help="Methods, separated by commas.")
@click.option("--budget", default=100.0, show_default=True, help="Passes per run.")
@click.option("--seed", default=0, show_default=True, help="Which repetition.")
@click.option("--threads", default=1, show_default=True, help="Threads of the evaluator.")
@options.data
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(problem: str, methods: str, budget: float, seed: int, threads: int, as_json: bool) -> None:
    """Print one row per part, and the peak of memory."""
    chosen = {"problems": problem, "budget": budget, "seeds": seed, "threads": threads}
    seconds = profile(methods, [f"--{name}={value}" for name, value in chosen.items()])
    wall = sum(seconds.values())
    for part, spent in seconds.items():
        row = {"part": part, "seconds": round(spent, 3), "share": spent / wall}
        print(json.dumps(row) if as_json else f"{part:20} {spent:9.2f} s {spent / wall:7.2%}")
    memory = peak_mb()
    print(json.dumps({"part": "peak memory", "mb": round(memory, 1)}) if as_json else f"peak memory {memory:15.0f} MB")


if __name__ == "__main__":
    main()
