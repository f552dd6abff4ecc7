"""Studies: problems x methods x seeds become runs; executors carry them out; a study is read back as one long table."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from .errors import Declined, InputError
from .front import hypervolume
from .journal import Shelf
from .method import Method
from .problem import LoadedProblem
from .registry import Registry
from .report import Board, StudyFacts
from .result import DROPS
from .run import Run, carry_out, check, prepare_worker
from .store import RunFolder, StudyFolder
from .workbench import DENSE, Workbench

INDICATORS = ("hypervolume", "hypervolume_search", "hypervolume_region", "front_size")
POINTS = tuple(f"{name}_at_{drop:g}" for drop in DROPS for name in ("reduction", "test_drop"))
INTERVALS = tuple(f"test_drop_interval_at_{drop:g}" for drop in DROPS)


@dataclass(frozen=True)
class Plan:
    """The runs that a command means, in the order in which they are carried out."""

    runs: tuple[Run, ...]
    problems: tuple[LoadedProblem, ...]


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
        for objective in problem.objectives:
            registry.component("objective", objective)
    loaded = [problem.load(report) for problem in named]
    for one in loaded:
        _check_budget(one)
        for method in chosen:
            try:
                check(registry, one, method)
            except Declined as error:
                raise Declined(f"method {method!r} declines {one.problem.name!r}: {error}") from error
    runs = [
        _run(registry, one, method, seed, device, threads)
        for one, seed, method in product(loaded, seeds, chosen)
    ]
    return Plan(tuple(dict.fromkeys(runs)), tuple(loaded))


def _check_budget(loaded: LoadedProblem) -> None:
    least, budget = 2 * loaded.price, loaded.problem.budget
    if budget < least:
        raise InputError(
            f"budget >= {least:g} must hold for {loaded.problem.name!r} (two evaluations of {loaded.price:g} units), "
            f"but got {budget:g}"
        )


def _run(registry: Registry, loaded: LoadedProblem, method: Method, seed: int, device: str, threads: int) -> Run:
    problem = loaded.problem
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


def local_executor(jobs: int, threads: int) -> Executor:
    """Worker processes on this machine, started afresh so that no thread or lock is inherited."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, context, initializer=prepare_worker, initargs=(threads, os.getpid()))


def carry_out_all(
    runs: Sequence[Run],
    study: StudyFolder,
    sources: Sequence[str],
    executor: Executor,
    watch: Callable[[dict[Run, str]], None],
) -> list[str]:
    """Carry out all runs; `watch` is told every half second which are active. Returns one line per failed run."""
    failures: list[str] = []
    with executor:
        waiting: dict[Future[dict[str, Any]], Run] = {
            executor.submit(carry_out, run, study.path, sources): run for run in runs
        }
        try:
            while waiting:
                done, _ = wait(waiting, timeout=0.5)
                states = {run: "running" if future.running() else "waiting" for future, run in waiting.items()}
                for future in done:
                    run = waiting.pop(future)
                    result = _outcome(future)
                    states[run] = result["status"]
                    if result["status"] == "failed":
                        failures.append(f"{run.method} on {run.problem}, seed {run.seed}: {result['reason']}")
                watch(states)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    return failures


def _outcome(future: Future[dict[str, Any]]) -> dict[str, Any]:
    try:
        return future.result()
    except BrokenProcessPool:
        reason = "a worker process died (out of memory?); the same command goes on from its journal"
        return {"status": "failed", "reason": reason}


