"""The desk: each question replayed, or answered from what is known, or computed, and then charged.

First alone, and then behind the door, where searches are killed and go on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from door import HERE, door, random_masks

from pruneframe import Masks, Recipe
from pruneframe.errors import NotDeterministic
from pruneframe.search.answer import Question
from pruneframe.search.desk import Desk
from pruneframe.search.journal import Journal
from pruneframe.search.ledger import BudgetSpent, Ledger
from pruneframe.search.shelf import Shelf
from pruneframe.search.task import Task
from pruneframe.search.workbench import DENSE
from pruneframe.testing import tiny_problem

ELSEWHERE = {"platform": "elsewhere"}


def about(name: str) -> Question:
    return Question.of("evaluate", mask=name)


def desk(journal: Journal | None = None, budget: float = 10, seed: tuple[int, int] = (0, 1)) -> Desk:
    return Desk(journal or Journal(None, HERE), Ledger(budget), seed)


def never() -> list[Any]:
    pytest.fail("it must not be computed")


def test_what_is_new_is_computed_charged_and_journalled(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", HERE) as journal:
        one = desk(journal)
        assert one.untouched
        answer = one.ask(about("a"), 2.5, lambda: [0.25, 7])
        assert (answer.number, answer.question, answer.values, answer.charge) == (0, about("a"), [0.25, 7], 2.5)
        assert (one.ledger.spent, one.ledger.seconds) == (2.5, answer.seconds)
        assert answer.seconds > 0
        assert not one.untouched
    with Journal(tmp_path / "journal.jsonl", HERE) as journal:
        assert journal.replay(about("a")) == answer


def test_a_repeated_question_is_answered_from_memory_for_nothing_and_journalled_once() -> None:
    one = desk()
    first = one.ask(about("a"), 1.0, lambda: [0.25])
    assert one.knows(about("a"))
    assert one.ask(about("a"), 1.0, never) == first
    assert (one.ledger.spent, one.account.repeats) == (1, 1)
    assert one.ask(about("b"), 1.0, lambda: [0.5]).number == 1
    with pytest.raises(ZeroDivisionError):  # the same about something else is another question
        one.ask(Question.of("probe", mask="a"), 1.0, lambda: [1 / 0])


def test_what_is_replayed_is_charged_as_it_was_and_known_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, HERE) as journal:
        first = desk(journal).ask(about("a"), 2.0, lambda: [0.25])
    size = path.stat().st_size
    with Journal(path, HERE) as journal:
        one = desk(journal)
        assert one.ask(about("a"), 2.0, never) == first
        assert (one.ledger.spent, one.ledger.seconds) == (2.0, first.seconds)
        assert path.stat().st_size == size
        assert one.ask(about("a"), 2.0, never) == first  # past the journal's end
        assert path.stat().st_size == size


def test_under_other_versions_the_earlier_answer_is_charged_and_written_anew(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", HERE) as journal:
        one = desk(journal)
        one.ask(about("a"), 2.0, lambda: [0.25])
        one.ask(about("b"), 2.0, lambda: [0.5])
    with Journal(tmp_path / "journal.jsonl", ELSEWHERE) as journal:
        one = desk(journal)
        answer = one.ask(about("b"), 3.0, never)
        assert (answer.number, answer.values, answer.charge) == (0, [0.5], 3.0)
        assert one.ledger.spent == 3


def test_what_does_not_fit_is_neither_computed_nor_written_and_the_price_is_told() -> None:
    one = desk(budget=1)
    with pytest.raises(BudgetSpent) as refused:
        one.ask(about("a"), 1.5, never)
    assert refused.value.passes == 1.5
    assert one.ledger.spent == 0
    assert one.ask(about("a"), 1.0, lambda: [0.25]).number == 0


@pytest.mark.parametrize("spent", [0.0, 10.0])
def test_what_is_free_leaves_the_desk_untouched_also_where_nothing_is_left_to_spend(spent: float) -> None:
    ledger = Ledger(10)
    ledger.charge(spent)
    one = Desk(Journal(None, HERE), ledger, (0, 1))
    one.ask(about("a"), 0.0, lambda: [0.25])
    assert one.untouched
    if spent:
        with pytest.raises(BudgetSpent):
            one.ask(about("b"), 1.0, never)
    else:
        one.ask(about("b"), 1.0, lambda: [0.25])
    assert one.untouched == bool(spent)


def test_an_answer_that_fails_is_not_charged() -> None:
    one = desk()
    with pytest.raises(ZeroDivisionError):
        one.ask(about("a"), 1.0, lambda: [1 / 0])
    assert one.ledger.spent == 0
    assert one.untouched
    assert one.ask(about("a"), 1.0, lambda: [0.25]).number == 0


def test_only_what_is_neither_replayed_nor_known_must_be_computed_and_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", HERE) as journal:
        one = desk(journal)
        for name in "ab":
            one.ask(about(name), 1.0, lambda: [0.25])
        assert one.to_compute([about(name) for name in "bcac"]) == [1]
        assert one.fitting([about(name) for name in "bcacd"], 8.0) == 4  # c fits, and is known then; d does not
        assert one.fitting([about(name) for name in "bcac"], 9.0) == 1
    with Journal(tmp_path / "journal.jsonl", HERE) as journal:
        assert desk(journal).to_compute([about(name) for name in "abcdca"]) == [2, 3]  # the first two are replayed
    with Journal(tmp_path / "journal.jsonl", ELSEWHERE) as journal:
        assert desk(journal).to_compute([about(name) for name in "acb"]) == [1]


def test_random_numbers_are_those_of_the_seed_the_problem_and_the_question() -> None:
    def drawn(seed: tuple[int, int], text: str) -> float:
        return desk(seed=seed).rng(text).random()

    assert drawn((0, 1), "a") == drawn((0, 1), "a")
    assert len({drawn((0, 1), "a"), drawn((0, 1), "b"), drawn((1, 1), "a"), drawn((0, 2), "a")}) == 4
    seeds = [desk(seed=seed).seed_of(about(name)) for seed, name in (((0, 1), "a"), ((0, 1), "b"), ((1, 1), "a"))]
    assert len(set(seeds)) == 3
    assert desk(seed=(0, 1)).seed_of(about("a")) == seeds[0]


def test_whoever_waits_is_told_the_share_and_the_whole_price(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Any, ...]] = []
    monkeypatch.setattr(Journal, "tell", lambda self, *what: told.append(what))
    tell = desk().teller("training", 8.0)
    for share in (0.25, 0.5):
        tell(share)
    assert [what[:3] for what in told] == [("training", 0.25, 8.0), ("training", 0.5, 8.0)]
    assert 0 <= told[0][3] <= told[1][3]


class Killed(BaseException):
    """Stands for the death of the process."""


def wander(task: Task, seen: list[Any]) -> None:
    """A method that asks all kinds of questions, repeats itself, and draws from the task's randomness alone."""
    seen.append(task.scores("taylor").tolist())
    weights = [DENSE]
    while True:
        masks = Masks.pack(task.rng.random((4, task.layout.total)) < task.rng.uniform(0.3, 1), task.layout)
        masks = Masks.join([masks, masks[[1]], task.layout.full()])
        seen.append(task.evaluate(masks, [weights[i] for i in task.rng.integers(0, len(weights), 6)]).tolist())
        seen.append(task.probe("error", masks[:2], count=10).tolist())
        weights.append(task.train(masks[[0]], weights[-1], Recipe(epochs=1, images=20)))
        seen.append(task.evaluate(masks[:3], weights[-1]).tolist())


