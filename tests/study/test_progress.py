"""What a run has done so far, read while its journal grows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runs import carried_out, run_of, stopped

from pruneframe.files import write_document
from pruneframe.search.answer import Question
from pruneframe.search.journal import Journal
from pruneframe.study import progress as module
from pruneframe.study.facts import summaries
from pruneframe.study.machine import environment
from pruneframe.study.progress import DONE, WAITING, Progress
from pruneframe.study.result import Look
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    found = StudyFolder(tmp_path)
    found.prepare({}, {})
    return found


@pytest.fixture(scope="module")
def run(cache: Path) -> Run:
    return run_of("random")


def test_it_follows_a_journal_while_it_grows(study: StudyFolder, run: Run) -> None:
    progress = Progress(run.folder(study), run.budget)
    progress.refresh()
    assert (progress.spent, progress.evaluations, progress.hypervolume, progress.seconds_left) == (0, 0, 0.0, None)
    assert progress.state == WAITING
    volumes = []
    for number in (4, 9):
        stopped(run, study.path, number)
        progress.refresh()
        assert progress.spent == pytest.approx(number)  # question 0 are the scores, which look at no image
        assert progress.seconds_left == pytest.approx(progress.seconds / number * (20 - number))
        volumes.append(progress.hypervolume)
    assert 0 < volumes[0] <= volumes[1]
    carried_out(run, study.path)
    progress.refresh()
    assert progress.spent == 20
    (summary,) = summaries(study)
    assert progress.hypervolume == pytest.approx(summary.hypervolume_search)
    assert progress.state == DONE
    assert progress.seconds_left == 0


def test_a_long_answer_is_shown_while_it_is_computed(
    study: StudyFolder, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(run, study.path, 4)
    progress = Progress(run.folder(study), run.budget)
    progress.refresh()
    assert (progress.spent, progress.state) == (4, "searching")
    seconds = progress.seconds
    with Journal(progress.folder.journal, environment(run.device)) as journal:
        journal.tell("tuning", 0.25, 8.0, 3.0)
        journal.tell("tuning", 0.5, 8.0, 6.0)  # too soon after the one before
        progress.refresh()
        assert (progress.passes, progress.state) == (4 + 2, "searching (tuning, 25%)")
        assert (progress.spent, progress.seconds) == (4, seconds)  # a kill would lose the rest
        assert progress.seconds_left == pytest.approx((seconds + 3) / 6 * (20 - 6))
        journal.write(Question.of("tune", scores="key"), ["id"], 8.0, 12.0)
        progress.refresh()
        assert (progress.passes, progress.spent, progress.state) == (4 + 8, 4 + 8, "searching")
        monkeypatch.setattr("pruneframe.search.journal.SYNC_SECONDS", 0.0)
        journal.tell("training", 0.5, 8.0, 6.0)
    progress.refresh()
    assert (progress.spent, progress.state) == (4 + 8, "searching")  # nothing is under way where nobody computes
    left_behind = progress.folder.journal.with_suffix(".underway")
    write_document(left_behind, {"what": "training", "share": 0.5, "charge": 4.0, "seconds": 6.0})
    progress.refresh()
    assert progress.passes == 4 + 8 + 4
    os.utime(left_behind, (0, 0))
    progress.refresh()
    assert progress.passes == 4 + 8


def test_the_measuring_of_a_front_is_shown_member_by_member(
    study: StudyFolder, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress(run.folder(study), run.budget)
    states: list[str] = []
    answer = Look._answer

    def seen(look: Look, *about: object) -> object:
        found = answer(look, *about)  # type: ignore[arg-type] # whatever it is asked
        progress.refresh()
        states.append(progress.state)
        assert progress.seconds_left is not None
        left = progress.members - len(states)
        assert progress.seconds_left == pytest.approx(progress.measuring / len(states) * left)
        return found

    monkeypatch.setattr(Look, "_answer", seen)
    front = len(carried_out(run, study.path).front()["bits"])
    answers = 2 * (1 + front)  # the unpruned network and each member, on search and on test
    assert states == [f"measuring its front ({number + 1} of {answers})" for number in range(answers)]
    progress.refresh()
    assert (progress.spent, progress.state) == (20, DONE)


def test_more_members_are_not_measured_than_a_front_may_have(
    study: StudyFolder, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried_out(run, study.path)
    progress = Progress(run.folder(study), run.budget)
    progress.refresh()
    assert progress.members == progress.measured > 4
    monkeypatch.setattr(module, "FRONT_LIMIT", 1)
    assert progress.members == 4


def test_it_keeps_the_front_alone_and_reads_each_line_once(
    study: StudyFolder, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    true = Progress._take
    monkeypatch.setattr(Progress, "_take", lambda self, answer: taken.append(answer.number) or true(self, answer))
    progress = Progress(run.folder(study), run.budget)
    for number in (4, 9):
        stopped(run, study.path, number)
        progress.refresh()
        progress.refresh()
    once = Progress(run.folder(study), run.budget)
    before = len(taken)
    once.refresh()
    assert (once.spent, once.evaluations, once.points) == (progress.spent, progress.evaluations, progress.points)
    assert 0 < len(progress.points) < progress.evaluations
    assert taken[:before] == taken[before:]
