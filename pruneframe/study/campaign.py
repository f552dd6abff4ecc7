"""A campaign: what is missing of a study is carried out, by a command or a call, and told while it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, suppress

from ..errors import InputError
from ..report import place
from ..search.shelf import Shelf
from ..search.workbench import Workbench
from . import executor
from .machine import say_if_busy, versions
from .plan import Plan
from .removal import at_work
from .run import Run
from .store import StudyFolder
from .terms import ONCE, Terms
from .wanted import Say, Wanted

Watch = Callable[[dict[Run, str]], None]  # is told the states of runs: open, done or failed
Watching = Callable[[StudyFolder, Sequence[Run]], AbstractContextManager[Watch]]


def carry_out(
    wanted: Wanted,
    planned: Plan,
    study: StudyFolder,
    jobs: int,
    say: Say,
    watching: Watching,
    terms: Terms = ONCE,
) -> list[str]:
    """Carry out what is missing of a plan, under the eyes of who is watching; returns a line for every run that fails.

    What has failed before is missing, too.
    """

    def done(run: Run) -> bool:
        folder = run.folder(study)
        if (damage := folder.damage) is not None:
            say(f"Damaged: {damage}")
        if damage is not None or not folder.finished:
            return False
        with suppress(InputError, OSError), folder.held(wait=False):
            folder.tidy()
        return terms.epochs in (0, folder.finetuned_epochs)

    missing = [run for run in planned.runs if not done(run)]
    if len(missing) < len(planned.runs):
        say(f"{len(planned.runs) - len(missing)} of {len(planned.runs)} runs are already there")
    faults = {run: planned.faults[run] for run in missing if run in planned.faults}
    for run, fault in faults.items():
        executor.fail(run, study, fault)
    failures = [*planned.broken]
    failures += [f"{run.method} on {place(run, planned.runs)}: {fault}" for run, fault in faults.items()]
    missing = [run for run in missing if run not in planned.faults]
    if not missing:
        return failures
    say_beforehand(planned, missing, say)
    parts = [[run] for run in missing] if wanted.in_place else [missing]  # one by one, so that each is told at its end
    with (
        at_work(study),
        _executors(wanted, study, min(jobs, len(missing))) as make,
        watching(study, missing) as watch,
    ):
        for part in parts:
            failures += executor.carry_out_all(part, study, wanted.sources, make, watch, terms)
        return failures


@contextmanager
def _executors(wanted: Wanted, study: StudyFolder, jobs: int) -> Iterator[Callable[[], Executor]]:
    """What makes executors: of this process, of processes of this machine, or of a cluster."""
    if wanted.in_place:
        yield executor.InPlace
    elif wanted.dask is None:
        yield lambda: executor.LocalExecutor(jobs, wanted.threads)
    else:
        from .cluster import DaskExecutor, connected

        with connected(wanted.dask) as client:
            yield lambda: DaskExecutor(client, study, wanted.threads, versions())


def say_beforehand(planned: Plan, missing: Sequence[Run], say: Say) -> None:
    """What is to be known of problems and machine before runs begin."""
    if planned.measured:
        say_if_busy(say)
    if missing[0].device == "cpu":
        for one in planned.problems:
            if one.outcomes is not None and missing[0].precision == "float32":
                continue  # a table answers
            notice = Workbench(one, "cpu", Shelf(None), precision=missing[0].precision).notice
            if notice.startswith("torch alone"):
                say(f"note: {one.problem.name} is evaluated by {notice}; that takes longer")
            elif missing[0].precision == "bfloat16":
                say(f"note: {one.problem.name} is evaluated by {notice}")
    for one in planned.problems:
        for note in (*one.data.notes, *one.network.notes):
            say(f"note: {one.problem.name}: {note}")