def search(folder: Path, stop: int | None = None, environment: Any = HERE) -> tuple[Task, list[Any]]:
    """Let `wander` search with a journal on file; `stop` kills it right after that many new answers were written."""
    seen: list[Any] = []
    with Journal(folder / "journal.jsonl", environment) as journal:
        shelf = Shelf(folder / "weights")
        task = door(tiny_problem("filter"), budget=40, seed=7, journal=journal, shelf=shelf).task
        write, written = journal.write, 0

        def fatal(*arguments: Any) -> Any:
            nonlocal written
            answer = write(*arguments)
            written += 1
            if written == stop:
                raise Killed
            return answer

        journal.write = fatal
        with contextlib.suppress(BudgetSpent, Killed):
            wander(task, seen)
    return task, seen


def outcome(task: Task) -> tuple[Any, ...]:
    """All that must be equal; seconds are what they were when an answer was computed."""
    evaluations = [
        dataclasses.replace(evaluation, seconds=0, own=0, processor=0) for evaluation in task.archive.evaluations
    ]
    return evaluations, task.archive.front()[0].digests(), task.budget.spent, task.rng.random()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Any, ...], list[Any]]:
    task, seen = search(tmp_path_factory.mktemp("undisturbed"))
    return outcome(task), seen


@pytest.mark.parametrize("stop", [1, 2, 5, 8, 9, 10, 13, 20])
def test_a_killed_search_goes_on_as_if_nothing_had_happened(
    stop: int, tmp_path: Path, undisturbed: tuple[tuple[Any, ...], list[Any]]
) -> None:
    search(tmp_path, stop)
    task, seen = search(tmp_path)
    assert (outcome(task), seen) == undisturbed


