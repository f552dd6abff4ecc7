"""`pruneframe summary`."""

from __future__ import annotations

import re
from pathlib import Path

from command import Cli

from pruneframe.study.store import StudyFolder


def test_summary_prints_a_line_per_method(cli: Cli, study: Path) -> None:
    found = cli("summary", study)
    assert (found.code, found.err) == (0, "")
    for method in ("magnitude", "nsga2"):
        (line,) = [line for line in found.out.splitlines() if method in line]
        assert re.search(r"\b2\b", line)


def test_summary_json_has_an_object_per_run(cli: Cli, study: Path) -> None:
    found = cli("summary", study, "--json").parsed
    assert [(run["method"], run["seed"]) for run in found] == [(m, s) for m in ("magnitude", "nsga2") for s in (0, 1)]


def test_summary_says_what_is_claimed_and_of_what(cli: Cli, study: Path) -> None:
    told = " ".join(cli("summary", study).out.split())
    assert "No control was named beforehand: all pairs are tested, and corrected together." in told
    assert "What is claimed holds on this network and split: seeds repeat the search alone." in told
    assert "At equal seconds, by the hypervolume on search images when the quicker of two had made" in told
    assert "did you mean 'nsga2'?" in cli("summary", study, "--control", "nsga3").error


def test_summary_says_what_has_not_begun(cli: Cli, tmp_path: Path) -> None:
    begun = StudyFolder(tmp_path / "begun")
    begun.prepare({}, {"pruneframe": "0"})
    assert cli("summary", begun.path).out == "no runs yet\n"
    assert cli("summary", begun.path, "--json").parsed == []
    begun.prepare(
        {"problems": ["lenet-digits"], "methods": ["random"], "instances": [0], "seeds": [3]}, {"pruneframe": "0"}
    )
    assert cli("summary", begun.path).out == "missing: random on lenet-digits, seed 3\n"


def test_what_is_not_known_of_a_run_is_null(cli: Cli, own_study: Path) -> None:
    done = cli("summary", own_study, "--json").parsed[0]
    (own_study / "runs" / "lenet-digits" / "magnitude" / f"0-0-{done['hash']}" / "run.json").unlink()
    partial = cli("summary", own_study, "--json").parsed[0]
    assert partial.keys() == done.keys()
    assert {name for name, value in done.items() if value is None} <= {name for name in done if name[:5] == "sure_"}
    unknown = {name for name, value in partial.items() if value is None}
    assert {"hypervolume", "front_size", "deterministic", "dense_error", "reduction_at_1"} <= unknown
    same = ("hash", "status", "hypervolume_search", "passes_spent", "evaluations")
    assert [partial[name] == done[name] for name in same] == [True, False, True, True, True]
    assert "partial: magnitude on lenet-digits, seed 0\n" in cli("summary", own_study).out