@dataclass
class Progress:
    """What a run has done so far, read from its journal while another process writes it."""

    folder: RunFolder
    budget: float
    spent: float = 0.0
    seconds: float = 0.0
    evaluations: int = 0
    points: list[list[float]] = field(default_factory=list)

    def refresh(self) -> None:
        """Read the journal again."""
        if not (self.folder.path / "identity.json").exists():
            return
        answers = self.folder.answers()
        self.spent = sum(answer["charge"] for answer in answers)
        self.seconds = sum(answer["seconds"] for answer in answers)
        self.points = [answer["values"] for answer in answers if answer["kind"] == "evaluate"]
        self.evaluations = len(self.points)

    @property
    def hypervolume(self) -> float:
        """Of all evaluations so far, on the search split."""
        if not self.points:
            return 0.0
        return hypervolume(np.array(self.points) / np.array(self.folder.identity["references"]))

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far."""
        return self.seconds / self.spent * (self.budget - self.spent) if self.spent else None


def summaries(study: StudyFolder) -> list[dict[str, Any]]:
    """One object per run, as `summary --json` prints them."""
    return [_summary(folder) for folder in study.runs()]


def _summary(folder: RunFolder) -> dict[str, Any]:
    identity = folder.identity
    keys = ("problem", "method", "seed")
    head = {key: identity[key] for key in keys}
    status = "done" if folder.finished else "failed" if folder.failure else "partial"
    rules = {key: identity[key] for key in ("units", "batch_norm", "budget", "search_images", "objectives", "hash", "board")}
    names = ("units_spent", "evaluations", "seconds", *INDICATORS, "dense_error", "dense_test_error", *POINTS, *INTERVALS)
    if folder.finished:
        found = folder.result
    else:
        progress = Progress(folder, identity["budget"])
        progress.refresh()
        found = {
            "units_spent": progress.spent,
            "evaluations": progress.evaluations,
            "seconds": progress.seconds,
            "hypervolume_search": progress.hypervolume,
        }
    values = {name: found.get(name) for name in names}
    failure = {"reason": folder.failure} if status == "failed" else {}
    return head | {"status": status} | rules | values | failure


def facts(study: StudyFolder) -> StudyFacts:
    """What reports are told of a study."""
    boards: dict[str, Board] = {}
    provenance: dict[str, str] = {}
    folders = list(study.runs())
    several = _labels([folder.identity for folder in folders])
    for folder in folders:
        if not folder.finished:
            continue
        identity, result = folder.identity, folder.result
        provenance[identity["method"]] = result["provenance"]
        if identity["board"] not in boards:
            boards[identity["board"]] = Board(
                label=several[identity["board"]],
                problem=identity["problem"],
                objectives=tuple(identity["objectives"]),
                references=tuple(identity["references"]),
                dense_search=tuple(result["dense_search"]),
                dense_test=tuple(result["dense_test"]),
                budget=identity["budget"],
            )
    runs = tuple(summary | {"board": several[summary["board"]]} for summary in summaries(study))
    return StudyFacts(tuple(boards.values()), runs, provenance)


def _labels(identities: Sequence[dict[str, Any]]) -> dict[str, str]:
    """A short name for every board: the problem, and what tells it from the problem's other boards."""
    boards = {identity["board"]: identity for identity in identities}
    rules = ("units", "batch_norm", "search_images", "budget", "objectives", "device", "threads", "fingerprint")
    labels = {}
    for key, identity in boards.items():
        rivals = [other for other in boards.values() if other["problem"] == identity["problem"]]
        apart = [rule for rule in rules if len({str(other[rule]) for other in rivals}) > 1]
        extra = ", ".join(f"{rule} {_plain(identity[rule])}" for rule in apart)
        labels[key] = identity["problem"] + (f" ({extra})" if extra else "")
    return labels


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def long_table(study: StudyFolder) -> pd.DataFrame:
    """One row per evaluation, and two (search, test) per final member; see `pruneframe.report.Report`."""
    folders = list(study.runs())
    labels = _labels([folder.identity for folder in folders])
    parts = [part for folder in folders for part in _rows(folder, labels)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _rows(folder: RunFolder, labels: dict[str, str]) -> Iterator[pd.DataFrame]:
    identity = folder.identity
    names, references = identity["objectives"], identity["references"]
    head = {"board": labels[identity["board"]], **{k: identity[k] for k in ("problem", "method", "seed")}}

    def framed(kind: str, split: str, frame: pd.DataFrame) -> pd.DataFrame:
        shares = {f"{n}_normalised": frame[n] / r for n, r in zip(names, references, strict=True)}
        return frame.assign(**head, kind=kind, split=split, **shares)

    evaluations = folder.evaluations().rename(columns={"spent": "units_spent"})
    if len(evaluations):
        yield framed("evaluation", "search", evaluations[["number", "units_spent", "seconds", *names]])
    if folder.finished and len(front := folder.front()):
        for split in ("search", "test"):
            frame = pd.DataFrame(front[split], columns=names)
            frame.insert(0, "number", range(len(frame)))
            frame["params"] = front["params"]
            if len(frame):
                yield framed("member", split, frame)

