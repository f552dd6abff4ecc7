"""`pruneframe remove`: what goes, what stays, and when it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import QUICK, Cli, files

from pruneframe.study.removal import at_work
from pruneframe.study.store import StudyFolder

NSGA2 = ("--method", "nsga2", "--problem", "lenet-digits")


def methods(study: Path) -> list[str]:
    return [run.identity["method"] for run in StudyFolder(study).runs()]


def test_runs_go_and_the_comparison_is_made_anew(cli: Cli, own_study: Path) -> None:
    assert cli("report", own_study, "--html").code == 0
    found = cli("remove", own_study, "--method", "NSGA2", "--problem", "lenet-digits", "--yes")
    assert (found.code, found.out) == (0, "removed 2 runs\n")
    assert sum(line.startswith("nsga2 on lenet-digits, instance 0, seed ") for line in found.err.splitlines()) == 2
    assert methods(own_study) == ["magnitude"] * 2
    assert not (own_study / "runs" / "lenet-digits" / "nsga2").exists()
    assert "nsga2" not in (own_study / "comparison-parts" / "results-1.csv").read_text()
    assert "nsga2" not in (own_study / "comparison.html").read_text()
    told = cli("summary", own_study).out
    assert "nsga2" not in told, "neither in the table nor as missing"


@pytest.mark.usefixtures("undrawn")
def test_who_asks_again_gets_it_again(cli: Cli, own_study: Path) -> None:
    assert cli("remove", own_study, *NSGA2, "--seed", "1", "--yes").code == 0
    assert methods(own_study) == ["magnitude", "magnitude", "nsga2"]
    assert "missing" not in cli("summary", own_study).out
    done = cli("bench", "--methods", "nsga2", *QUICK, "--seeds", "1", "--output", own_study)
    assert done.code == 0, done.err
    assert len(methods(own_study)) == 4
    assert StudyFolder(own_study).settings["removed"] == []


def test_nothing_is_left_to_compare(cli: Cli, own_study: Path) -> None:
    assert cli("report", own_study, "--html").code == 0
    assert cli("remove", own_study, "--problem", "lenet-digits", "--yes").code == 0
    assert {path.name for path in files(own_study)} - {"lock"} == {"study.json"}


def test_it_asks_first(cli: Cli, own_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(own_study)
    unasked = cli("remove", own_study, *NSGA2)
    assert (unasked.code, "Error: --yes must be given" in unasked.err) == (2, True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda *question, **how: False)
    assert cli("remove", own_study, *NSGA2).code == 0
    assert files(own_study) == before
    monkeypatch.setattr("click.confirm", lambda *question, **how: True)
    assert cli("remove", own_study, *NSGA2).out == "removed 2 runs\n"


def test_it_is_refused_while_something_runs_there(cli: Cli, own_study: Path) -> None:
    before = files(own_study)
    with at_work(StudyFolder(own_study)):
        found = cli("remove", own_study, *NSGA2, "--yes")
        assert (found.code, "is in use by another command" in found.err) == (2, True)
    other = next(run for run in StudyFolder(own_study).runs() if run.identity["method"] == "magnitude")
    with other.held(wait=False):
        found = cli("remove", own_study, *NSGA2, "--yes")
        assert (found.code, "is being computed by another process" in found.err) == (2, True)
    with at_work(StudyFolder(own_study), alone=True):
        found = cli("bench", "--methods", "random", *QUICK, "--output", own_study)
        assert (found.code, "is in use by another command" in found.err) == (2, True)
    assert files(own_study) >= before


def test_what_lies_elsewhere_is_not_touched(cli: Cli, own_study: Path, tmp_path: Path) -> None:
    inside, outside = own_study / "runs" / "lenet-digits" / "nsga2", tmp_path / "outside"
    inside.rename(outside)
    inside.symlink_to(outside)
    before = files(outside)
    assert cli("remove", own_study, *NSGA2, "--yes").code == 4, "a link is no run of the study"
    assert files(outside) == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--yes",), 2, "at least one of --method"),
        (("--method", "random", "--yes"), 4, "has no run with method random"),
        (("--seed", "7", "--yes"), 4, "has no run with seed 7"),
    ],
)
def test_what_is_not_there_cannot_be_removed(
    arguments: tuple[str, ...], code: int, words: str, cli: Cli, study: Path
) -> None:
    found = cli("remove", study, *arguments)
    assert (found.code, words in found.error) == (code, True)
