"""The public names, and that none of them is loaded before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pruneframe
from pruneframe.cli.main import COMMANDS

SLOW = ("torch", "torchvision", "pymoo", "pandas", "matplotlib", "scipy", "sklearn")


def loaded_by(script: str) -> set[str]:
    """Which of the slow libraries a fresh process has imported after a script."""
    script += f"\nimport sys; print('loaded', *[name for name in {SLOW} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def run_command(*arguments: str) -> str:
    """A script that runs the command line, and goes on afterwards."""
    return (
        f"import contextlib, sys\nfrom pruneframe.cli.main import main\nsys.argv = {['pruneframe', *arguments]}\n"
        + ("with contextlib.suppress(SystemExit): main()")
    )


@pytest.mark.parametrize("name", pruneframe.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(pruneframe, name) is not None


def test_public_names_are_those_of_their_modules() -> None:
    for name, home in pruneframe._HOMES.items():
        assert getattr(pruneframe, name) is getattr(import_module(f"pruneframe.{home}"), name)


def test_type_checkers_see_the_same_names_in_the_same_modules() -> None:
    tree = ast.parse(Path(pruneframe.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == pruneframe._HOMES
    assert all(name == name.strip() for name in seen)


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'pruneframe' has no attribute 'Tsak'"):
        pruneframe.Tsak  # noqa: B018 - asking is the test


def test_importing_the_package_loads_nothing_slow() -> None:
    assert loaded_by("import pruneframe; pruneframe.__version__, pruneframe.__all__") == set()


def test_what_is_loaded_slowly_would_be_noticed() -> None:
    assert "torch" in loaded_by("import pruneframe; pruneframe.Task")


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), *((command, "--help") for command in COMMANDS)])
def test_help_loads_nothing_slow(arguments: tuple[str, ...]) -> None:
    assert loaded_by(run_command(*arguments)) == set()
