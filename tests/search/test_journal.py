from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneframe import InputError
from pruneframe.errors import Damaged, NotDeterministic
from pruneframe.search.answer import Answer, Follower, Question, read_lines
from pruneframe.search.journal import SYNC_SECONDS, Journal

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


@settings(max_examples=50)
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


@settings(max_examples=60)
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


@pytest.mark.parametrize("damage", [b"{\n", b"\x00\x00\x00\n", b"\n", b"3\n", b"", b'{"number":1}\n'])
def test_what_follows_a_damaged_line_is_not_believed(damage: bytes, path: Path) -> None:
    written = fill(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = damage
    path.write_bytes(b"".join(lines))
    assert read_lines(path).damage == 3
    with Journal(path, HERE) as journal:
        assert [journal.replay(question) for question in QUESTIONS] == [written[0], None, None, None]
        again = journal.write(QUESTIONS[1], [1.0], 1.0, 0.0)
    assert read_lines(path).damage is None
    assert replayed(path) == [written[0], again, None, None]


def test_no_flip_of_any_bit_gives_another_answer(path: Path) -> None:
    written = fill(path)
    raw = path.read_bytes()
    for place in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        found = read_lines(path)
        line = raw[: place // 8].count(b"\n") + 1
        assert found.damage == line
        assert found.lines == [{"session": HERE}, *written][: line - 1]


def test_lines_may_neither_go_nor_change_places(path: Path) -> None:
    fill(path)
    lines = path.read_bytes().splitlines(keepends=True)
    for order, damage in (([0, 2, 3, 4], 2), ([1, 2, 3], 1), ([0, 1, 2, 3, 3], 5), ([0, 2, 1, 3], 2)):
        path.write_bytes(b"".join(lines[number] for number in order))
        assert read_lines(path).damage == damage


def test_a_follower_is_told_each_line_once(path: Path) -> None:
    follower = Follower(path)
    assert follower.news() == []
    written = fill(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:-3])  # the last line is being written
    assert follower.news() == [{"session": HERE}, *written[:-1]]
    assert follower.news() == []
    path.write_bytes(raw)
    assert follower.news() == [written[-1]]
    assert follower.news() == []


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_follower_begins_again_where_a_journal_was_mended(kept: int, path: Path) -> None:
    fill(path)
    follower = Follower(path)
    follower.news()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))
    with Journal(path, HERE) as journal:
        for question in QUESTIONS:
            journal.replay(question)
        journal.write(QUESTIONS[kept - 1], [7.0, 8.0, 9.0, 10.0, 11.0, 12.0], 1.0, 0.0)
    assert follower.news() == read_lines(path).lines


def test_a_follower_tells_nothing_of_a_damaged_journal(path: Path) -> None:
    written = fill(path)
    raw = path.read_bytes()
    follower = Follower(path)
    path.write_bytes(raw.replace(b'"charge":', b'"charge" :', 1))
    with pytest.raises(Damaged, match="line 2"):
        follower.news()
    path.write_bytes(raw)
    assert follower.news() == [{"session": HERE}, *written]


def test_an_answer_that_cannot_be_kept_is_the_last(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a method makes of the error: a line behind half a line would be lost."""
    with Journal(path, HERE) as journal:
        journal.write(asked("a"), [1.0], 1.0, 0.0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, resource.RLIM_INFINITY))
        try:
            for _ in range(2):
                with pytest.raises(OSError, match=r"No space left|File too large"):
                    journal.write(asked("b"), [1.0], 1.0, 0.0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert len(read_lines(path).lines) == 2
    assert read_lines(path).damage is None


def test_a_second_writer_is_refused(path: Path) -> None:
    with Journal(path, HERE) as journal:
        journal.write(asked("a"), [1.0], 1.0, 0.0)
        with pytest.raises(InputError, match="another process"):
            Journal(path, HERE)
        journal.write(asked("b"), [1.0], 1.0, 0.0)
    assert None not in replayed(path, [asked("a"), asked("b")])


def test_a_killed_writer_keeps_nobody_out_and_loses_nothing(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pruneframe.search.journal import Journal\n"
        "from pruneframe.search.answer import Question\n"
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
            found = read_lines(path)
            assert found.lines[-1] == answer
            assert found.whole == path.stat().st_size


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
    assert read_lines(path).lines[0] == {"session": HERE}


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
    sessions = [line["session"] for line in read_lines(path).lines if isinstance(line, dict)]
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
    assert list(lines[0]) == ["session", "checksum"]
    names = ["number", "kind", "about", "values", "charge", "seconds", "own", "processor", "checksum"]
    assert all(list(line) == names for line in lines[1:])
    assert lines[2]["about"] == {"mask": "a", "weights": "dense"}
