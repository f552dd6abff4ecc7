"""A finished run carried out once more, and everything that it wrote down compared with what comes out."""

from __future__ import annotations

import math
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import NotDeterministic, VerificationFailed
from ..method import Method
from ..objective import Objective
from ..registry import Registry
from ..search.answer import Answer, Question
from ..search.journal import MEMBER, Journal
from ..search.ledger import Ledger
from ..search.shelf import Shelf
from ..search.task import Task
from ..search.workbench import Workbench
from .evaluations import of_archive
from .folder import RunFolder
from .formats import from_table, to_table
from .machine import environment, prepare_torch
from .result import front_of
from .run import Run
from .stamp import Stamp
from .worker import figures, meter_of, searched

ELSEWHERE = 1e-3  # by how much numbers may differ on another machine or under other versions, where rounding differs


class Witness(Journal):
    """Gives the recorded answers in turn, and compares those that are computed anew with them.

    Tensors and what the final front was measured to be are computed anew in any case, all other answers if `deep`.
    Times that were measured cannot be had again: where they count, their series is believed. Raises VerificationFailed
    at the first answer that is another one.
    """

    def __init__(self, answers: Sequence[Answer], deep: bool, exact: bool, timed: bool) -> None:
        super().__init__(None, {})
        self._recorded = deque(answers)
        self._deep, self._exact, self._timed = deep, exact, timed
        self.computed = 0

    @property
    def replaying(self) -> int:
        """Answers that are believed, and need no computation beforehand."""
        return 0 if self._deep and not self._timed else len(self._recorded)

    def replay(self, question: Question) -> Answer | None:
        """The recorded answer, or None where it is to be computed."""
        recorded = self._next(question)
        if self._believed(recorded):
            return self._recorded.popleft()
        return None

    def write(
        self,
        question: Question,
        values: list[Any],
        charge: float,
        seconds: float,
        own: float = 0.0,
        processor: float = 0.0,
    ) -> Answer:
        """Compare what was computed with what was recorded, which is the answer."""
        recorded = self._next(question)
        if not _agree(values, recorded.values, self._exact):
            raise VerificationFailed(
                f"answer {recorded.number}, {question.kind} {question.text}, was {_short(recorded.values)}, but is "
                f"{_short(values)} when it is computed anew"
            )
        self.computed += 1
        return self._recorded.popleft()

    def _next(self, question: Question) -> Answer:
        if not self._recorded:
            raise VerificationFailed(f"the journal ends before {question.kind} {question.text}, which its run asks")
        recorded = self._recorded[0]
        if recorded.question != question:
            raise NotDeterministic(
                f"question {recorded.number} was {recorded.kind} {recorded.question.text}, but the method asks "
                f"{question.kind} {question.text}"
            )
        return recorded

    def _believed(self, recorded: Answer) -> bool:
        if recorded.kind == MEMBER:
            return self._timed and "series" in dict(recorded.question.about)
        tensors = bool(recorded.values) and all(isinstance(value, str) for value in recorded.values)
        return not tensors and (not self._deep or self._timed)

    @property
    def left(self) -> int:
        """Recorded answers that nobody has asked for."""
        return len(self._recorded)


def verify(folder: RunFolder, registry: Registry, deep: bool = False) -> Stamp:
    """Let a finished run's method search again on what its journal holds, and measure its final front anew.

    Compared are all answers that are computed, the compute that was spent, all evaluations, the final front on search
    and test, records, and every indicator; `deep`: all answers to the search are computed as well. On the machine and
    versions of the run all must be the same to the last bit, elsewhere to rounding. Raises VerificationFailed with the
    first difference.
    """
    run, result = Run.of(folder.identity), folder.result
    prepare_torch(run.threads)
    loaded = run.load(registry)
    meter = meter_of(run, registry, loaded)
    exact = {**result["environment"], **environment(run.device)} == result["environment"]
    witness = Witness(folder.answers(), deep, exact, meter is not None and meter.measured)
    objectives = [registry.component(Objective, name) for name in run.objectives]
    with tempfile.TemporaryDirectory() as scratch:
        bench = Workbench(loaded, run.device, Shelf(Path(scratch)), meter, run.precision)
        task = Task(bench, witness, Ledger(run.budget), run.seed, registry.component)
        references = {"references": (task.references, folder.identity["references"])}
        try:
            ended, _, members = searched(registry.component(Method, run.method), task, bench, objectives, witness)
        except NotDeterministic as error:
            raise VerificationFailed(str(error)) from error
        if witness.left:
            raise VerificationFailed(f"the journal holds {witness.left} answers that its run does not ask for")
        found = figures(run, task, bench, members, objectives, ended)
        records = task.records | members.timings
    front = folder.front()
    pairs: dict[str, tuple[Any, Any]] = references
    pairs |= {name: (value, result[name]) for name, value in found.items()}
    pairs |= {f"front.npz: {name}": (value, front[name]) for name, value in front_of(members).items()}
    _compare(pairs, exact)
    _compare_tables("evaluations", of_archive(task.archive, task.objectives), folder.evaluations(), exact)
    kept = folder.diagnostics()
    if records and kept is not None:
        told = pd.concat([table.assign(record=name) for name, table in records.items()], ignore_index=True)
        _compare_tables("records", told, kept, exact)
    here = environment(run.device)
    versions = ", ".join(f"{name} {here[name]}" for name in ("pruneframe", "torch", "platform", "machine"))
    return Stamp(witness.computed, len(folder.answers()), deep, exact, versions)


def _compare(pairs: dict[str, tuple[Any, Any]], exact: bool) -> None:
    for name, (found, written) in pairs.items():
        if not _agree(_plain(found), _plain(written), exact):
            raise VerificationFailed(f"{name} was written as {_short(written)}, but comes out as {_short(found)}")


def _compare_tables(name: str, found: pd.DataFrame, written: pd.DataFrame, exact: bool) -> None:
    """As files hold them."""
    found = to_table(from_table(found))
    if list(found.columns) != list(written.columns) or len(found) != len(written):
        raise VerificationFailed(f"{name} were {written.shape} rows and columns, but come out as {found.shape}")
    _compare({f"{name}: {column}": (found[column], written[column]) for column in found}, exact)


def _plain(value: Any) -> Any:
    """Arrays, tuples and columns as lists, which JSON reads back."""
    if isinstance(value, pd.Series):
        return value.tolist()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def _agree(found: Any, written: Any, exact: bool) -> bool:
    """Whether two values are one; numbers to rounding, and what follows from bits not at all, where it is not exact."""
    if isinstance(found, list | tuple) and isinstance(written, list | tuple):
        return len(found) == len(written) and all(_agree(*pair, exact) for pair in zip(found, written, strict=True))
    if isinstance(found, dict) and isinstance(written, dict):
        return found.keys() == written.keys() and all(_agree(found[name], written[name], exact) for name in found)
    if isinstance(found, float) and isinstance(written, int | float):
        same = found == written or (math.isnan(found) and math.isnan(written))
        return same or (not exact and math.isclose(found, written, rel_tol=ELSEWHERE, abs_tol=ELSEWHERE))
    if isinstance(found, str) and isinstance(written, str):
        return found == written or not exact
    return bool(found == written)


def _short(value: Any) -> str:
    text = str(_plain(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
