"""How long a search takes by default, and with all cores' threads, as a multiple of one thread, while others compute.

    python benchmarks/busy.py [--problem lenet-digits] [--methods 'nsga2[preset=textbook]']
                              [--budget 100] [--pairs 5] [--json]

`default` is a run alone as `bench` starts it, `threads` one with `--threads` of all cores; each is set against the same
run with one thread in all, all three in worker processes of their own that take turns. Busy are processes that count,
as many as the row says, from none to one per core.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import numpy as np

from pruneframe.cli import options
from pruneframe.cli.main import SLEEP
from pruneframe.registry import Registry
from pruneframe.study.executor import LocalExecutor
from pruneframe.study.machine import cores
from pruneframe.study.plan import plan
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out


def count() -> None:
    """Keep a core busy."""
    while True:
        pass


@contextmanager
def busy(number: int) -> Iterator[None]:
    """So many cores, in the block."""
    others = [multiprocessing.get_context("spawn").Process(target=count, daemon=True) for _ in range(number)]
    for other in others:
        other.start()
    time.sleep(1 if others else 0)
    yield
    for other in others:
        other.kill()
        other.join()


class Side:
    """One way to carry out a run, in a process of its own."""

    def __init__(self, run: Run, executor: LocalExecutor, folder: Path) -> None:
        self._run, self._executor, self._study = run, executor, StudyFolder(folder)

    def seconds(self) -> float:
        """Of the whole run, without its process's start and the loading of its problem, the first time apart."""
        self._run.folder(self._study).forget()
        start = time.perf_counter()
        result = self._executor.submit(carry_out, self._run, self._study.path, ()).result()
        if result["status"] != "done":
            raise click.ClickException(result["reason"])
        return time.perf_counter() - start


@click.command()
@click.option("--problem", default="lenet-digits", show_default=True, help="One problem.")
@click.option("--methods", "method", default="nsga2[preset=textbook]", show_default=True, help="One method.")
@click.option("--budget", default=100.0, show_default=True, help="Passes per run.")
@click.option("--search-images", type=int, help="Images behind each evaluation.")
@click.option("--pairs", default=5, show_default=True, help="Turns of all three.")
@options.data
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(problem: str, method: str, budget: float, search_images: int | None, pairs: int, as_json: bool) -> None:
    """Print a row for every number of busy cores."""
    for name, value in SLEEP.items():
        os.environ.setdefault(name, value)
    settings, whole = {"budget": budget, "search_images": search_images}, cores()
    ways = {"one": (whole, 1), "default": (1, 1), "threads": (1, whole)}  # jobs, and threads of torch
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sides = {}
        for name, (jobs, threads) in ways.items():
            planned = plan(Registry(), [method], [problem], [0], [0], settings, "cpu", threads, options.say)
            executor = stack.enter_context(LocalExecutor(jobs, threads))
            sides[name] = Side(planned.runs[0], executor, folder / name)
            sides[name].seconds()
        for number in range(whole + 1):
            with busy(number):
                turns = [{name: side.seconds() for name, side in sides.items()} for _ in range(pairs)]
            row: dict[str, object] = {"problem": problem, "method": method, "busy": number}
            row["seconds"] = round(float(np.median([turn["one"] for turn in turns])), 3)
            for name in ("default", "threads"):
                q1, median, q3 = np.quantile([turn[name] / turn["one"] for turn in turns], [0.25, 0.5, 0.75]).round(2)
                row |= {name: float(median), f"{name}_q1": float(q1), f"{name}_q3": float(q3)}
            line = f"{number} busy: one thread {row['seconds']:8} s, default {row['default']:5} x "
            line += f"[{row['default_q1']}, {row['default_q3']}], all cores' threads {row['threads']:5} x "
            print(json.dumps(row) if as_json else f"{line}[{row['threads_q1']}, {row['threads_q3']}]", flush=True)


if __name__ == "__main__":
    main()
