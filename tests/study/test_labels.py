"""What runs and boards are called: told apart by what differs, without naming machines, packages or paths."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from runs import carried_out, run_of

from pruneframe.study import labels
from pruneframe.study.facts import facts
from pruneframe.study.folder import RunFolder
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table

PLUGIN = '''
from dataclasses import dataclass

import pruneframe as pf

@dataclass(frozen=True, repr=False)
class Own(pf.Method):
    """Evaluates random masks; version {version}."""
    name = "own"
    def search(self, task):
        while True:
            task.evaluate(pf.Masks.pack(task.rng.random((1, task.layout.total)) < 0.9, task.layout))

@pf.hookimpl
def pruneframe_methods():
    return [Own]
'''


def test_one_board_is_called_after_its_problem(small: StudyFolder) -> None:
    assert [board.label for board in facts(small).boards] == ["lenet-digits"]


def test_boards_are_told_apart_by_what_differs(boards: StudyFolder) -> None:
    found = {board.hash: board.label for board in facts(boards).boards}
    assert len(set(found.values())) == len(found) == 4
    for label in found.values():
        assert label.startswith("lenet-digits (units ")
        assert all(rule in label for rule in ("budget", "objectives"))
        assert not any(rule in label for rule in ("batch_norm", "search_images", "threads", "fingerprint"))
    assert any("budget 30" in label for label in found.values())
    assert any("error+params+macs" in label for label in found.values())
    assert {run.board for run in facts(boards).runs} == set(found)


def test_methods_are_told_apart_by_version_where_nothing_else_differs(tmp_path: Path) -> None:
    found = StudyFolder(tmp_path / "study")
    found.prepare({}, {})
    for version in ("one", "two"):
        source = tmp_path / version / "own.py"
        source.parent.mkdir()
        source.write_text(PLUGIN.replace("{version}", version))
        carried_out(run_of("own", budget=5.0, sources=[str(source)]), found.path, [str(source)])
    called = {run.method for run in facts(found).runs}
    assert len(called) == 2
    assert all(re.fullmatch(r"own \(version [0-9a-f]+\)", name) for name in called), "no path, which may name its owner"
    assert called == set(long_table(found)["method"])


def named(problem: str = "toy", **rules: Any) -> dict[str, Any]:
    """A board's identity; its hash is its rules'."""
    return {"problem": problem, "board": str(sorted(rules.items())) + problem, "instance": 0} | rules


def test_boards_are_told_apart_without_naming_machines() -> None:
    machines = ("local-cpu on a fast one", "local-cpu on a slow one", "analytic")
    identities = [named(budget=5.0, target_identity=machine) for machine in machines]
    assert list(labels.boards(identities).values()) == [
        "toy (target local-cpu) #1",
        "toy (target local-cpu) #2",
        "toy (target analytic)",
    ]


def test_a_board_is_told_from_those_of_its_problem_alone() -> None:
    one, two, other = named(budget=5.0), named(budget=7.5), named("other", budget=9.0)
    assert list(labels.boards([one, two, other, one]).values()) == ["toy (budget 5)", "toy (budget 7.5)", "other"]


def test_instances_are_told_where_they_are_not_the_first_alone() -> None:
    own = [named(budget=5.0) | {"instance": number, "fingerprint": f"f{number}"} for number in (0, 1, 2, 5)]
    alone = named(budget=7.5) | {"instance": 3, "fingerprint": "f3"}
    assert list(labels.boards([*own, alone]).values()) == [
        "toy (budget 5), instances 0-2,5",
        "toy (budget 7.5), instance 3",
    ]


def test_an_instance_with_other_weights_or_images_is_on_another_board(tmp_path: Path) -> None:
    """Two machines trained instances 0 and 1 each for themselves."""
    folders = [
        folder(
            tmp_path / f"{machine}{instance}", [], problem="toy", instance=instance, fingerprint=f"{machine}{instance}"
        )
        for instance in (0, 1)
        for machine in "ab"
    ]
    identities = labels.identities_of([*folders, folders[0]])
    assert [identity["board"] for identity in identities.values()] == ["b", "b-2"] * 2
    assert labels.boards(list(identities.values())) == {
        "b": "toy (fingerprint a0), instances 0-1",
        "b-2": "toy (fingerprint b0), instances 0-1",
    }


def folder(path: Path, versions: list[list[str]], **identity: Any) -> RunFolder:
    """A run that has begun."""
    path.mkdir()
    known = {"versions": versions, "method": "own", "board": "b", "instance": 0, "fingerprint": "f"}
    found = RunFolder(path)
    found.begin(known | identity)
    return found


def called(tmp_path: Path, *own: tuple[str, str]) -> list[str]:
    """The names of runs that share one plugin, and have one of their own."""
    folders = [folder(tmp_path / str(n), [["pruneframe", "1"], list(one)]) for n, one in enumerate(own)]
    return list(labels.methods(labels.identities_of(folders)).values())


def test_versions_are_told_apart_without_naming_packages_or_paths(tmp_path: Path) -> None:
    mine, changed, yours = ("/home/me/a.py", "x"), ("/home/me/a.py", "y"), ("/home/you/a.py", "y")
    names = called(tmp_path, mine, changed, yours, mine)
    assert names == ["own (version x)", "own (version y #1)", "own (version y #2)", "own (version x)"]


def test_one_version_is_not_told(tmp_path: Path) -> None:
    assert called(tmp_path, ("a", "x"), ("a", "x")) == ["own", "own"]


def test_versions_are_told_on_the_board_where_they_differ_alone(tmp_path: Path) -> None:
    folders = [
        folder(tmp_path / "0", [["a", "x"]]),
        folder(tmp_path / "1", [["a", "y"]]),
        folder(tmp_path / "2", [["a", "y"]], board="another"),
        folder(tmp_path / "3", [["a", "y"]], method="other"),
        folder(tmp_path / "4", []),
    ]
    told = ["own (version x)", "own (version y)", "own", "other", "own (version another)"]
    assert list(labels.methods(labels.identities_of(folders)).values()) == told


def test_methods_that_are_bundled_have_their_specs_as_names(small: StudyFolder) -> None:
    assert set(labels.methods(labels.identities_of(list(small.runs()))).values()) == {"magnitude", "random"}
