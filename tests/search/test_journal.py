from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneframe import InputError
from pruneframe.errors import JournalBroken, NotDeterministic
from pruneframe.search.journal import SYNC_SECONDS, Answer, Journal, Question, read_lines

HERE = {"pruneframe": "1", "platform": "here"}
ELSEWHERE = {"pruneframe": "2", "platform": "here"}


def asked(mask: object, kind: str = "evaluate") -> Question:
    """A question about one mask with the trained weights."""
    return Question.of(kind, mask=str(mask), weights="dense")


SCORES = Question.of("scores", scorer="magnitude")
QUESTIONS = [SCORES, asked("a"), asked("b"), asked("a")]


def fill(path: Path | None, questions: list[Question] = QUESTIONS, environment: Any = HERE) -> list[Answer]:
    with Journal(path, environment) as journal:
        return [
            journal.write(question, [0.1 * i, i], charge=1 / (i + 3), seconds=0.7 * i)
            for i, question in enumerate(questions)
        ]


def replayed(path: Path, questions: list[Question] = QUESTIONS, environment: Any = HERE) -> list[Answer | None]:
    with Journal(path, environment) as journal:
        return [journal.replay(question) for question in questions]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run/journal.jsonl"


def test_a_question_is_its_kind_and_what_it_is_about_by_name() -> None:
    question = asked("a")
    assert (question["mask"], question["weights"], question.text) == ("a", "dense", "a dense")
    assert question == asked("a")
    others = asked("b"), asked("a", "probe"), Question.of("evaluate", mask="a", start="dense"), Question("evaluate")
    assert len({question, *others}) == 5
    with pytest.raises(KeyError):
        question["start"]


def test_answers_are_given_back_in_order_and_exactly(path: Path) -> None:
    written = fill(path)
    assert replayed(path) == written
    assert replayed(path) == written  # replaying changes nothing
    assert [answer.number for answer in written] == [0, 1, 2, 3]


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(allow_nan=False) | st.text() | st.integers(), max_size=4), charge=st.floats(0, 1e9))
def test_every_value_survives_the_journal(
    values: list[Any], charge: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path, HERE) as journal:
        written = journal.write(asked("key"), values, charge, charge)
    assert replayed(path, [asked("key")]) == [written]


def test_past_the_end_there_is_no_answer_and_writing_goes_on(path: Path) -> None:
    fill(path)
    with Journal(path, HERE) as journal:
        for question in QUESTIONS:
            assert journal.replaying
            assert journal.replay(question)
        assert journal.replaying == 0
        assert journal.replay(asked("c")) is None
        assert journal.write(asked("c"), [3.0], 1.0, 0.0).number == 4
    answers = replayed(path, [*QUESTIONS, asked("c"), asked("d")])
    assert answers[4] == Answer(4, asked("c"), [3.0], 1.0, 0.0)
    assert answers[5] is None


@pytest.mark.parametrize("differing", [asked("c"), asked("b", "probe")])
def test_a_differing_question_is_named(differing: Question, path: Path) -> None:
    fill(path)
    with Journal(path, HERE) as journal:
        for question in QUESTIONS[:2]:
            journal.replay(question)
        with pytest.raises(NotDeterministic, match="question 2 must be evaluate b dense") as caught:
            journal.replay(differing)
        assert f"{differing.kind} {differing.text}" in str(caught.value)


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_dropped(cut: int, path: Path) -> None:
    written = fill(path)
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, HERE) as journal:
        assert [journal.replay(question) for question in QUESTIONS] == [*written[:3], None]
        again = journal.write(QUESTIONS[3], [1.0], 1.0, 0.0)
    assert again.number == 3
    assert replayed(path)[3] == again


@settings(deadline=None, max_examples=60)
@given(share=st.floats(0, 1))
def test_wherever_a_journal_is_cut_the_whole_lines_are_kept(
    share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    written = fill(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: round(share * len(raw))])
    whole = max(0, path.read_bytes().count(b"\n") - 1)  # the first line names the session
    expected: list[Answer | None] = [*written[:whole], *[None] * (4 - whole)]
    assert replayed(path) == expected


@pytest.mark.parametrize(
    "damage",
    [
        *(b"{\n", b"\x00\x00\x00\n", b"\n", b"3\n", b'{"number":1}\n'),
        b'{"number":1,"kind":"evaluate","about":"a dense","values":[1],"charge":1,"seconds":1,"own":0}\n',
    ],
    ids=["torn", "zeros", "empty", "number", "lacking", "about no names"],
)
def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(damage: bytes, path: Path) -> None:
    fill(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = damage
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalBroken, match="line 3") as caught:
        Journal(path, HERE)
    assert str(path) in str(caught.value)
    del caught
    gc.collect()  # a file left open would warn here, and not in some later test
    assert path.read_bytes() == b"".join(lines)


