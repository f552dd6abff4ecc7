"""`pruneframe reproduce`: a stranger's method with the experiments of its paper, as far as they are at hand here."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from command import Cli, files

from pruneframe.study.store import StudyFolder

PLUGIN = '''
from dataclasses import dataclass

import numpy as np

import pruneframe as pf

SMALL = pf.Scale(20, search_images=100, seeds=(0, 1))

@dataclass(frozen=True, repr=False)
class Own(pf.Method):
    """Removes what is smallest."""

    name = "own"
    steps: int = pf.setting(8, "masks", least=1)
    experiments = (
        pf.Experiment(
            "lenet-digits",
            "They, 2020",
            (
                pf.Finding("a third removed", "table 1", ("own",), published=1 / 3, loss=10.0),
                pf.Finding("half of the computation", "abstract", ("own[steps=4]", "own"), "macs", 2.0, loss=10.0),
            ),
            "Their digits are larger.",
            smoke=SMALL,
            full=pf.Scale(500, seeds=(0, 1, 2)),
            objectives=("error", "params", "macs"),
        ),
        pf.Experiment("theirs", "They, 2020", (pf.Finding("all", "a talk", ("own",)),), "", smoke=SMALL),
    )

    def search(self, task):
        scores = task.scores("magnitude")
        BODY
        for share in np.linspace(0.1, 0.9, self.steps):
            task.evaluate(pf.Masks.pack((scores >= np.quantile(scores, share))[None], task.layout))


@pf.hookimpl
def pruneframe_methods():
    return [Own]
'''

OTHERS = """
from dataclasses import replace

import pruneframe as pf
from pruneframe.testing import TinyNetwork, tiny_problem

tiny = tiny_problem()

def absent():
    raise pf.InputError("the images are not on this machine")

@pf.hookimpl
def pruneframe_problems():
    untrained = replace(tiny, network=TinyNetwork, weights=pf.Trained(pf.Recipe(epochs=1)))
    return [replace(untrained, name="theirs"), replace(tiny, name="absent", data=absent)]
