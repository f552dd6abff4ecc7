"""One run: a method on a problem with a seed and a budget; what it is, and how it is carried out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from filelock import FileLock, Timeout

from .device import Target
from .engine import kernel
from .errors import InputError, PruneframeError
from .finetuning import finetune
from .front import INDICATORS_VERSION
from .journal import Journal, Shelf
from .ledger import BudgetSpent, Ledger
from .mask import Masks
from .method import Method
from .objective import Objective
from .problem import LoadedProblem, Problem
from .registry import Registry
from .result import indicators, measure_members
from .store import RunFolder, StudyFolder
from .suitability import target_of
from .task import Task
from .workbench import Workbench

LOCK = Path("/tmp" if os.name == "posix" else tempfile.gettempdir()) / "pruneframe-measuring.lock"  # of the machine
LIBRARIES = ("numpy", "pymoo", "platypus-opt", "scipy", "torch")


@dataclass(frozen=True)
class Run:
    """The identity of a run: the same identity is the same folder, and gives the same front."""

    problem: str
    method: str  # the component's repr
    seed: int
    budget: float
    units: str
    batch_norm: str
    search_images: int
    objectives: tuple[str, ...]
    device: str
    threads: int
    fingerprint: str  # of the dense weights and all splits
    versions: tuple[tuple[str, str], ...]  # of the plugins involved
    target: str = ""  # the device that physical objectives measure on, where there are any
    target_identity: str = ""  # all that its answers depend on
    dtype: str = "float32"  # of the search; what is reported is float32
    indicators: int = INDICATORS_VERSION

    @property
    def digest(self) -> str:
        """10 hex digits over all fields but the place of a device's table."""
        return self._digest(())

    @property
    def board(self) -> str:
        """What runs must share to be compared: all but method and seed."""
        return self._digest(("method", "seed", "versions"))

    def _digest(self, without: Sequence[str]) -> str:
        """A device counts by its identity: a table may lie elsewhere."""
        fields = {name: value for name, value in asdict(self).items() if name not in ("target", *without)}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:10]

    def folder(self, study: StudyFolder) -> RunFolder:
        """Where it lies in a study."""
        return study.run(self.problem, self.method, self.seed, self.digest)

    @property
    def settings(self) -> dict[str, Any]:
        """What turns the problem of this name into the one that is meant."""
        names = ("units", "batch_norm", "search_images", "objectives", "budget")
        return {name: getattr(self, name) for name in names} | {"target": self.target or None}


