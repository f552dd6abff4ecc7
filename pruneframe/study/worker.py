"""What a worker process does with a run: search, measure its final front, and train it once more on request."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import Damaged, Faulty, Gone, InputError, Overstepped
from ..method import Method
from ..objective import Objective
from ..patience import TimeUp, interruptible, within
from ..problem import LoadedProblem, Problem
from ..registry import Registry
from ..search.desk import Account
from ..search.journal import Journal
from ..search.ledger import BudgetSpent, Ledger, OnlyRepeats
from ..search.shelf import Shelf
from ..search.task import Task
from ..search.workbench import Workbench
from ..target import Meter
from .finetuning import finetune
from .folder import RunFolder
from .indicators import anytime, indicators
from .log import printing_to
from .machine import environment, measuring, prepare_torch, same_settings
from .member import Front
from .result import Members, measure_members
from .run import Run, told
from .store import StudyFolder
from .truth import true_hypervolumes


@lru_cache(maxsize=1)
def _registry(sources: tuple[str | Problem, ...]) -> Registry:
    return Registry(sources)


@lru_cache(maxsize=1)
def _loaded(run: Run, registry: Registry) -> LoadedProblem:
    """`run` stands for its instance of a problem: without method and seed, so that the next run finds it loaded."""
    return run.load(registry)


def carry_out(
    run: Run, study: Path, sources: Sequence[str | Problem], epochs: int = 0, timeout: float | None = None
) -> dict[str, Any]:
    """Search, re-evaluate, test and store one run, in this process; continues where a killed one stopped.

    `epochs`: of the common fine-tuning of its final front; `timeout`: seconds that the search may take. Returns its
    result, also of a failure: that is written down, never raised. What plugins print goes to its log.
    """
    folder = run.folder(StudyFolder(study))
    try:
        folder.check_plain()
    except Damaged as error:  # nothing may be written through a link, not even why the run failed
        return {"status": "failed", "reason": str(error)}
    with printing_to(folder.log):
        return _carried_out(run, folder, sources, epochs, timeout)


def carry_out_named(
    identity: dict[str, Any], study: str, sources: Sequence[str | Problem], epochs: int, timeout: float | None
) -> dict[str, Any]:
    """The same of a run that is told by what it is, as executors hand it to other processes and machines."""
    return carry_out(Run.of(identity), Path(study), sources, epochs, timeout)


def _carried_out(
    run: Run, folder: RunFolder, sources: Sequence[str | Problem], epochs: int, timeout: float | None
) -> dict[str, Any]:
    try:
        registry = _registry(tuple(sources))
        prepare_torch(run.threads)
        loaded = _loaded(replace(run, method="", seed=0, versions=()), registry)
        with folder.held():  # another command may have done it meanwhile
            if folder.damage is not None:
                folder.reopen()
            folder.tidy()
            if not folder.finished:
                _searched(run, folder, registry, loaded, timeout)
            if epochs and folder.finetuned_epochs != epochs:
                _finetune(run, folder, loaded, epochs)
            return folder.result
    except BaseException as error:  # a method may fail in any way; the other runs go on
        if isinstance(error, KeyboardInterrupt) and interruptible():
            raise
        _loaded.cache_clear()  # whatever became of the problem here, the next run has it anew
        reason = told(error, _registry(tuple(sources)), run.method)
        with contextlib.suppress(OSError):
            if not folder.finished:
                folder.fail(reason, run.identity)
            if isinstance(error, Overstepped):  # what was answered meanwhile is not believed
                folder.journal.unlink(missing_ok=True)
        return {"status": "failed", "reason": reason}


def _searched(run: Run, folder: RunFolder, registry: Registry, loaded: LoadedProblem, timeout: float | None) -> None:
    """Search; where a journal's answers are tensors that are gone or damaged, from the beginning."""
    resumed = folder.journal.exists()
    try:
        _search(run, folder, registry, loaded, timeout)
    except Gone:
        if not resumed:
            raise
        folder.journal.unlink()
        _search(run, folder, registry, loaded, timeout)


def _finetune(run: Run, folder: RunFolder, loaded: LoadedProblem, epochs: int) -> None:
    front, recipe = Front.of(folder, loaded, run.device), replace(loaded.problem.finetuning, epochs=epochs)
    session = environment(run.device) | {"recipe": repr(recipe)}  # another one starts over
    with Journal(folder.finetuning, session) as journal:
        found = finetune(front, recipe, run.seed, journal)
    folder.finish_finetuning(epochs=epochs, **asdict(found))