"""


@pytest.fixture
def own(here: Path) -> tuple[str, ...]:
    """What names the plugin."""
    (here / "own.py").write_text(PLUGIN.replace("BODY", "pass"))
    return ("-p", "own.py")


def test_the_experiment_of_the_documentation_is_carried_out(cli: Cli, here: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    (here / "largest.py").write_text(block)
    found = cli("reproduce", "largest", "-p", "largest.py", "--json")
    assert [(row["method"], row["published"]) for row in found.parsed["rows"]] == [
        ("largest", 0.6),
        ("largest[scorer=lamp]", 2.0),
    ]
    assert all(row["finished"] == 2 for row in found.parsed["rows"])


NOT_THERE = "not at hand: theirs: no plugin brings this problem"


def test_published_stands_beside_measured_and_what_is_there_is_not_done_again(
    cli: Cli, here: Path, own: tuple[str, ...]
) -> None:
    done = cli("reproduce", "own", *own)
    assert done.code == 0, done.err
    told = done.err.splitlines()
    assert told[0] == NOT_THERE
    assert told[1].startswith(
        "lenet-digits: own, own[steps=4], 20 passes of 100 images; 4 of 4 runs are missing, about"
    )
    assert told[2].startswith("in all about ")
    study = here / "pruneframe-own-smoke"
    paths = [study / name for name in ("reproduction.csv", "reproduction.json", "comparison.pdf")]
    assert done.out.splitlines()[-4:] == [*map(str, paths[:2]), "", f"comparison: {paths[2]}"]
    assert paths[2].read_bytes().startswith(b"%PDF")
    for words in (
        "a third removed",
        "They, 2020",
        "Their digits are larger.",
        "of the parameters removed",
        "less macs",
    ):
        assert words.split()[-1] in done.out

    found = json.loads(paths[1].read_text())
    assert [(row["method"], row["saving"], row["published"]) for row in found["rows"]] == [
        ("own", "parameters", 1 / 3),
        ("own[steps=4]", "macs", 2.0),
        ("own", "macs", 2.0),
    ]
    assert all((row["runs"], row["finished"], len(row["saved"])) == (2, 2, 2) for row in found["rows"])
    assert found["not_at_hand"] == {"theirs": "no plugin brings this problem"}
    with paths[0].open() as file:
        assert [row["reported"] for row in csv.DictReader(file)] == [row["reported"] for row in found["rows"]]

    runs = {path: path.stat().st_mtime_ns for path in files(study / "runs")}
    again = cli("reproduce", "own", *own, "--json")
    assert again.parsed == found
    assert again.err.splitlines()[1:] == [
        "lenet-digits: own, own[steps=4], 20 passes of 100 images; 0 of 4 runs are missing",
        "4 of 4 runs are already there",
    ]
    assert {path: path.stat().st_mtime_ns for path in files(study / "runs")} == runs
    assert StudyFolder(study).settings["commands"][0]["reproduces"] == "own"


def test_a_dry_run_estimates_and_writes_nothing(cli: Cli, here: Path, own: tuple[str, ...]) -> None:
    asked = ("reproduce", "own", *own, "--seeds", "3", "--dry-run")
    (told,) = cli(*asked, "--json").parsed["experiments"]
    assert (told["problem"], told["runs"], told["missing"], told["budget"]) == ("lenet-digits", 2, 2, 20)
    assert told["searching_seconds"] > 0
    assert told["measuring_seconds"] > told["searching_seconds"], "the front may have 101 members on more images"
    assert cli(*asked).out.startswith("lenet-digits: own, own[steps=4], 20 passes of 100 images; 2 of 2 runs")
    assert list(here.iterdir()) == [here / "own.py"]


def test_who_sits_there_is_asked_and_may_say_no(
    cli: Cli, here: Path, own: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def confirm(question: str, **how: bool) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr("click.confirm", confirm)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    found = cli("reproduce", "own", *own, "--output", "study")
    assert (found.code, found.out) == (0, "")
    assert asked == [f"Begin, in {here / 'study'}?"]
    assert not (here / "study").exists()


@pytest.mark.usefixtures("undrawn")
def test_nobody_is_asked_who_has_said_yes(cli: Cli, own: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.confirm", lambda *question, **how: pytest.fail("somebody was asked"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    found = cli("reproduce", "own", *own, "--seeds", "0", "--yes", "--json")
    assert all(row["runs"] == 1 for row in found.parsed["rows"])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("random",), "method 'random' declares no experiment of a paper"),
        (("own", "--scale", "cpu"), "no experiment of 'own' can be carried out here at the scale cpu"),
        (("own", "--problems", "theirs"), "no experiment of 'own' can be carried out here at the scale smoke"),
    ],
)
def test_where_nothing_can_run_the_exit_code_is_4(
    asked: tuple[str, ...], words: str, cli: Cli, here: Path, own: tuple[str, ...]
) -> None:
    found = cli("reproduce", *asked, *own)
    assert found.code == 4
    assert found.err.splitlines()[-1] == f"Error: {words}"
    assert list(here.iterdir()) == [here / "own.py"]


def test_a_scale_that_is_not_offered_is_said_to_be_none(cli: Cli, own: tuple[str, ...]) -> None:
    told = cli("reproduce", "own", *own, "--scale", "cpu").err
    assert told.startswith("not at hand: lenet-digits: it is not offered at the scale cpu\n")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("owm",), "no method is named 'owm'; did you mean 'own'?"),
        (("own", "--problems", "their"), "no problem of 'own' is named 'their'; did you mean 'theirs'?"),
        (("own", "--seeds", "x"), "seeds"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    asked: tuple[str, ...], words: str, cli: Cli, here: Path, own: tuple[str, ...]
) -> None:
    found = cli("reproduce", *asked, *own)
    assert found.code == 2
    assert words in found.err.splitlines()[-1]
    assert list(here.iterdir()) == [here / "own.py"]


@pytest.mark.usefixtures("undrawn")
def test_networks_are_not_trained_unasked(cli: Cli, here: Path, own: tuple[str, ...]) -> None:
    (here / "others.py").write_text(OTHERS)
    asked = ("reproduce", "own", *own, "-p", "others.py", "--problems", "theirs", "--dry-run")
    found = cli(*asked)
    assert found.code == 4
    assert found.err.splitlines()[0] == (
        "not at hand: theirs: its weights are not trained yet; pruneframe train theirs does that"
    )
    assert cli("train", "theirs", "-p", "others.py").code == 0
    assert cli(*asked, "--json").code == 4, "it has fewer search images than the scale asks for"


def test_data_that_are_not_there_are_one_line(cli: Cli, here: Path) -> None:
    (here / "others.py").write_text(OTHERS)
    (here / "own.py").write_text(PLUGIN.replace("BODY", "pass").replace('"theirs"', '"absent"'))
    found = cli("reproduce", "own", "-p", "own.py", "-p", "others.py", "--dry-run")
    assert found.code == 0
    assert found.err.splitlines() == ["not at hand: absent: the images are not on this machine"]


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_fails_leaves_a_table_that_says_so(cli: Cli, here: Path) -> None:
    (here / "own.py").write_text(PLUGIN.replace("BODY", "task.evaluate(task.layout.full()); raise KeyError('oh')"))
    found = cli("reproduce", "own", "-p", "own.py", "--seeds", "0")
    assert found.code == 1
    assert "none: no" in found.out
    assert "Failed: " in found.err
    rows = json.loads((here / "pruneframe-own-smoke" / "reproduction.json").read_text())["rows"]
    assert [(row["finished"], row["saved"]) for row in rows] == [(0, [])] * 3


SECOND = '("own[steps=4]", "own"), "macs"'


@pytest.mark.parametrize(
    ("instead", "wrong"), [('("random",), "macs"', "'random'"), ('("own",), "latency"', "'latency'")]
)
def test_what_is_declared_wrongly_is_said_so(instead: str, wrong: str, cli: Cli, here: Path) -> None:
    (here / "own.py").write_text(PLUGIN.replace("BODY", "pass").replace(SECOND, instead))
    found = cli("reproduce", "own", "-p", "own.py")
    assert found.code == 4
    reason = f"it is declared wrongly: {wrong} is neither 'own' nor anything that is measured here"
    assert found.err.splitlines()[0] == f"not at hand: lenet-digits: {reason}"


@pytest.mark.usefixtures("undrawn")
def test_layers_are_timed_once_and_latency_is_looked_up(
    cli: Cli, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    timed = 'objectives=("error", "latency"), units="filter", timed_on="local-cpu[repeats=3,warmup=1]"'
    text = PLUGIN.replace("BODY", "pass").replace(SECOND, '("own",), "latency"')
    (here / "own.py").write_text(text.replace('objectives=("error", "params", "macs")', timed))
    found = cli("reproduce", "own", "-p", "own.py", "--json")
    (table,) = (tmp_path / "cache" / "profiles").iterdir()
    assert table.name.startswith("lenet-digits-")
    assert f"the table is {table}" in found.err
    row = found.parsed["rows"][1]
    assert row["saving"] == "latency"
    assert all(value > 0 for value in row["saved"])  # three passes of a layer on a busy machine may take longer, pruned
    again = cli("reproduce", "own", "-p", "own.py", "--json")
    assert "timing" not in again.err
    assert again.parsed == found.parsed
    (command,) = StudyFolder(here / "pruneframe-own-smoke").settings["commands"]
    assert command["target"] == f"lookup-table[table={table}]"
