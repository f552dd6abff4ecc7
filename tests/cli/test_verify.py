"""`pruneframe verify` and `pruneframe merge`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import QUICK, Cli, files
from studies import forge

from pruneframe.files import write_document
from pruneframe.study.store import StudyFolder


@pytest.fixture
def own(study: Path, here: Path) -> Path:
    """A study of two methods and two seeds that may be changed."""
    shutil.copytree(study, here / "own")
    return here / "own"


def test_runs_that_come_out_the_same_are_stamped_and_the_report_says_so(cli: Cli, own: Path) -> None:
    found = cli("verify", own, "--method", "magnitude")
    assert found.code == 0, found.err
    assert len(found.out.splitlines()) == 2
    assert "verified: magnitude on lenet-digits, seed 0: " in found.out
    told = {run["method"]: run["verified"] for run in cli("summary", own, "--json").parsed}
    assert told["nsga2"] == ""
    assert told["magnitude"].endswith("the same to the last bit")
    rows = cli("verify", own, "--json").parsed
    assert [row["method"] for row in rows] == ["magnitude", "magnitude", "nsga2", "nsga2"]


def test_the_first_difference_ends_it_with_code_5(cli: Cli, own: Path) -> None:
    folder = next(iter(StudyFolder(own).runs()))
    write_document(folder.path / "run.json", folder.result | {"hypervolume": 0.99})
    found = cli("verify", own)
    assert found.code == 5
    assert "magnitude on lenet-digits, seed 0: hypervolume was written as 0.99, but comes out as" in found.err


def test_a_damaged_run_is_not_verified(cli: Cli, own: Path) -> None:
    folder = next(iter(StudyFolder(own).runs()))
    (folder.path / "front.npz").write_bytes(b"nothing")
    found = cli("verify", own)
    assert found.code == 5
    assert str(folder.path) in found.error


def test_nothing_to_verify(cli: Cli, own: Path) -> None:
    assert cli("verify", own, "--method", "moead").code == 4
    assert cli("verify", "nowhere").code == 2


def test_studies_are_merged_run_by_run(cli: Cli, own: Path, here: Path) -> None:
    other = ("--output", "other", "--seeds", "0")
    assert cli("bench", "--methods", "magnitude,random", *QUICK, *other).code == 0
    before = files(own) | files(here / "other")
    found = cli("merge", own, "other", "-o", "both")
    assert found.code == 0, found.err
    assert "5 runs of 2 studies, 1 of them in several studies and the same there" in found.out
    assert files(own) | files(here / "other") == before
    runs = {(run["method"], run["seed"], run["status"]) for run in cli("summary", "both", "--json").parsed}
    expected = {("magnitude", 0), ("magnitude", 1), ("nsga2", 0), ("nsga2", 1), ("random", 0)}
    assert runs == {(*one, "done") for one in expected}
    assert cli("bench", "--methods", "magnitude,random", *QUICK, "--output", "both", "--seeds", "0").code == 0


def test_a_run_with_two_results_is_refused(cli: Cli, own: Path, here: Path) -> None:
    shutil.copytree(own, here / "other")
    folder = next(iter(StudyFolder(here / "other").runs()))
    write_document(folder.path / "run.json", folder.result | {"hypervolume": 0.99})
    found = cli("merge", own, "other", "-o", "both")
    assert found.code == 5
    assert "differ in hypervolume" in found.error
    assert not (here / "both").exists()


def test_damaged_runs_are_left_out(cli: Cli, own: Path, here: Path) -> None:
    folder = next(iter(StudyFolder(own).runs()))
    forge(folder, "front.npz", b"nothing")
    found = cli("merge", own, "-o", "new", "--json")
    assert found.code == 1
    told = json.loads(found.out)
    assert (told["runs"], len(told["left_out"])) == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["own", "own", "-o", "new"], "once"),
        (["own", "-o", "own"], "own must be an empty folder"),
        (["own", "nowhere", "-o", "new"], "nowhere is not a study"),
    ],
)
@pytest.mark.usefixtures("own")
def test_a_merge_that_cannot_be(arguments: list[str], words: str, cli: Cli, here: Path) -> None:
    found = cli("merge", *arguments)
    assert found.code == 2
    assert words in found.error
    assert not (here / "new").exists()
