"""Which method's final members beat another's in every objective, all of them timed once more in one series.

    python benchmarks/rematch.py STUDY... [--json]

For studies whose objectives a target measures. The final fronts of all runs on an instance of a board, and the unpruned
network, take turns on the target, so that what slows the machine down slows all of them down; errors are those on the
test images. A member beats another when it is smaller in every objective; surely, when the 95 % intervals of the two
median times do not overlap either. A run in which nothing was ranked, since a busy machine was slower than for the
unpruned network, is raced as well: here its members have another chance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
from numpy.typing import NDArray

from pruneframe.errors import PruneframeError
from pruneframe.objective import Candidate, Objective
from pruneframe.registry import Registry
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import Workbench
from pruneframe.study import labels
from pruneframe.study.facts import runs
from pruneframe.study.folder import RunFolder
from pruneframe.study.machine import measuring, prepare_torch, say_if_busy
from pruneframe.study.member import Front
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.timing import Overheard, interval
from pruneframe.target import Target

FEW = 10  # images that members predict on the way; their errors are known


@dataclass(frozen=True)
class Field:
    """All final members of a board: whose they are, objective values float64[n, objectives], and intervals of times.

    `low` and `high` are in seconds, float64[n]; `noise` is by how much the unpruned network differs, timed twice.
    """

    methods: NDArray[np.str_]
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    noise: float


def raced(registry: Registry, folders: Sequence[RunFolder], methods: Sequence[str]) -> Field:
    """The members of some runs of one board, in one series."""
    run = Run.of(folders[0].identity)
    problem = run.problem_of(registry)
    meter = problem.meter(registry.component)
    if meter is None or not meter.measured:
        raise click.UsageError(f"the objectives of {run.problem} must be timed, but {problem.target!r} times nothing")
    if meter.target.identity != run.target_identity:
        raise click.UsageError(f"the runs were timed on {run.target_identity}, but this is {meter.target.identity}")
    prepare_torch(run.threads)
    overheard = Overheard(meter.target)
    loaded = run.load(registry)
    fronts = [Front.of(folder, loaded) for folder in folders]
    bench = Workbench(loaded, "cpu", Shelf(None), meter)
    dense = replace(bench.dense(bench.subset("search", FEW)), target=cast(Target, overheard))
    members = [dense, *(one for front in fronts for one in _members(front, dense))]
    values = np.vstack([folder.front()["test"] for folder in folders])
    objectives = [registry.component(Objective, name) for name in run.objectives]
    say_if_busy(partial(click.echo, err=True))
    with measuring(meter):
        for column, objective in enumerate(objectives):
            if objective.physical:
                values[:, column] = objective.measure_all(members)[1:]
    assert overheard.times is not None
    compared, again, *_ = np.median(overheard.times, axis=1)  # the unpruned network is timed as two
    low, high = np.transpose([interval(times) for times in overheard.times[2:]])
    owners = np.repeat(np.array(methods), [len(front) for front in fronts])
    return Field(owners, values, low, high, float(abs(again / compared - 1)))


def _members(front: Front, dense: Candidate) -> Iterator[Candidate]:
    """A run's final members, measured where the unpruned network is and beside it."""
    bench = front.bench
    for member in bench.candidates(front.masks, front.weights, bench.subset("search", FEW)):
        yield replace(member, target=dense.target, dense=dense)


def beaten(field: Field, first: str, second: str) -> dict[str, Any]:
    """How many members of the second method are beaten by any of the first, and how many of the first beat any."""
    own, theirs = field.methods == first, field.methods == second
    better = np.all(field.values[own][:, None] < field.values[theirs][None], axis=2)
    surely = better & (field.high[own][:, None] < field.low[theirs][None])
    return {
        "method": first,
        "other": second,
        "members": int(own.sum()),
        "beat": int(better.any(axis=1).sum()),
        "others": int(theirs.sum()),
        "beaten": int(better.any(axis=0).sum()),
        "surely": int(surely.any(axis=0).sum()),
    }


@click.command()
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="One object per instance of a board and pair of methods.")
def main(studies: tuple[Path, ...], as_json: bool) -> None:
    """Print one row per instance of a board and ordered pair of methods."""
    registry = Registry()
    try:
        found = [folder for folder in runs(*map(StudyFolder.existing, studies)) if folder.finished]
    except PruneframeError as error:
        raise click.UsageError(str(error)) from error
    identities = labels.identities_of(found)
    boards, called = labels.boards(list(identities.values())), labels.methods(identities)
    here: dict[tuple[str, int], list[RunFolder]] = {}
    for folder in found:
        here.setdefault((boards[identities[folder.path]["board"]], folder.identity["instance"]), []).append(folder)
    for (board, instance), folders in here.items():
        names = [called[folder.path] for folder in folders]
        field = raced(registry, folders, names)
        for first, second in permutations(dict.fromkeys(names), 2):
            row = {"board": board, "instance": instance} | beaten(field, first, second) | {"noise": field.noise}
            several = ", instance {instance}" if len({one for label, one in here if label == board}) > 1 else ""
            text = (
                f"{{board}}{several}: "
                "{beaten} of {others} members of {other} are beaten in every objective, {surely} of them "
                "surely, by {beat} of {members} of {method}; noise {noise:.1%}"
            )
            print(json.dumps(row) if as_json else text.format(**row))


if __name__ == "__main__":
    main()
