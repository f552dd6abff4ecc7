"""Runs for tests: planned on the small problem, carried out in this process, and killed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import registry

from pruneframe.engine import Precision
from pruneframe.patience import PLANNING
from pruneframe.registry import Registry
from pruneframe.search.answer import Answer
from pruneframe.search.journal import Journal
from pruneframe.study.folder import RunFolder
from pruneframe.study.plan import Plan, plan
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out


def planned(
    methods: Sequence[str],
    seeds: Sequence[int] = (0,),
    problems: Sequence[str] = ("lenet-digits",),
    sources: Sequence[str] = (),
    precision: Precision | None = None,
    instances: Sequence[int] = (0,),
    report: Callable[[str], None] = lambda line: None,
    patience: float = PLANNING,
    **settings: Any,
) -> Plan:
    """What a command means; 20 passes over 100 images unless told, and `sources` are plugins' files."""
    settings = {"budget": 20.0, "search_images": 100} | settings
    known = Registry(tuple(sources)) if sources else registry()
    return plan(known, methods, problems, instances, seeds, settings, "cpu", 1, report, precision, patience)


def run_of(method: str, seed: int = 0, sources: Sequence[str] = (), instance: int = 0, **settings: Any) -> Run:
    """One run of it."""
    (run,) = planned([method], [seed], sources=sources, instances=[instance], **settings).runs
    return run


def carried_out(run: Run, study: Path, sources: Sequence[str] = ()) -> RunFolder:
    """Its folder, when it has ended well."""
    result = carry_out(run, study, tuple(sources))
    assert result["status"] == "done", result
    return run.folder(StudyFolder(study))


def assert_same_front(one: RunFolder, two: RunFolder) -> None:
    """Bit by bit: masks, weights, values and errors."""
    first, second = one.front(), two.front()
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


class Death(KeyboardInterrupt):
    """The end of a process, as far as it can be played inside another one."""


@contextmanager
def dying_at(number: int) -> Iterator[None]:
    """Death right after the answer to a question was written, before the method sees it."""
    write = Journal.write

    def write_and_die(journal: Journal, *arguments: Any) -> Answer:
        answer = write(journal, *arguments)
        if answer.number == number:
            raise Death
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "write", write_and_die)
        yield


def stopped(run: Run, study: Path, number: int) -> RunFolder:
    """The run as a kill leaves it, after the answer to one question."""
    with dying_at(number), pytest.raises(Death):
        carry_out(run, study, ())
    return run.folder(StudyFolder(study))
