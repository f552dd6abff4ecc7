"""Studies that somebody or something has changed: what is damaged is named, mended or refused, and never believed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from runs import assert_same_front, carried_out, run_of, stopped
from studies import forge

from pruneframe.files import write_document
from pruneframe.study.facts import facts, summaries
from pruneframe.study.folder import RunFolder
from pruneframe.study.formats import from_arrays
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table
from pruneframe.study.worker import carry_out

Harm = Callable[[Path], object]


@pytest.fixture(scope="module")
def runs(cache: Path) -> tuple[Run, Run]:
    """Two runs, of which the first keeps scores and trained weights."""
    return run_of("nsga2[encoding=layer-threshold,scorer=taylor]", budget=45.0), run_of("random", budget=6.0)


@pytest.fixture(scope="module")
def whole(runs: tuple[Run, Run], tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Both done."""
    study = StudyFolder(tmp_path_factory.mktemp("damage") / "study")
    study.prepare({}, {})
    for run in runs:
        carried_out(run, study.path)
    return study


@pytest.fixture
def copy(whole: StudyFolder, tmp_path: Path) -> StudyFolder:
    return StudyFolder(Path(shutil.copytree(whole.path, tmp_path / "study")))


def told(study: StudyFolder) -> tuple[object, ...]:
    """All figures of a study, by run; seconds are those that were written down."""
    table = long_table(study)
    found = {run.hash: repr(run.json() | {"folder": ""}) for run in summaries(study)}
    return found, {hash: rows.to_csv(index=False) for hash, rows in table.groupby("method")}