def test_a_broken_journal_is_let_go_of(path: Path) -> None:
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"evaluate"', b'"evalu', 1))
    with pytest.raises(JournalBroken):
        Journal(path, HERE)
    path.write_bytes(whole)
    assert None not in replayed(path)


def test_a_second_writer_is_refused(path: Path) -> None:
    with Journal(path, HERE) as journal:
        journal.write(asked("a"), [1.0], 1.0, 0.0)
        with pytest.raises(InputError, match="another process"):
            Journal(path, HERE)
        journal.write(asked("b"), [1.0], 1.0, 0.0)
    assert None not in replayed(path, [asked("a"), asked("b")])


def test_a_killed_writer_keeps_nobody_out_and_loses_nothing(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pruneframe.search.journal import Journal, Question\n"
        f"journal = Journal(Path(sys.argv[1]), {HERE!r})\n"
        "for i in range(3):\n"
        "    journal.write(Question.of('evaluate', mask=str(i), weights='dense'), [i], 1.0, 0.0)\n"
        "print('written', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "written\n"
        with pytest.raises(InputError, match="another process"):
            Journal(path, HERE)
        writer.kill()
        writer.wait()
    answers = replayed(path, [asked(i) for i in range(3)])
    assert [answer and answer.values for answer in answers] == [[0], [1], [2]]


def test_an_answer_is_on_file_before_it_is_given(path: Path) -> None:
    with Journal(path, HERE) as journal:
        for i in range(3):
            answer = journal.write(asked(i), [i], 1.0, 0.0)
            lines, whole = read_lines(path)
            assert lines[-1] == answer
            assert whole == path.stat().st_size


def test_answers_are_forced_to_disk_within_the_promised_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with Journal(path, HERE) as journal:
        journal.write(asked("a"), [1.0], 1.0, 0.0)
        end = time.monotonic() + 20 * SYNC_SECONDS  # generous: the machine may be busy
        while not synced and time.monotonic() < end:
            time.sleep(0.05)
        assert synced


def test_under_other_versions_the_run_starts_over_with_the_journal_as_a_cache(path: Path) -> None:
    fill(path)
    with Journal(path, ELSEWHERE) as journal:
        assert journal.replaying == 0
        assert journal.continued
        assert journal.replay(asked("b")) is None
        assert journal.earlier(asked("b")) == [0.2, 2]
        assert journal.earlier(SCORES) == [0.0, 0]
        assert journal.earlier(asked("c")) is None
        assert journal.earlier(asked("b", "probe")) is None
        assert journal.write(asked("b"), [0.2, 2], 1.0, 0.0).number == 0
    assert read_lines(path)[0][0] == {"session": HERE}


def test_the_last_session_is_replayed_and_the_others_are_its_cache(path: Path) -> None:
    fill(path, [asked("a"), asked("b")])
    second = fill(path, [asked("b")], ELSEWHERE)
    with Journal(path, ELSEWHERE) as journal:
        assert journal.earlier(asked("a")) == [0.0, 0]
        assert journal.replay(asked("b")) == second[0]
        assert journal.replay(asked("a")) is None
    with Journal(path, HERE) as journal:  # the first versions again: also a new session
        assert journal.replaying == 0
        assert journal.earlier(asked("a")) == [0.0, 0]
    sessions = [line["session"] for line in read_lines(path)[0] if isinstance(line, dict)]
    assert sessions == [HERE, ELSEWHERE, HERE]


def test_a_journal_without_a_path_lives_in_memory() -> None:
    with Journal(None, HERE) as journal:
        assert journal.replay(asked("a")) is None
        assert journal.write(asked("a"), [1.0], 1.0, 0.0).number == 0
        assert journal.write(asked("b"), [1.0], 1.0, 0.0).number == 1
        assert journal.earlier(asked("a")) is None


def test_a_journal_holds_one_json_object_a_line(path: Path) -> None:
    fill(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert list(lines[0]) == ["session"]
    names = ["number", "kind", "about", "values", "charge", "seconds", "own", "processor"]
    assert all(list(line) == names for line in lines[1:])
    assert lines[2]["about"] == {"mask": "a", "weights": "dense"}
