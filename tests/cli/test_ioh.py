"""Curves as IOHanalyzer reads them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command import Cli


def test_curves_are_logged_pass_by_pass(cli: Cli, study: Path, here: Path) -> None:
    pytest.importorskip("ioh")
    found = cli("report", study, "--ioh", "paper/curves", "--json")
    assert found.code == 0
    assert [Path(path).name for path in found.parsed] == ["1-magnitude", "2-nsga2"]
    runs = cli("summary", study, "--json").parsed
    for folder in map(Path, found.parsed):
        method = folder.name[2:]
        (file,) = folder.glob("*.json")
        told = json.loads(file.read_text())
        (scenario,) = told["scenarios"]
        assert (told["algorithm"]["name"], told["maximization"]) == (method, True)
        own = [run for run in runs if run["method"] == method]
        assert [one["evals"] for one in scenario["runs"]] == [run["budget"] for run in own]
        assert [one["best"]["y"] for one in scenario["runs"]] == pytest.approx(
            [run["hypervolume_search"] for run in own]
        )
        lines = (folder / scenario["path"]).read_text().splitlines()
        assert lines.count("evaluations raw_y") == len(own)
    assert not list(here.glob("paper/.ioh*"))


def test_a_folder_with_something_in_it_is_refused(cli: Cli, study: Path, here: Path) -> None:
    pytest.importorskip("ioh")
    (here / "curves").mkdir()
    (here / "curves" / "mine.txt").write_text("mine")
    found = cli("report", study, "--ioh", "curves")
    assert found.code == 2
    assert "must name a new or an empty folder" in found.err
    assert (here / "curves" / "mine.txt").read_text() == "mine"


def test_without_the_library_there_is_a_way_out(
    cli: Cli, study: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ioh", None)
    found = cli("report", study, "--ioh", "curves")
    assert found.code == 2
    assert "pip install 'pruneframe[ioh]'" in found.err
    assert not (here / "curves").exists()
