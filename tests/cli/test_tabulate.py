"""`pruneframe tabulate`, and what a bench and `info` tell of a problem that has a table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from command import Cli

PLUGIN = """
import dataclasses
from pathlib import Path

import pruneframe as pf
import tabled

@pf.hookimpl
def pruneframe_problems():
    return [dataclasses.replace(tabled.problem(), tabular=pf.Tabular(Path(__file__).parent / "tables"))]
"""
BENCH = ("bench", "--problems", "five", "--methods", "netadapt,random", "--seeds", "0", "--budget", "20")


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """What adds a problem of five filters; it has a table as soon as one lies in the folder `tables` beside."""
    return plugin_in(tmp_path)


def plugin_in(folder: Path) -> Path:
    """The same in a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / "five.py"
    path.write_text(PLUGIN)
    return path


def runs(folder: Path) -> list[dict[str, Any]]:
    """What the runs of a study say of themselves, in the order of their folders."""
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("run.json"))]


def results(folder: Path) -> list[dict[str, Any]]:
    """The same without what differs from one time to the next."""
    kept = ("passes_spent", "evaluations", "hypervolume", "hypervolume_anytime", "front_size", "dense_test")
    return [{key: one[key] for key in kept} for one in runs(folder)]


def test_tabulate_writes_the_table_once_and_says_whether_it_is_the_same(cli: Cli, plugin: Path) -> None:
    into = plugin.with_name("tables")
    found = cli("tabulate", "five", "--into", into, "-p", plugin)
    assert found.code == 0
    assert re.findall(r"^five: (\d+) % of all masks$", found.err, re.MULTILINE)[-1] == "100"
    size = (into / "0.npz").stat().st_size
    assert re.fullmatch(
        rf"{re.escape(str(into / '0.npz'))}: 32 masks, {size} bytes, SHA-256 [0-9a-f]{{64}}\n", found.out
    )
    again = cli("tabulate", "five", "--into", plugin.with_name("again"), "-p", plugin)
    assert again.out.endswith(", the same bytes as are shipped\n")


def test_a_bench_by_the_table_is_the_bench_by_the_network(
    cli: Cli, plugin: Path, tmp_path: Path, undrawn: None
) -> None:
    without = plugin_in(tmp_path / "without")
    assert cli(*BENCH, "-p", without, "--output", tmp_path / "computed").code == 0
    assert cli("tabulate", "five", "--into", plugin.with_name("tables"), "-p", plugin).code == 0
    assert cli(*BENCH, "-p", plugin, "--output", tmp_path / "told").code == 0
    computed, told = results(tmp_path / "computed"), results(tmp_path / "told")
    assert told == computed
    assert all(one["passes_spent"] == one["evaluations"] > 5 for one in told)
    engines = [{one["engine"] for one in runs(tmp_path / name)} for name in ("computed", "told")]
    assert engines[1] == {"a table of all 32 masks"}
    assert engines[0].isdisjoint(engines[1])


def test_info_tells_the_true_front(cli: Cli, plugin: Path) -> None:
    assert "true front" not in cli("info", "five", "-p", plugin).out
    assert cli("tabulate", "five", "--into", plugin.with_name("tables"), "-p", plugin).code == 0
    (found,) = cli("info", "five", "-p", plugin, "--json").parsed
    for split in ("search", "test"):
        values = [(one["error"], one["params"]) for one in found["truth"][split]["front"]]
        errors, params = zip(*values, strict=True)
        assert list(errors) == sorted(errors)
        assert list(params) == sorted(params, reverse=True)
        assert 0 < found["truth"][split]["hypervolume"] < 1
    text = cli("info", "five", "-p", plugin).out
    assert "evaluated by a table of all 32 masks" in text
    assert f"hypervolume {found['truth']['search']['hypervolume']:.4f}" in text


def test_what_has_too_many_units_is_refused(cli: Cli, tmp_path: Path) -> None:
    refused = cli("tabulate", "lenet-digits", "--into", tmp_path / "tables")
    assert refused.code == 2
    assert "must have 3 to 16 units for all masks to be evaluated" in refused.error
    assert not (tmp_path / "tables").exists()
