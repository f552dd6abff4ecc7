"""Separate distributions, built and installed: one brings a part of every kind, one beside it is broken."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from command import Cli, Outcome, in_this_process
from outside import PARTSBIN
from safetensors.torch import load_file

import pruneframe as pf
from pruneframe import testing
from pruneframe.hooks import KINDS
from pruneframe.registry import Registry
from pruneframe.scaffold.project import Project
from pruneframe.study import worker

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
BOTH = "no:partsbin,no:shaky"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two installed distributions, `partsbin` and `shaky`."""
    target = tmp_path_factory.mktemp("site")
    for name, version, code in (("partsbin", "1.5", PARTSBIN), ("shaky", "0.3", "import does_not_exist\n")):
        source = tmp_path_factory.mktemp(name)
        (source / "pyproject.toml").write_text(PYPROJECT.format(name=name, version=version))
        (source / f"{name}.py").write_text(code)
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet"]
        subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True)
    return target


@pytest.fixture
def installed(outside: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """What this process finds with both installed."""
    monkeypatch.syspath_prepend(outside)
    monkeypatch.delenv("PRUNEFRAME_PLUGINS")
    return Registry()


@pytest.fixture
def partsbin(installed: Registry) -> ModuleType:
    return importlib.import_module("partsbin")


@pytest.fixture
def cli(installed: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """The command line with both installed; the broken one is named beside whatever it does."""
    worker._registry.cache_clear()  # of another test's, since runs are carried out in this process
    with in_this_process(tmp_path, capsys) as run:

        def told(*arguments: str) -> Outcome:
            done = run(*arguments)
            assert done.code == 0, done.err
            assert "plugin 'shaky' of shaky 0.3" in done.err
            assert "does_not_exist" in done.err
            return done

        yield told
    worker._registry.cache_clear()


def test_it_brings_every_kind_and_is_written_against_the_public_names_alone(installed: Registry) -> None:
    [plugin] = [plugin for plugin in installed.plugins if plugin.name == "partsbin"]
    assert {brought.partition(" ")[0] for brought in plugin.brings} == set(KINDS)
    imported = {
        alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(PARTSBIN))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name for name in imported if name.startswith("pruneframe")} == {"pruneframe", "pruneframe.kit"}


def test_each_part_keeps_its_contract(partsbin: ModuleType, installed: Registry) -> None:
    testing.check_units(partsbin.Input())
    testing.check_scorer(partsbin.Backwards())
    testing.check_variation(partsbin.Swap())
    testing.check_encoding(partsbin.Prefix())
    testing.check_objective(partsbin.Kept())
    testing.check_target(partsbin.Counted())
    testing.check_method(partsbin.Halves(), registry=installed)
    testing.check_report(partsbin.Tally())


def test_its_parts_work_inside_bundled_methods(cli: Cli) -> None:
    methods = [
        "nsga2[scorer=backwards]",
        "nsga2[preset=textbook,variation=swap+bit-flip]",
        "nsga2[encoding=prefix]",
        "halves",
    ]
    methods += ["magnitude[scorer=backwards]"]
    arguments = ("--methods", ",".join(methods), "--objectives", "error,kept", "--seeds", "0", "--budget", "20")
    runs = cli("bench", *arguments, "--threads", "1", "--json").parsed
    told = dict.fromkeys(methods, "done") | {"nsga2[encoding=prefix]": "empty"}  # prefixes of units reach nothing
    assert {one["method"]: one["status"] for one in runs} == told
    assert all(one["objectives"] == ["error", "kept"] for one in runs)


def test_its_units_go_through_bench_report_and_export(cli: Cli, tmp_path: Path, partsbin: ModuleType) -> None:
    physical = ("--objectives", "error,latency,memory,kept", "--target", "counted")
    arguments = ("--problems", "stripes", "--methods", "halves,nsga2,netadapt", "--seeds", "0", *physical)
    runs = cli("bench", *arguments, "--threads", "1", "--json").parsed
    assert {one["method"]: (one["status"], one["units"]) for one in runs} == dict.fromkeys(
        ("halves", "nsga2", "netadapt"), ("done", "row")
    )
    cli("report", "pruneframe-study", "--reports", "tally,layers,fronts", "-o", "out.pdf")
    assert "halves" in (tmp_path / "out-parts" / "tally-1.csv").read_text()
    chosen = ("--problem", "stripes", "--method", "nsga2", "--max-drop", "100", "-o", "pruned.safetensors")
    told = cli("export", "pruneframe-study", *chosen).out
    module = partsbin.Stripes()
    module.load_state_dict(load_file(tmp_path / "pruned.safetensors"))
    data = partsbin.stripes()
    with torch.no_grad():
        wrong = module(data.tensor(data.test)).argmax(dim=1).numpy() != data.test.labels
    assert f"test error {100 * wrong.mean():.2f} %" in told
    gone = (module.first.weight == 0).all(dim=1)
    assert gone.any()
    assert not module.first.bias[gone].any()
    assert not module.second.weight[:, gone].any()


def test_a_network_of_its_units_counts_and_shrinks(partsbin: ModuleType, installed: Registry) -> None:
    network = installed.problem("stripes").load(installed.component).network
    assert network.layout.names == ("first", "second")
    keep = np.ones((1, network.layout.total), dtype=bool)
    keep[0, [0, 3, 12]] = False  # two rows of the first layer, one of the second
    masks = pf.Masks.pack(keep, network.layout)
    assert network.params(masks)[0] == (4 * 10 + 10) + (10 * 9 + 9) + (9 * 3 + 3)
    assert network.macs(masks)[0] == 4 * 10 + 10 * 9 + 9 * 3
    assert network.widths(masks)[0].tolist() == [[10, 4], [9, 10], [3, 9]]


def test_a_broken_distribution_is_named_and_harmless(installed: Registry) -> None:
    plugins = {plugin.name: plugin for plugin in installed.plugins}
    assert plugins["shaky"].version == "0.3"
    assert "ModuleNotFoundError" in plugins["shaky"].complaints[0]
    assert plugins["partsbin"].complaints == []
    assert "method nsga2" in plugins["nsga2"].brings


@pytest.mark.parametrize(("wanted", "sources"), [(BOTH, []), ("", ["no:partsbin", "no:shaky"]), ("no:*", [])])
def test_plugins_from_outside_can_be_left_out(
    wanted: str, sources: list[str], outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(outside)
    monkeypatch.setenv("PRUNEFRAME_PLUGINS", wanted)
    registry = Registry(sources)
    assert "halves" not in registry.names("method")
    assert registry.complaints == []


def test_every_folder_of_the_core_is_installed() -> None:
    root = Path(__file__).parents[1]
    told = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {f"pruneframe.{path.parent.name}" for path in root.glob("pruneframe/*/__init__.py")}
    assert folders <= {*told}


def test_a_new_project_is_installed_found_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Project("own-tally", "report").write(tmp_path / "project")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--target", str(site), str(tmp_path / "project")], check=True, capture_output=True)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delenv("PRUNEFRAME_PLUGINS")
    found = Registry()
    [plugin] = [plugin for plugin in found.plugins if plugin.distribution == "own-tally"]
    assert (plugin.origin, plugin.state, plugin.version, plugin.brings) == (
        "installed",
        "loaded",
        "0.1.0",
        ["report own-tally"],
    )
    report = found.entry("report", "own-tally").value.configured({})
    assert {verdict.state for verdict in testing.verdicts("report", report, found)} == {"kept"}


def test_templates_are_installed() -> None:
    root = Path(__file__).parents[1]
    told = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["pruneframe"]
    installed = {path for pattern in told for path in (root / "pruneframe").glob(pattern)}
    assert {*(root / "pruneframe" / "scaffold" / "templates").iterdir()} <= installed