def environment(device: str = "cpu") -> dict[str, Any]:
    """Versions and hardware with which answers are computed; a journal is replayed only under the same."""
    gpu = {} if torch.device(device).type == "cpu" else {"gpu": torch.cuda.get_device_name(device)}
    return {
        "pruneframe": version("pruneframe"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": torch.backends.cpu.get_cpu_capability(),
        **gpu,
        "kernel": "sparse" if kernel() else "none",
        **{name: version(name) for name in LIBRARIES},
    }


@lru_cache(maxsize=1)
def _registry(sources: tuple[str, ...]) -> Registry:
    return Registry(sources)


@lru_cache(maxsize=1)
def _loaded(problem: Problem) -> LoadedProblem:
    return problem.load()


@contextlib.contextmanager
def measuring(target: Target | None) -> Iterator[None]:
    """No other run on this machine measures meanwhile; it would be in the way."""
    if target is None or not target.measured:
        yield
        return
    with FileLock(LOCK, mode=0o666):
        yield


def say_if_busy(say: Callable[[str], None]) -> None:
    """For who wants to measure: tell whether another run on this machine does, and must end first."""
    try:
        FileLock(LOCK, mode=0o666).acquire(timeout=0).lock.release()
    except Timeout:
        say(f"something else measures on this machine, and holds {LOCK}; waiting until it has ended")


def prepare_torch(threads: int) -> None:
    """How this process computes what is reported or timed: with so many threads, repeatably, in float32 proper."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def carry_out(run: Run, study: Path, sources: Sequence[str], epochs: int = 0) -> dict[str, Any]:
    """Search, re-evaluate, test and store one run, in this process; continues where a killed one stopped.

    `epochs`: of the common fine-tuning of its final front. Returns its result, also of a failure: that is
    written down, never raised.
    """
    folder = run.folder(StudyFolder(study))
    try:
        registry = _registry(tuple(sources))
        if not folder.finished:
            _search(run, folder, registry)
        if epochs and folder.finetuned_epochs != epochs:
            _finetune(run, folder, registry, epochs)
        return folder.result
    except Exception as error:  # a method may fail in any way; the other runs go on
        known = isinstance(error, PruneframeError | OSError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            if not folder.finished:
                folder.fail(reason)
        return {"status": "failed", "reason": reason}


def _at_work(run: Run, registry: Registry) -> tuple[Problem, LoadedProblem, Target | None]:
    """This process set up for a run: its problem, loaded, and what it measures on."""
    prepare_torch(run.threads)
    problem = registry.problem(run.problem).with_settings(**run.settings)
    target, loaded = target_of(registry, problem), _loaded(problem)
    if target is not None and target.device.identity != run.target_identity:
        raise InputError(f"device {target.device!r} is another one than where the run was planned")
    if loaded.fingerprint != run.fingerprint:
        raise InputError(f"problem {run.problem!r} has other weights or images here than where the run was planned")
    return problem, loaded, target


def _finetune(run: Run, folder: RunFolder, registry: Registry, epochs: int) -> None:
    problem, loaded, _ = _at_work(run, registry)
    bench, front = Workbench(loaded, run.device, Shelf(folder.weights)), folder.front()
    recipe = replace(problem.finetuning, epochs=epochs)
    masks, weights = Masks(front["bits"], bench.network.layout), [str(name) for name in front["weights"]]
    session = environment(run.device) | {"recipe": repr(recipe)}  # another one starts over
    with Journal(folder.finetuning, session) as journal:
        found = finetune(bench, masks, weights, recipe, run.seed, journal)
    folder.finish_finetuning(epochs=epochs, **asdict(found))


def _search(run: Run, folder: RunFolder, registry: Registry) -> None:
    start = time.time()
    problem, loaded, target = _at_work(run, registry)
    method = cast(Method, registry.component("method", run.method))
    objectives = [cast(Objective, registry.component("objective", name)) for name in run.objectives]
    bench = Workbench(loaded, run.device, Shelf(folder.weights), target)
    with measuring(target), Journal(folder.journal, environment(run.device)) as journal:
        task = Task(bench, journal, Ledger(run.budget), run.seed, registry.component)
        references = task.references
        folder.begin(asdict(run) | {"hash": run.digest, "board": run.board, "references": references.tolist()})
        with contextlib.suppress(BudgetSpent):
            method.search(task)
        members = measure_members(bench, task.archive, objectives, references, journal)
    values = {
        "status": "done",
        "units_spent": task.budget.spent,
        "evaluations": len(task.archive.evaluations),
        "seconds": task.seconds,
        "seconds_in_all": time.time() - start,
        "looks_at_test": len(members.masks),
        "deterministic": method.deterministic and not (task.drawn or (target is not None and target.measured)),
        "provenance": method.provenance,
        "dense_search": members.dense_search.values[0].tolist(),
        "dense_test": members.dense_test.values[0].tolist(),
        "total_params": members.total_params,
        "layers": dict(zip(bench.network.layout.names, bench.network.layout.sizes, strict=True)),
        "images": {name: len(split) for name, split in loaded.splits.items()},
        "source": problem.source,
        "engine": bench.notice,
        "environment": environment(run.device),
    }
    names = task.objectives
    records = task.records | members.timings
    folder.finish(task.archive, members, names, records, values | indicators(members, names, references))
    bench.shelf.keep_only(members.weights)


def prepare_worker(threads: int, parent: int) -> None:
    """Set up a worker process: its threads, and its end when the process that started it dies."""
    torch.set_num_threads(threads)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """A killed study must not leave workers that go on writing to its folder."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(137)
