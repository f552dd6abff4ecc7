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
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pruneframe import InputError
from pruneframe.errors import JournalBroken, NotDeterministic
from pruneframe.journal import SYNC_SECONDS, Answer, Journal, Shelf, read_lines
from pruneframe.network import digest

HERE = {"pruneframe": "1", "platform": "here"}
ELSEWHERE = {"pruneframe": "2", "platform": "here"}
QUESTIONS = [("scores", "magnitude"), ("evaluate", "a dense"), ("evaluate", "b dense"), ("evaluate", "a dense")]


def fill(path: Path | None, questions: list[tuple[str, str]] = QUESTIONS, environment: Any = HERE) -> list[Answer]:
    with Journal(path, environment) as journal:
        return [
            journal.write(kind, key, [0.1 * i, i], charge=1 / (i + 3), seconds=0.7 * i)
            for i, (kind, key) in enumerate(questions)
        ]


def replayed(path: Path, questions: list[tuple[str, str]] = QUESTIONS, environment: Any = HERE) -> list[Answer | None]:
    with Journal(path, environment) as journal:
        return [journal.replay(kind, key) for kind, key in questions]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run/journal.jsonl"


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
        written = journal.write("evaluate", "key", values, charge, charge)
    assert replayed(path, [("evaluate", "key")]) == [written]


def test_past_the_end_there_is_no_answer_and_writing_goes_on(path: Path) -> None:
    fill(path)
    with Journal(path, HERE) as journal:
        for kind, key in QUESTIONS:
            assert journal.replaying
            assert journal.replay(kind, key)
        assert journal.replaying == 0
        assert journal.replay("evaluate", "c dense") is None
        assert journal.write("evaluate", "c dense", [3.0], 1.0, 0.0).number == 4
    answers = replayed(path, [*QUESTIONS, ("evaluate", "c dense"), ("evaluate", "d dense")])
    assert answers[4] == Answer(4, "evaluate", "c dense", [3.0], 1.0, 0.0)
    assert answers[5] is None


@pytest.mark.parametrize("question", [("evaluate", "c dense"), ("probe", "b dense")])
def test_a_differing_question_is_named(question: tuple[str, str], path: Path) -> None:
    fill(path)
    with Journal(path, HERE) as journal:
        for kind, key in QUESTIONS[:2]:
            journal.replay(kind, key)
        with pytest.raises(NotDeterministic, match="question 2 must be evaluate b dense") as caught:
            journal.replay(*question)
        assert " ".join(question) in str(caught.value)


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_dropped(cut: int, path: Path) -> None:
    written = fill(path)
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, HERE) as journal:
        assert [journal.replay(kind, key) for kind, key in QUESTIONS] == [*written[:3], None]
        again = journal.write(*QUESTIONS[3], [1.0], 1.0, 0.0)
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
    [b"{\n", b"\x00\x00\x00\n", b"\n", b"3\n", b'{"number":1}\n'],
    ids=["torn", "zeros", "empty", "number", "lacking"],
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
        journal.write("evaluate", "a dense", [1.0], 1.0, 0.0)
        with pytest.raises(InputError, match="another process"):
            Journal(path, HERE)
        journal.write("evaluate", "b dense", [1.0], 1.0, 0.0)
    assert None not in replayed(path, [("evaluate", "a dense"), ("evaluate", "b dense")])


