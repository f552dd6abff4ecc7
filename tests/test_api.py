"""The public names, and that none of them is loaded before it is used."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from command import loaded_by, run_command

import pruneframe
from pruneframe import kit
from pruneframe.cli.main import COMMANDS

DOORS = [pruneframe, kit]
SELF_EXPLANATORY = {"name", "problem", "method", "seed", "board", "caption", "text", "kind", "epochs"}


@pytest.mark.parametrize("package", DOORS)
def test_every_public_name_resolves(package: ModuleType) -> None:
    assert all(getattr(package, name) is not None for name in package.__all__)


@pytest.mark.parametrize("package", DOORS)
def test_public_names_are_those_of_their_modules(package: ModuleType) -> None:
    for name, home in package._HOMES.items():
        assert getattr(package, name) is getattr(import_module(f"{package.__name__}.{home}"), name)


@pytest.mark.parametrize("package", DOORS)
def test_type_checkers_see_the_same_names_in_the_same_modules(package: ModuleType) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    found = [(node.module, alias) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    seen = {alias.asname: module for module, alias in found}
    modules = getattr(package, "_MODULES", {})
    assert {name: home for name, home in seen.items() if name not in modules} == package._HOMES
    assert {name for name in seen if name in modules} == set(modules)


@pytest.mark.parametrize("package", DOORS)
def test_a_person_who_asks_what_there_is_is_told(package: ModuleType) -> None:
    assert dir(package) == sorted(package.__all__)


def test_modules_of_the_public_door_are_public_too() -> None:
    assert pruneframe.kit is kit
    assert pruneframe.statistics is import_module("pruneframe.comparison.statistics")


def test_every_public_class_says_what_its_fields_are() -> None:
    """Either beside the field, as a comment or a help, or by its name in the class's docstring."""
    lacking = []
    for name in pruneframe._HOMES:
        value = getattr(pruneframe, name)
        if not (isinstance(value, type) and dataclasses.is_dataclass(value)):
            continue
        source, text = inspect.getsource(value), inspect.getdoc(value) or ""
        for field in dataclasses.fields(value):
            beside = re.search(rf"^ +{field.name}: .*(#|setting\()", source, re.MULTILINE)
            plain = field.name in text or field.name in SELF_EXPLANATORY
            if not (beside or plain):
                lacking.append(f"{name}.{field.name}")
    assert lacking == []


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'pruneframe' has no attribute 'Tsak'"):
        pruneframe.Tsak  # noqa: B018 - asking is the test
    with pytest.raises(AttributeError, match=r"module 'pruneframe\.kit' has no attribute 'evolv'"):
        kit.evolv  # noqa: B018


def test_importing_the_package_loads_nothing_slow() -> None:
    assert loaded_by("import pruneframe; pruneframe.__version__, pruneframe.__all__") == set()


def test_what_is_loaded_slowly_would_be_noticed() -> None:
    assert "torch" in loaded_by("import pruneframe; pruneframe.Task")


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), *((command, "--help") for command in COMMANDS)])
def test_help_loads_nothing_slow(arguments: tuple[str, ...]) -> None:
    assert loaded_by(run_command(*arguments)) == set()
