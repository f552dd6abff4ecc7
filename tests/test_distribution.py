"""Separate distributions, built and installed: one brings a part of every kind, one beside it is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import parsed

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "{version}"
[project.entry-points.pruneframe]
{name} = "{name}"
[tool.setuptools]
py-modules = ["{name}"]
"""

GOOD = '''
from dataclasses import dataclass

import numpy as np

import pruneframe as pf


@dataclass(frozen=True, repr=False)
class Backwards(pf.Scorer):
    """Later units matter more."""

    name = "backwards"

    def score(self, network, images, labels, rng):
        return np.arange(network.layout.total, dtype=np.float32)


@dataclass(frozen=True, repr=False)
class Swap(pf.Variation):
    """The second parent as it is."""

    name = "swap"

    def vary(self, parents, n, variables, rng, scores=None, free=None):
        return pf.families(parents, n)[:, -1].copy()


@dataclass(frozen=True, repr=False)
class Prefix(pf.Encoding):
    """One number: the share of all units, from the first, that is kept."""

    name = "prefix"

    def variables(self, layout):
        return pf.Variables("real", 1, np.zeros(1), np.ones(1), (1,))

    def decode(self, genomes, layout, scores):
        kept = np.rint(genomes * layout.total)
        return pf.Masks.pack(np.arange(layout.total)[None, :] < kept, layout)

    def sample(self, n, layout, scores, rng):
        return np.linspace(1.0, 0.1, n)[:, None]


@dataclass(frozen=True, repr=False)
class Kept(pf.Objective):
    """Units kept."""

    name = "kept"
    unit = "units"

    def measure(self, candidate):
        return float(candidate.masks.counts()[0])

    def reference(self, dense):
        return float(dense.masks.counts()[0])


@dataclass(frozen=True, repr=False)
class Halves(pf.Method):
    """The dense network, then random halves."""

    name = "halves"

    def search(self, task):
        task.evaluate(task.layout.full())
        while True:
            task.evaluate(pf.Masks.pack(task.rng.random((5, task.layout.total)) < 0.5, task.layout))


@pf.hookimpl
def pruneframe_scorers():
    return [Backwards]


@pf.hookimpl
def pruneframe_variations():
    return [Swap]


@pf.hookimpl
def pruneframe_encodings():
    return [Prefix]


@pf.hookimpl
def pruneframe_objectives():
    return [Kept]


@pf.hookimpl
def pruneframe_methods():
    return [Halves]
'''


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two installed distributions, `partsbin` and `shaky`."""
    target = tmp_path_factory.mktemp("site")
    for name, version, code in (("partsbin", "1.5", GOOD), ("shaky", "0.3", "import does_not_exist\n")):
        source = tmp_path_factory.mktemp(name)
        (source / "pyproject.toml").write_text(PYPROJECT.format(name=name, version=version))
        (source / f"{name}.py").write_text(code)
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet"]
        subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True)
    return target


def bench(pruneframe: Any, outside: Path, *arguments: str) -> list[dict[str, Any]]:
    environment = {"PYTHONPATH": str(outside), "PRUNEFRAME_PLUGINS": "partsbin,shaky"}
    done = pruneframe("bench", "--seeds", "0", "--budget", "20", "--json", *arguments, env=environment)
    assert "plugin 'shaky' of shaky 0.3" in done.stderr
    assert "does_not_exist" in done.stderr
    return parsed(done)


@pytest.mark.parametrize(
    "method",
    [
        "nsga2[scorer=backwards]",
        "nsga2[variation=swap+bit-flip]",
        "nsga2[encoding=prefix]",
        "magnitude[scorer=backwards]",
    ],
)
def test_a_part_from_outside_works_inside_a_bundled_method(pruneframe, outside, method):
    (run,) = bench(pruneframe, outside, "--methods", method)
    assert (run["method"], run["status"]) == (method, "done")


def test_a_method_and_an_objective_from_outside_are_compared(pruneframe, outside):
    runs = bench(pruneframe, outside, "--methods", "halves,nsga2", "--objectives", "error,kept")
    assert {run["method"] for run in runs} == {"halves", "nsga2"}
    assert all(run["status"] == "done" and run["evaluations"] == 20 for run in runs)


def test_a_broken_distribution_is_named_and_harmless(pruneframe, outside):
    environment = {"PYTHONPATH": str(outside), "PRUNEFRAME_PLUGINS": "partsbin,shaky"}
    plugins = {plugin["name"]: plugin for plugin in parsed(pruneframe("plugins", "--json", env=environment))}
    assert plugins["shaky"]["version"] == "0.3"
    assert "ModuleNotFoundError" in plugins["shaky"]["complaints"][0]
    assert plugins["partsbin"]["complaints"] == []
    assert "method halves" in plugins["partsbin"]["brings"]
    assert "method nsga2" in plugins["nsga2"]["brings"]


def test_plugins_from_outside_can_be_left_out(pruneframe, outside):
    for environment, arguments in (
        ({"PYTHONPATH": str(outside), "PRUNEFRAME_PLUGINS": ""}, []),
        ({"PYTHONPATH": str(outside), "PRUNEFRAME_PLUGINS": "partsbin,shaky"}, ["-p", "no:partsbin", "-p", "no:shaky"]),
    ):
        done = pruneframe("info", "halves", *arguments, env=environment)
        assert done.returncode == 2
        assert "no component is named 'halves'" in done.stderr
        assert "shaky" not in done.stderr