def test_a_killed_writer_keeps_nobody_out_and_loses_nothing(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pruneframe.journal import Journal\n"
        f"journal = Journal(Path(sys.argv[1]), {HERE!r})\n"
        "for i in range(3): journal.write('evaluate', f'{i} dense', [i], 1.0, 0.0)\n"
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
    answers = replayed(path, [("evaluate", f"{i} dense") for i in range(3)])
    assert [answer and answer.values for answer in answers] == [[0], [1], [2]]


def test_an_answer_is_on_file_before_it_is_given(path: Path) -> None:
    with Journal(path, HERE) as journal:
        for i in range(3):
            journal.write("evaluate", f"{i} dense", [i], 1.0, 0.0)
            lines, whole = read_lines(path)
            assert lines[-1]["key"] == f"{i} dense"
            assert whole == path.stat().st_size


def test_answers_are_forced_to_disk_within_the_promised_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with Journal(path, HERE) as journal:
        journal.write("evaluate", "a dense", [1.0], 1.0, 0.0)
        end = time.monotonic() + 20 * SYNC_SECONDS  # generous: the machine may be busy
        while not synced and time.monotonic() < end:
            time.sleep(0.05)
        assert synced


def test_under_other_versions_the_run_starts_over_with_the_journal_as_a_cache(path: Path) -> None:
    fill(path)
    with Journal(path, ELSEWHERE) as journal:
        assert journal.replaying == 0
        assert journal.replay("evaluate", "b dense") is None
        assert journal.earlier("evaluate", "b dense") == [0.2, 2]
        assert journal.earlier("scores", "magnitude") == [0.0, 0]
        assert journal.earlier("evaluate", "c dense") is None
        assert journal.earlier("probe", "b dense") is None
        assert journal.write("evaluate", "b dense", [0.2, 2], 1.0, 0.0).number == 0
    assert read_lines(path)[0][0] == {"session": HERE}


def test_the_last_session_is_replayed_and_the_others_are_its_cache(path: Path) -> None:
    fill(path, [("evaluate", "a dense"), ("evaluate", "b dense")])
    second = fill(path, [("evaluate", "b dense")], ELSEWHERE)
    with Journal(path, ELSEWHERE) as journal:
        assert journal.earlier("evaluate", "a dense") == [0.0, 0]
        assert journal.replay("evaluate", "b dense") == second[0]
        assert journal.replay("evaluate", "a dense") is None
    with Journal(path, HERE) as journal:  # the first versions again: also a new session
        assert journal.replaying == 0
        assert journal.earlier("evaluate", "a dense") == [0.0, 0]
    sessions = [line["session"] for line in read_lines(path)[0] if "session" in line]
    assert sessions == [HERE, ELSEWHERE, HERE]


def test_a_journal_without_a_path_lives_in_memory() -> None:
    with Journal(None, HERE) as journal:
        assert journal.replay("evaluate", "a") is None
        assert journal.write("evaluate", "a", [1.0], 1.0, 0.0).number == 0
        assert journal.write("evaluate", "b", [1.0], 1.0, 0.0).number == 1
        assert journal.earlier("evaluate", "a") is None


def test_a_journal_holds_one_json_object_a_line(path: Path) -> None:
    fill(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert list(lines[0]) == ["session"]
    assert all(list(line) == ["number", "kind", "key", "values", "charge", "seconds"] for line in lines[1:])


def tensors(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "weight": torch.randn(4, 3, generator=generator),
        "counter": torch.tensor(7),
        "turned": torch.randn(4, 3, generator=generator).T,
    }


def test_a_shelf_gives_back_what_was_put_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "weights")
    name = shelf.put(tensors())
    assert name == digest(tensors())
    for reader in (shelf, Shelf(tmp_path / "weights")):
        found = reader.get(name)
        assert all(torch.equal(found[key], tensor) for key, tensor in tensors().items())
        assert found.keys() == tensors().keys()


def test_equal_tensors_are_kept_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "weights")
    assert shelf.put(tensors()) == shelf.put(tensors())
    assert shelf.put(tensors(1)) != shelf.put(tensors())
    assert len(list((tmp_path / "weights").iterdir())) == 2


def test_a_shelf_holds_what_was_used_last_and_reads_the_rest_again(tmp_path: Path) -> None:
    size = sum(tensor.nbytes for tensor in tensors().values())
    shelf = Shelf(tmp_path, limit=2 * size)
    first, second, third = (shelf.put(tensors(seed)) for seed in range(3))
    held = shelf.get(second)
    assert shelf.get(third) is not None
    assert shelf.get(second) is held
    assert torch.equal(shelf.get(first)["weight"], tensors(0)["weight"])
    assert shelf.get(second) is held
    assert len(shelf._held) == 2
    memory = Shelf(None, limit=0)
    names = [memory.put(tensors(seed)) for seed in range(3)]
    assert all(torch.equal(memory.get(name)["weight"], tensors(i)["weight"]) for i, name in enumerate(names))


def test_a_shelf_removes_the_files_that_are_not_wanted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first, second = shelf.put(tensors()), shelf.put(tensors(1))
    shelf.keep_only([second, "dense"])
    assert [path.stem for path in tmp_path.iterdir()] == [second]
    with pytest.raises(InputError, match=first):
        Shelf(tmp_path).get(first)
    Shelf(None).keep_only([])


def flip_one_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def exchange(path: Path) -> None:
    other = Shelf(path.parent).put(tensors(1))
    path.write_bytes((path.parent / f"{other}.safetensors").read_bytes())


@pytest.mark.parametrize("spoil", [flip_one_byte, truncate, exchange, Path.unlink])
def test_a_spoilt_file_is_refused_by_name(spoil: Any, tmp_path: Path) -> None:
    name = Shelf(tmp_path).put(tensors())
    path = tmp_path / f"{name}.safetensors"
    spoil(path)
    with pytest.raises(InputError, match="--force") as caught:
        Shelf(tmp_path).get(name)
    assert str(path) in str(caught.value)


def test_a_shelf_without_a_folder_lives_in_memory() -> None:
    shelf = Shelf(None)
    name = shelf.put(tensors())
    assert torch.equal(shelf.get(name)["weight"], tensors()["weight"])
    with pytest.raises(InputError, match="'nothing'"):
        shelf.get("nothing")


def test_tensors_that_share_memory_are_kept(tmp_path: Path) -> None:
    """Networks with tied weights have such states."""
    weight = torch.randn(3, 3)
    shared = {"first": weight, "second": weight, "row": weight[0]}
    name = Shelf(tmp_path).put(shared)
    found = Shelf(tmp_path).get(name)
    assert all(torch.equal(found[key], tensor) for key, tensor in shared.items())