def turned(path: Path, place: int) -> None:
    """Turn one bit of a file over."""
    content = bytearray(path.read_bytes())
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["identity.json", "run.json", "front.npz", "evaluations.parquet"])
def test_a_turned_bit_takes_its_run_out_and_no_other_and_the_next_try_mends_it(
    name: str, copy: StudyFolder, whole: StudyFolder, runs: tuple[Run, Run]
) -> None:
    known, before, folder = told(whole)[0], told(copy)[0], runs[0].folder(copy)
    size = (folder.path / name).stat().st_size
    for place in random.Random(name).sample(range(8 * size), 12):
        turned(folder.path / name, place)
        assert name in str(folder.damage)
        assert [run.hash for run in summaries(copy)] == [runs[1].hash]
        assert len(copy.damages) == 1
        turned(folder.path / name, place)
    assert told(copy)[0] == before == known
    turned(folder.path / name, 8 * (size // 2))
    assert carry_out(runs[0], copy.path, ())["status"] == "done"
    assert folder.damage is None
    assert_same_front(folder, runs[0].folder(whole))


def test_a_turned_bit_of_a_journal_costs_what_follows_and_nothing_else(
    runs: tuple[Run, Run], whole: StudyFolder, tmp_path: Path
) -> None:
    run = runs[1]
    for number, place in enumerate(random.Random(1).choices(range(5000), k=6)):
        folder = stopped(run, tmp_path / str(number), 3)
        answers = folder.answers()
        turned(folder.journal, place % (8 * folder.journal.stat().st_size))
        assert "journal.jsonl is damaged or was changed in line" in str(folder.damage)
        carried_out(run, tmp_path / str(number))
        assert_same_front(folder, run.folder(whole))
        kept = [answer for answer in folder.answers() if answer in answers]
        assert kept == answers[: len(kept)]


def test_a_journal_of_other_versions_is_no_cache_once_it_was_changed(
    runs: tuple[Run, Run], whole: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, name = runs[1], "pruneframe.study.worker.environment"
    with monkeypatch.context() as patch:
        patch.setattr(name, lambda device: {"pruneframe": "another"})
        folder = stopped(run, tmp_path, 3)
    content = folder.journal.read_bytes()
    value = content.index(b'"values":[0.') + len(b'"values":[0.')
    folder.journal.write_bytes(content[:value] + b"0" + content[value + 1 :])
    carried_out(run, tmp_path)
    assert_same_front(folder, run.folder(whole))


def gone(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def garbled(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize("harm", [gone, emptied, torn, garbled, lengthened])
@pytest.mark.parametrize("name", ["identity.json", "run.json", "front.npz", "evaluations.parquet"])
def test_a_damaged_file_takes_its_run_out_and_no_other(
    name: str, harm: Harm, copy: StudyFolder, runs: tuple[Run, Run]
) -> None:
    harm(runs[0].folder(copy).path / name)
    finished = [run.hash for run in summaries(copy) if run.done]
    assert finished == [runs[1].hash]
    assert len(copy.damages) == (0 if (name, harm) == ("run.json", gone) else 1)  # without one it is unfinished


def linked(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folded(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [linked, piped, folded])
@pytest.mark.parametrize("name", ["identity.json", "run.json", "front.npz", "journal.jsonl", "log.txt", "failure.json"])
def test_what_is_no_plain_file_fails_its_run_alone_until_it_is_forced(
    name: str, harm: Harm, copy: StudyFolder, whole: StudyFolder, runs: tuple[Run, Run]
) -> None:
    folder = runs[0].folder(copy)
    (folder.path / name).touch()
    harm(folder.path / name)
    assert f"{name} must be a plain file" in str(folder.damage)
    assert [run.hash for run in summaries(copy)] == [runs[1].hash]
    assert f"{name} must be a plain file" in carry_out(runs[0], copy.path, ())["reason"]
    folder.forget()
    assert carry_out(runs[0], copy.path, ())["status"] == "done"
    assert_same_front(folder, runs[0].folder(whole))


@pytest.mark.parametrize("above", [0, 1, 2, 3])
def test_nothing_outside_a_study_is_read_written_or_removed(
    above: int, copy: StudyFolder, tmp_path: Path, runs: tuple[Run, Run]
) -> None:
    """A folder of a run, or one above it, is a link to where somebody else's files lie."""
    folder = runs[0].folder(copy)
    place = [folder.path, *folder.path.parents][above]
    outside = tmp_path / "outside"
    place.rename(outside)
    place.symlink_to(outside)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    assert runs[0].hash not in [run.hash for run in summaries(copy)]
    assert copy.damages[0].startswith(f"{place} must be a folder")
    assert "must be a folder" in carry_out(runs[0], copy.path, ())["reason"]
    if above == 0:
        folder.forget()
        assert not folder.path.exists()
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before


def test_weights_behind_a_link_are_neither_read_nor_removed(
    copy: StudyFolder, tmp_path: Path, runs: tuple[Run, Run]
) -> None:
    folder = runs[0].folder(copy)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.safetensors").write_bytes(b"mine")
    shutil.rmtree(folder.weights, ignore_errors=True)
    folder.weights.symlink_to(outside)
    assert "weights must be a folder" in carry_out(runs[0], copy.path, ())["reason"]
    folder.forget()
    assert (outside / "mine.safetensors").read_bytes() == b"mine"


def test_scores_that_are_gone_or_damaged_are_computed_again(
    runs: tuple[Run, Run], whole: StudyFolder, tmp_path: Path
) -> None:
    for number, harm in enumerate((gone, emptied, torn, garbled)):
        folder = stopped(runs[0], tmp_path / str(number), 4)
        for path in folder.weights.iterdir():
            harm(path)
        carried_out(runs[0], tmp_path / str(number))
        assert_same_front(folder, runs[0].folder(whole))


FORGERIES: dict[str, Callable[[RunFolder], object]] = {
    "an identity that says nothing": lambda folder: write_document(folder.path / "identity.json", {}),
    "a result that says nothing": lambda folder: write_document(folder.path / "run.json", {}),
    "a failure without a reason": lambda folder: write_document(folder.path / "failure.json", {}),
    "fine-tuning of nothing": lambda folder: write_document(folder.path / "finetuned.json", {"epochs": "many"}),
    "a front without members": lambda folder: forge(folder, "front.npz", from_arrays({"bits": np.zeros(0)})),
    "a front that is none": lambda folder: forge(folder, "front.npz", b"PK\x03\x04"),
    "a table that is none": lambda folder: forge(folder, "evaluations.parquet", b"PAR1PAR1"),
    "files that are not there": lambda folder: write_document(
        folder.path / "run.json", folder.result | {"files": {"../../x": {"bytes": 1, "checksum": ""}}}
    ),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_whoever_makes_checksums_fit_spoils_no_other_run(what: str, copy: StudyFolder, runs: tuple[Run, Run]) -> None:
    FORGERIES[what](runs[0].folder(copy))
    assert len(copy.damages) == 1
    assert [run.hash for run in facts(copy).runs] == [runs[1].hash]
    assert len(long_table(copy))


def test_a_study_whose_own_document_is_damaged_is_refused(copy: StudyFolder) -> None:
    content = (copy.path / "study.json").read_bytes()
    for place in random.Random(0).sample(range(8 * len(content)), 20):
        turned(copy.path / "study.json", place)
        with pytest.raises(Exception, match=r"study\.json"):
            StudyFolder.existing(copy.path)
        turned(copy.path / "study.json", place)
    StudyFolder.existing(copy.path)


def test_what_a_kill_has_left_is_swept(copy: StudyFolder, runs: tuple[Run, Run]) -> None:
    folder = runs[0].folder(copy)
    before = {path for path in copy.path.rglob("*") if path.name != "lock"}
    folder.weights.mkdir(exist_ok=True)
    left = [folder.path / ".unfinished-ab12", folder.weights / ".unfinished-cd34", folder.weights / "0.safetensors"]
    for path in left:
        path.write_bytes(b"half")
    assert carry_out(runs[0], copy.path, ())["status"] == "done"
    assert {path for path in copy.path.rglob("*") if path.name != "lock"} - {folder.weights} == before - {
        folder.weights
    }