def test_a_finished_search_is_replayed_without_computing_anything(
    tmp_path: Path, computed: list[str], undisturbed: tuple[tuple[Any, ...], list[Any]]
) -> None:
    first, _ = search(tmp_path)
    assert computed.count("candidate") > 10
    assert computed.count("training") > 1
    size = (tmp_path / "journal.jsonl").stat().st_size
    computed.clear()
    task, seen = search(tmp_path)
    assert computed == []
    assert (outcome(task), seen) == undisturbed
    assert task.account.seconds_by_kind == first.account.seconds_by_kind
    assert (tmp_path / "journal.jsonl").stat().st_size == size


def test_a_resumed_search_computes_only_what_is_missing(tmp_path: Path, computed: list[str]) -> None:
    search(tmp_path / "undisturbed")
    whole = len(computed)
    computed.clear()
    search(tmp_path / "killed", stop=12)
    before = len(computed)
    search(tmp_path / "killed")
    assert len(computed) == whole
    assert 0 < before < whole


def test_seconds_that_the_process_worked_ascend_and_are_kept_on_replay(tmp_path: Path) -> None:
    first, again = (search(tmp_path)[0] for _ in range(2))
    worked = [one.processor for one in first.archive.evaluations]
    assert worked[0] > 0
    assert worked == sorted(worked)
    assert worked[-1] <= first.account.processor_seconds
    assert [one.processor for one in again.archive.evaluations] == worked


def test_waiting_is_no_work(tmp_path: Path) -> None:
    def waiting() -> list[Any]:
        time.sleep(0.2)
        return [1.0]

    answer = desk().ask(about("a"), 1.0, waiting)
    assert answer.processor < answer.seconds


def test_under_other_versions_the_answers_of_the_earlier_session_are_used_and_charged(
    tmp_path: Path, computed: list[str], undisturbed: tuple[tuple[Any, ...], list[Any]]
) -> None:
    search(tmp_path)
    computed.clear()
    task, seen = search(tmp_path, environment=ELSEWHERE)
    assert computed == []
    assert (outcome(task), seen) == undisturbed


def test_a_method_that_asks_something_else_on_replay_is_found_out(tmp_path: Path) -> None:
    search(tmp_path, stop=6)
    with Journal(tmp_path / "journal.jsonl", HERE) as journal:
        task = door(tiny_problem("filter"), journal=journal).task
        with pytest.raises(NotDeterministic, match="question 0 must be scores taylor"):
            task.evaluate(task.layout.full())


def test_answers_are_written_before_the_method_sees_them(tmp_path: Path) -> None:
    journal = Journal(None, HERE)
    task = door(journal=journal).task
    written: list[Question] = []
    write: Callable[..., Any] = journal.write

    def refuse(question: Question, *rest: Any) -> Any:
        if len(written) == 2:
            raise OSError("no space left on device")
        written.append(question)
        return write(question, *rest)

    journal.write = refuse
    with pytest.raises(OSError, match="no space left"):
        task.evaluate(random_masks(task.layout, 4))
    assert len(written) == len(task.archive.evaluations) == 2
    assert task.budget.spent == 2
