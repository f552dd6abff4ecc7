"""`--problem-file`: a problem of one's own in every command, found again by workers, reruns and merges."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import Cli, files
from declarations import declaration, photographs

QUICK = ("--seeds", "0", "--budget", "6", "--jobs", "1")


@pytest.mark.usefixtures("undrawn")
def test_every_command_knows_it(cli: Cli, here: Path) -> None:
    declaration(here, units="filter", summary="mine alone", source="ours", bibtex="@misc{ours, title = {Ours}}")
    mine = ("--problem-file", "mine.toml")
    assert "mine alone" in cli("list", "problems", *mine).out
    told = cli("info", "mine", *mine).out
    assert "ours" in told
    assert "mine.toml" in told
    assert [line.split()[:2] for line in cli("data", "mine", *mine).out.splitlines()] == [
        ["train", "20"],
        ["search", "30"],
        ["test", "40"],
    ]
    assert "accuracy" in cli("train", "mine", *mine).out
    found = cli("bench", "--methods", "random", *mine, *QUICK)  # the problem that is declared is the one that is meant
    assert found.code == 0, found.err
    again = cli("bench", "--methods", "random", *mine, *QUICK)
    assert again.err.splitlines() == ["1 of 1 runs are already there"]
    study = here / "pruneframe-study"
    (identity,) = (json.loads(path.read_text()) for path in files(study / "runs") if path.name == "identity.json")
    assert identity["problem"] == "mine"
    assert "mine.toml" in dict(identity["versions"])
    shown = cli("summary", "pruneframe-study", "--json").parsed
    assert [row["problem"] for row in shown] == ["mine"]
    rows = ("--problem", "mine", "--method", "random", "-o", "pruned.safetensors", "--max-drop", "100")
    assert cli("export", "pruneframe-study", *rows, *mine).code == 0
    tuned = cli("tune", "random", "--instances", "5", "--trials", "1", "--budget", "6", "--output", "tuned", *mine)
    assert tuned.code == 0, tuned.err


@pytest.mark.usefixtures("undrawn")
def test_a_study_goes_on_where_everything_was_moved_to(cli: Cli, here: Path) -> None:
    declaration(here / "a")
    found = cli("bench", "--methods", "random", "--problem-file", "a/mine.toml", *QUICK, "--output", "study")
    assert found.code == 0, found.err
    shutil.move(here / "a", here / "b")
    again = cli("bench", "--methods", "random", "--problem-file", "b/mine.toml", *QUICK, "--output", "study")
    assert again.err.splitlines() == ["1 of 1 runs are already there"]
    declaration(here / "b", budget=9)
    other = cli("bench", "--methods", "random", "--problem-file", "b/mine.toml", *QUICK, "--output", "study")
    assert other.code == 0
    assert "already there" not in other.err


@pytest.mark.usefixtures("undrawn")
def test_photographs_are_a_problem(cli: Cli, here: Path) -> None:
    photographs(here / "photos")
    data = {"folder": "photos", "search": 6, "test": 3, "resize": 16, "size": 12}
    declaration(here, data=data, units="filter")
    found = cli("bench", "--methods", "magnitude", "--problem-file", "mine.toml", *QUICK)
    assert found.code == 0, found.err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--problem-file", "network.py"), "--problem-file takes a TOML file, FILE.toml, but got 'network.py'"),
        (("--problem-file", "none.toml"), "--problem-file a TOML file, but got"),
        (("--problem-file", "bad.toml"), "bad.toml: budgets: no field is named 'budgets'; did you mean 'budget'?"),
        (("--problem-file", "taken.toml"), "problem 'lenet-digits' is already brought by pruneframe"),
        (("--problem-file", "mine.toml", "--problems", "mime"), "no problem is named 'mime'; did you mean 'mine'?"),
    ],
)
def test_a_fault_is_one_line(option: tuple[str, ...], message: str, cli: Cli, here: Path) -> None:
    declaration(here, budgets=3).rename(here / "bad.toml")
    declaration(here, name="lenet-digits").rename(here / "taken.toml")
    declaration(here)
    before = files(here)
    found = cli("bench", "--methods", "random", *option)
    assert found.code == 2
    assert message in found.error
    assert files(here) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--problems", "lenet-digits"), ["--problem-file", "declares mine", "--problems does not name"]),
        (("--batch-norm", "shifted"), ["--batch-norm shifted is used by nothing", "mine has no batch norm"]),
    ],
)
def test_what_nothing_uses_is_refused(arguments: tuple[str, ...], words: list[str], cli: Cli, here: Path) -> None:
    declaration(here)
    found = cli("bench", "--methods", "random", "--problem-file", "mine.toml", *QUICK, *arguments)
    assert found.code == 2
    assert all(word in found.error for word in words), found.error
    assert not (here / "pruneframe-study").exists()
