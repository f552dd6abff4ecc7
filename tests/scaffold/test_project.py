"""New projects: each kind installs, keeps its own contract and passes its own test as it is written."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from pruneframe.errors import InputError
from pruneframe.hooks import KINDS
from pruneframe.scaffold.project import BENCH, NOUNS, Project, compatible

LONGEST = 40  # lines of the module


def test_every_kind_has_a_template() -> None:
    assert {*NOUNS.values()} == {*KINDS} == {*BENCH}


@pytest.mark.parametrize("noun", NOUNS)
def test_a_project_passes_its_own_test_as_it_is_written(
    noun: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its folder on the path in place of an installation; tests/test_distribution.py installs one."""
    name = f"own-{noun}"
    Project(name, noun).write(tmp_path)
    module = f"own_{noun}"
    source = (tmp_path / f"{module}.py").read_text()
    assert len(source.splitlines()) < LONGEST
    assert "$" not in source
    monkeypatch.syspath_prepend(tmp_path)
    try:
        tests = runpy.run_path(str(tmp_path / "tests" / f"test_{module}.py"))
    finally:
        sys.modules.pop(module, None)
    tests["test_it_keeps_the_contract"]()


@pytest.mark.parametrize("noun", NOUNS)
def test_a_project_is_linted_as_pruneframe_is(noun: str, tmp_path: Path) -> None:
    Project("my-own", noun).write(tmp_path)
    lint = [sys.executable, "-m", "ruff", "--config", str(Path(__file__).parents[2] / "pyproject.toml")]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([*lint[:3], *command, *lint[3:], "--no-cache", "."], cwd=tmp_path, capture_output=True)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_plugins_import_the_public_names_alone(tmp_path: Path) -> None:
    for noun in NOUNS:
        tree = ast.parse(Project("my-own", noun).files()["my_own.py"])
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert "pruneframe" in names
        assert not [name for name in froms if name and name.startswith("pruneframe")]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("My", "be of lower-case letters"),
        ("a--b", "be of lower-case letters"),
        ("-a", "be of lower-case letters"),
        ("1a", "begin with a letter"),
        ("", "begin with a letter"),
        ("a/b", "be of lower-case letters"),
        ("class", "be no word of Python's"),
        ("sequence", "be no word of Python's"),
        ("json", "not be that of an installed module"),
        ("nsga2", "not be that of a method that there is"),
    ],
)
def test_a_bad_name_is_told(name: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        Project(name, "method")


def test_a_kind_is_told_in_words() -> None:
    with pytest.raises(InputError, match="not be that of a kind of units that there is, but got 'weight'"):
        Project("weight", "units")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    for place in (tmp_path, tmp_path / "kept"):
        with pytest.raises(InputError, match="needs a new or empty folder"):
            Project("my-own", "method").write(place)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    (tmp_path / "empty").mkdir()
    assert (tmp_path / "empty" / "my_own.py") in Project("my-own", "method").write(tmp_path / "empty")


def test_the_range_of_versions_ends_with_the_next_minor_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.scaffold.project.metadata.version", lambda name: "2.10.3")
    assert compatible() == ">=2.10,<2.11"
