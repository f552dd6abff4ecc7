"""`pruneframe tune`, and `bench --settings`: what they find, hand on, say and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import METHOD, Cli, files, loaded_by, run_command

from pruneframe.configuration.tuned import TunedSettings
from pruneframe.study.facts import overview
from pruneframe.study.store import StudyFolder

SMALL = ("--budget", "12", "--search-images", "60", "--threads", "1")
TUNE = ("tune", "random,magnitude[scorer=l2]", "--instances", "5", "--trials", "3", *SMALL, "--output", "tuning")
BENCH = ("bench", "--methods", "random,magnitude", "--seeds", "0", *SMALL)
FILE = "tuning/tuned.toml"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder in which something was tuned, for tests that only read it."""
    from command import in_this_process

    folder = tmp_path_factory.mktemp("tuned")
    with in_this_process(folder) as run:
        assert run(*TUNE).code == 0
    return folder / FILE


def test_tune_prints_and_writes_what_it_found_and_repeats_no_run(cli: Cli, here: Path) -> None:
    done = cli(*TUNE)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"settings: {here / FILE}"
    assert "random, trial 1: 0." in done.err
    found = TunedSettings.read(here / FILE)
    assert [(one.asked, one.trials) for one in found.methods] == [("random", 3), ("magnitude[scorer=l2]", 1)]
    assert (found.problems, found.instances, found.seeds, found.trials) == (("lenet-digits",), (5,), (0,), 3)
    assert (found.rules["budget"], found.rules["search_images"]) == (12.0, 60)
    runs = {path: path.stat().st_mtime_ns for path in files(here / "tuning" / "runs")}
    written = (here / FILE).read_text()
    again = cli(*TUNE)
    assert again.out == done.out
    assert "done," not in again.err, "no run was carried out"
    assert {path: path.stat().st_mtime_ns for path in files(here / "tuning" / "runs")} == runs
    assert (here / FILE).read_text() == written
    assert cli(*TUNE, "--json").parsed == found.json() | {"file": str(here / FILE)}


@pytest.mark.usefixtures("undrawn")
def test_bench_runs_with_the_settings_and_the_study_remembers_it(cli: Cli, here: Path, tuned: Path) -> None:
    found = TunedSettings.read(tuned)
    random = found.methods[0]
    done = cli(*BENCH, "--settings", tuned, "--control", "random")
    assert done.code == 0, done.err
    line = f"settings: random runs as {random.spec}, tuned by 3 trials; magnitude is not tuned"
    assert done.err.splitlines().count(line) == 1
    study = StudyFolder(here / "pruneframe-study")
    assert {run.identity["method"] for run in study.runs()} == {random.spec, "magnitude"}
    told = overview(study).tuned
    assert list(told) == [random.spec]
    assert told[random.spec]["asked"] == "random"
    assert told[random.spec]["instances"] == [5]
    assert study.settings["control"] == random.spec
    (command,) = study.settings["commands"]
    assert [one["spec"] for one in command["tuned"]["methods"]] == [random.spec]


def test_a_dry_run_says_what_is_tried_and_writes_nothing(cli: Cli, here: Path) -> None:
    found = cli("tune", "nsga2,magnitude[scorer=l2]", "--dry-run")
    assert "  population: 4 to 100 by factors" in found.out
    assert "  nothing: it has no setting that is tried" in found.out
    spaces = cli("tune", "nsga2", "--dry-run", "--json").parsed
    assert set(spaces["nsga2"]) == {"encoding", "scorer", "variation", "population"}
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nsga3"], 2, ["'nsga3'", "'nsga2'"]),
        (["nsga2[populaton=4]"], 2, ["'populaton'", "'population'"]),
        (["random", "--trials", "0"], 2, ["0", "x>=1"]),
        (["random", "--problems", "lenet-digit"], 2, ["'lenet-digit'", "'lenet-digits'"]),
        (["random", "--instances", "5-"], 2, ["5-"]),
        (["random", "--budget", "0"], 2, ["0 < budget <= 1,000,000,000"]),
        (["netadapt"], 2, ["netadapt"]),
        ([","], 4, ["at least one method"]),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    cli: Cli, here: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    found = cli("tune", *arguments)
    assert found.code == code
    assert all(word in found.error for word in words), found.error
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--methods", "random", "--instances", "4-6"],
            ["other instances", "'lenet-digits', instance 5", "--instances"],
        ),
        (["--methods", "moead,magnitude"], ["moead, magnitude", "random, magnitude[scorer=l2]"]),
        (["--methods", "random", "-p", "no:random"], ["'random'"]),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    cli: Cli, here: Path, tuned: Path, arguments: list[str], words: list[str]
) -> None:
    found = cli("bench", *arguments, "--seeds", "0", *SMALL, "--settings", tuned)
    assert found.code == 2
    assert all(word in found.error for word in words), found.error
    assert list(here.iterdir()) == []


def test_a_method_of_the_file_that_nothing_brings_is_refused(cli: Cli, here: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(METHOD.replace("BODY", "pass"))
    assert cli("tune", "own", "-p", plugin, "--instances", "5", *SMALL, "--output", "own").code == 0
    found = cli(*BENCH, "--settings", here / "own" / "tuned.toml")
    assert found.code == 2
    assert "no method is named 'own'" in found.error


def test_a_damaged_file_is_refused(cli: Cli, here: Path, tuned: Path) -> None:
    changed = here / "changed.toml"
    changed.write_text(tuned.read_text().replace("trials = 3", "trials = 9"))
    found = cli(*BENCH, "--settings", changed)
    assert found.code == 2
    assert "changed.toml must be a file that `pruneframe tune` wrote, but is damaged or was changed" in found.error
    assert cli(*BENCH, "--settings", "none.toml").code == 2
    assert cli(*BENCH, "--settings", tuned.parent / "study.json").code == 2


def test_a_method_that_breaks_as_it_is_named_ends_the_search_with_its_reason(cli: Cli, tmp_path: Path) -> None:
    plugin = tmp_path / "breaks.py"
    plugin.write_text(METHOD.replace("BODY", "raise RuntimeError('on purpose')"))
    found = cli("tune", "own", "-p", plugin, "--instances", "5", *SMALL)
    assert found.code == 2
    assert "but fails: RuntimeError: on purpose (plugin 'breaks' of " in found.err.splitlines()[-1]


def test_optuna_is_imported_by_who_tunes_alone(tuned: Path) -> None:
    wanted = (*BENCH, "--settings", str(tuned), "--dry-run")
    assert "optuna" not in loaded_by(run_command(*wanted), ("optuna",))
    assert "optuna" not in loaded_by(run_command("tune", "nsga2", "--dry-run"), ("optuna", "torch"))


def test_the_study_of_a_tuning_can_be_read(cli: Cli, tuned: Path) -> None:
    rows = cli("summary", tuned.parent, "--json").parsed
    assert len(rows) == 4
    assert {row["status"] for row in rows} == {"done"}
    assert json.loads((tuned.parent / "study.json").read_text())["commands"][0]["methods"] == [
        "random",
        "magnitude[scorer=l2]",
    ]
