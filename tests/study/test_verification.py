"""Verification: what was written comes out once more, and whatever was written otherwise is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import carried_out, run_of
from studies import forge
from tiny import registry

from pruneframe.errors import VerificationFailed
from pruneframe.files import write_document
from pruneframe.search.answer import Answer, read_lines, sealed
from pruneframe.study.folder import RunFolder
from pruneframe.study.formats import from_arrays, from_table
from pruneframe.study.stamp import Stamp
from pruneframe.study.verification import verify

METHODS = ("magnitude", "nsga2", "hierarchical", "emo-dir", "weighted-ga", "random")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A finished run."""
    return carried_out(run_of("nsga2"), tmp_path)


def rewrite(folder: RunFolder, change: Callable[[Answer], Answer]) -> None:
    """Change the answers of a journal, under seals that fit."""
    seal, lines = b"", []
    for line in read_lines(folder.journal).lines:
        told = line if isinstance(line, dict) else change(line).line()
        text, seal = sealed(told, seal)
        lines.append(text)
    folder.journal.write_bytes(b"".join(lines))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_comes_out_as_it_was_written(method: str, tmp_path: Path) -> None:
    folder = carried_out(run_of(method), tmp_path)
    stamp = verify(folder, registry())
    members = sum(answer.kind == "member" for answer in folder.answers())
    assert stamp.exact
    assert members <= stamp.computed < stamp.answers == len(folder.answers())
    everything = verify(folder, registry(), deep=True)
    assert everything.computed == everything.answers


def test_timed_runs_are_verified_but_for_their_times(tmp_path: Path) -> None:
    target = "local-cpu[repeats=2,warmup=0]"
    run = run_of("random", units="filter", objectives=("error", "latency"), target=target)
    folder = carried_out(run, tmp_path)
    for deep in (False, True):
        assert verify(folder, registry(), deep).computed >= folder.result["front_size"]


def values_of(kind: str, by: float) -> Callable[[Answer], Answer]:
    """Adds to the first value of the first answer of a kind."""
    seen: list[Answer] = []

    def change(answer: Answer) -> Answer:
        if answer.kind != kind or seen:
            return answer
        seen.append(answer)
        return replace(answer, values=[answer.values[0] + by, *answer.values[1:]])

    return change


@pytest.mark.parametrize(("kind", "deep"), [("member", False), ("evaluate", True)])
def test_an_answer_that_was_changed_is_found(kind: str, deep: bool, folder: RunFolder) -> None:
    rewrite(folder, values_of(kind, 0.01))
    with pytest.raises(VerificationFailed, match=rf"{kind} .* when it is computed anew"):
        verify(folder, registry(), deep)


def test_an_evaluation_that_was_changed_is_found_by_what_the_search_makes_of_it(folder: RunFolder) -> None:
    rewrite(folder, values_of("evaluate", 0.01))
    with pytest.raises(VerificationFailed):
        verify(folder, registry())


def test_a_score_that_was_changed_is_found(folder: RunFolder) -> None:
    rewrite(folder, lambda one: replace(one, values=["0" * 32]) if one.kind == "scores" else one)
    with pytest.raises(VerificationFailed, match=r"scores .* when it is computed anew"):
        verify(folder, registry())


def test_compute_that_was_not_charged_is_found(folder: RunFolder) -> None:
    rewrite(folder, lambda one: replace(one, charge=one.charge / 2) if one.kind == "evaluate" else one)
    for deep in (False, True):
        with pytest.raises(VerificationFailed, match=r"costs 1 passes, but was charged as 0\.5"):
            verify(folder, registry(), deep)


def test_a_journal_that_ends_early_or_late_is_found(folder: RunFolder) -> None:
    whole = read_lines(folder.journal).lines
    lines: list[Any] = [*whole[:-1]]
    for kept in (lines, [*whole, replace(whole[-1], number=len(whole) - 1)]):  # type: ignore[type-var]
        write(folder, kept)
        with pytest.raises(VerificationFailed, match=r"the journal (ends before|holds 1 answers)"):
            verify(folder, registry())


def write(folder: RunFolder, lines: Sequence[Any]) -> None:
    seal, texts = b"", []
    for line in lines:
        text, seal = sealed(line if isinstance(line, dict) else line.line(), seal)
        texts.append(text)
    folder.journal.write_bytes(b"".join(texts))


@pytest.mark.parametrize("name", ["hypervolume", "passes_spent", "sure_reduction_at_1", "hypervolume_anytime"])
def test_a_figure_that_was_changed_is_found(name: str, folder: RunFolder) -> None:
    result = folder.result
    write_document(folder.path / "run.json", result | {name: (result[name] or 0.0) + 1e-6})
    with pytest.raises(VerificationFailed, match=f"{name} was written as"):
        verify(folder, registry())


def test_a_front_or_table_that_was_changed_is_found(folder: RunFolder) -> None:
    whole = folder.content("front.npz")
    front = folder.front()
    forge(folder, "front.npz", from_arrays(front | {"test_error": front["test_error"] - 0.01}))
    with pytest.raises(VerificationFailed, match=r"front\.npz: test_error was written as"):
        verify(folder, registry())
    forge(folder, "front.npz", whole)
    frame = folder.evaluations()
    frame.loc[0, "error"] = 0.0
    forge(folder, "evaluations.parquet", from_table(frame))
    with pytest.raises(VerificationFailed, match="evaluations: error was written as"):
        verify(folder, registry())


def test_a_stamp_is_that_of_the_run_as_it_is(folder: RunFolder) -> None:
    assert Stamp.of(folder) is None
    stamp = verify(folder, registry())
    stamp.put(folder)
    assert Stamp.of(folder) == stamp
    assert folder.damage is None
    write_document(folder.path / "run.json", folder.result | {"source": "elsewhere"})
    assert Stamp.of(folder) is None


def test_on_another_machine_rounding_may_differ(folder: RunFolder) -> None:
    result = folder.result
    other = result["environment"] | {"machine": "another"}
    front = folder.front()
    nearly = from_arrays(front | {"test": front["test"] + 1e-5})
    forge(folder, "front.npz", nearly)
    write_document(folder.path / "run.json", folder.result | {"environment": other})
    assert not verify(folder, registry()).exact
    forge(folder, "front.npz", from_arrays(front | {"test": front["test"] + np.float64(0.1)}))
    with pytest.raises(VerificationFailed, match=r"front\.npz: test "):
        verify(folder, registry())