def meter_of(run: Run, registry: Registry, loaded: LoadedProblem) -> Meter | None:
    """What the run measures with here; raises InputError where that is not what it was planned for."""
    meter = loaded.problem.meter(registry.component)
    if meter is not None and meter.identity != run.target_identity:
        raise InputError(f"target {meter.target!r} is another one than where the run was planned")
    return meter


def _search(run: Run, folder: RunFolder, registry: Registry, loaded: LoadedProblem, timeout: float | None) -> None:
    start = time.time()
    meter = meter_of(run, registry, loaded)
    method = registry.component(Method, run.method)
    objectives = [registry.component(Objective, name) for name in run.objectives]
    bench = Workbench(loaded, run.device, Shelf(folder.weights), meter, run.precision)
    with measuring(meter), Journal(folder.journal, environment(run.device)) as journal:
        task = Task(bench, journal, Ledger(run.budget), run.seed, registry.component)
        references = task.references
        folder.begin(run.identity | {"references": references.tolist()})
        ended, account, members = searched(method, task, bench, objectives, journal, timeout)
    values = {
        "status": "done",
        **asdict(account),
        "seconds_in_all": time.time() - start,
        "deterministic": method.deterministic and not (task.drawn or (meter is not None and meter.measured)),
        "provenance": method.provenance,
        "quantities": [objective.quantity for objective in objectives],
        "source": loaded.problem.source,
        "varies": loaded.problem.varies,
        "engine": bench.notice,
        "environment": environment(run.device) | ({"continued": "under other versions"} if journal.continued else {}),
    }
    found = figures(run, task, bench, members, objectives, ended)
    folder.finish(task.archive, members, task.objectives, task.records | members.timings, values | found)
    bench.shelf.keep_only(members.weights)


def figures(
    run: Run, task: Task, bench: Workbench, members: Members, objectives: Sequence[Objective], ended: str
) -> dict[str, Any]:
    """What a search and its final front came to, as run.json holds it: all that comes out the same another time."""
    return {
        "passes_spent": task.budget.spent,
        "evaluations": len(task.archive.evaluations),
        "ended": ended,
        "looks_at_test": len(members.masks),
        "dense_search": members.dense_search.values[0].tolist(),
        "dense_test": members.dense_test.values[0].tolist(),
        "total_params": members.total_params,
        "layers": dict(zip(bench.network.layout.names, bench.network.layout.sizes, strict=True)),
        "images": {name: len(split) for name, split in bench.loaded.splits.items()},
        "hypervolume_anytime": anytime(task.archive, task.references, run.budget),
        **true_hypervolumes(bench.loaded, run.objectives),
        **indicators(members, objectives, task.references),
    }


def searched(
    method: Method,
    task: Task,
    bench: Workbench,
    objectives: Sequence[Objective],
    journal: Journal,
    timeout: float | None = None,
) -> tuple[str, Account, Members]:
    """Let a method search, and measure its final front: by what the search ended, what it took, and the members.

    Raises Faulty where the method, or a component that it uses, has not kept its contract.
    """
    with same_settings():
        ended = _ended(method, task, timeout)
    account = task.account
    task.settle()
    members = measure_members(bench, task.archive, objectives, task.references, journal)
    bench.settle()
    return ended, account, members


def _ended(method: Method, task: Task, timeout: float | None) -> str:
    """Let a method search; says by what the search ended: its budget, the method itself, or nothing new to ask.

    Raises Faulty where it has evaluated nothing, or has not ended in time.
    """
    ended = "method"
    try:
        within(timeout, lambda: method.search(task))
    except OnlyRepeats:
        ended = "repeats"
    except BudgetSpent:
        ended = "budget"
    except TimeUp as up:
        fault = Faulty(
            f"a search must end within {timeout:g} s, which --timeout gives it; its journal is kept, and the same "
            "command with more goes on"
        )
        raise fault.with_traceback(up.__traceback__) from None
    if not task.archive.evaluations:
        spent = f"the {task.budget.spent:g} passes that it spent" if task.budget.spent else "its search"
        raise Faulty(f"a method must evaluate something, but {spent} evaluated nothing; a larger --budget may help")
    return ended
