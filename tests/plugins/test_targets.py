"""Targets: a formula, timing in turns, and tables that are looked up elsewhere."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import assert_same_front, carried_out, run_of
from searches import searched
from tables import table
from tiny import lookup, registry
from torch import Tensor, nn

import pruneframe as pf
from pruneframe.front import hypervolume
from pruneframe.search.task import Task
from pruneframe.search.workbench import DENSE
from pruneframe.study.worker import carry_out
from pruneframe.target import Target
from pruneframe.testing import check_target, make_task, tiny_problem
from pruneframe_plugins.targets import Analytic, LocalCpu, LookupTable

PHYSICAL: dict[str, Any] = {"units": "filter", "objectives": ("error", "latency", "memory")}


def tiny_task(target: str = "analytic") -> Task:
    return make_task(tiny_problem(**PHYSICAL, target=target))


def random_filters(network: pf.Network, n: int, seed: int = 0) -> pf.Masks:
    rng = np.random.default_rng(seed)
    return pf.Masks.pack(rng.random((n, network.layout.total)) < rng.uniform(0.2, 1, (n, 1)), network.layout)


def candidates(task: Task, masks: pf.Masks) -> list[pf.Candidate]:
    bench = task._workbench
    return list(bench.candidates(masks, [DENSE] * len(masks), bench.search))


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_widths_are_those_of_the_shrunk_network(seed: int) -> None:
    task = tiny_task()
    masks = random_filters(task.network, 2, seed)
    for row, candidate in enumerate(candidates(task, masks)):
        for layer, widths in zip(task.network.layers, task.network.widths(masks)[row], strict=True):
            assert tuple(widths) == candidate.shrunk.get_parameter(f"{layer.name}.weight").shape[:2]


def test_the_formula_by_hand() -> None:
    task = tiny_task("analytic[speed=1e6,bandwidth=1e5,start=0.5]")
    masks = random_filters(task.network, 3)
    for row, candidate in enumerate(candidates(task, masks)):
        expected = 0.5 * len(task.network.layers)
        for layer in task.network.layers:
            weights = candidate.shrunk.get_parameter(f"{layer.name}.weight").numel()
            expected += max(weights * layer.positions / 1e6, 4 * weights / 1e5)
        assert candidate.meant_for.latencies([candidate]) == pytest.approx(np.array([[expected]]))
        assert np.array_equal(task.network.macs(masks)[row], task.network.layer_macs(masks)[row].sum())


def test_layers_that_are_gone_do_not_start() -> None:
    task = make_task(tiny_problem("block", objectives=("error", "latency"), target="analytic[start=1.0]"))
    full = task.layout.full()
    dense, without = (float(task.probe("latency", mask, count=1)[0]) for mask in (full, full - full))
    assert without / dense == pytest.approx(3 / 5, abs=0.01)  # two of five layers


@pytest.mark.parametrize("spec", ["analytic", "local-cpu[repeats=3,warmup=1]"])
def test_the_contract_holds(spec: str) -> None:
    check_target(lookup(Target, spec))


@dataclass(frozen=True, repr=False)
class Erratic(Analytic):
    """Not measured, and yet another latency each time."""

    def latencies(self, networks: Any) -> np.ndarray:
        return np.random.default_rng().random((len(networks), 1)) + 1


def test_the_contract_finds_a_formula_that_is_not_repeatable() -> None:
    with pytest.raises(AssertionError, match="must be repeatable"):
        check_target(Erratic())


def test_networks_take_turns_after_they_have_warmed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    timed: list[int] = []

    class Counted(nn.Module):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def forward(self, images: Tensor) -> Tensor:
            runs.append(self.number)
            return images

    def seconds(self: LocalCpu, run: Callable[[], Any]) -> float:
        run()
        timed.append(runs[-1])
        return float(len(timed))

    monkeypatch.setattr(LocalCpu, "seconds", seconds)
    found = LocalCpu(repeats=20, warmup=3).series([Counted(number) for number in range(4)], [(1, 2, 2)] * 4)
    assert found.shape == (4, 20)
    assert Counter(runs) == dict.fromkeys(range(4), 23)
    assert runs[:12] == sorted(runs[:12])  # warm-ups are not timed
    turns = [tuple(timed[start : start + 4]) for start in range(0, 80, 4)]
    assert all(sorted(turn) == [0, 1, 2, 3] for turn in turns)
    assert len(set(turns)) > 5  # in changing order


def test_a_real_processor_takes_longer_for_more() -> None:
    small, large = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 256, 3, padding=1)
    found = LocalCpu(repeats=15, warmup=3).series([small, large], [(3, 64, 64)] * 2)
    assert np.median(found[0]) < np.median(found[1])


def test_a_table_is_looked_up_and_interpolated(tmp_path: Path) -> None:
    task = tiny_task()
    path, elsewhere = tmp_path / "table.json", tmp_path / "elsewhere.json"
    table(task.network).write(path)
    looked_up = LookupTable(str(path))
    masks = random_filters(task.network, 5)
    expected = [1 + 0.5 * sum(0.1 * out + 0.01 * ins for out, ins in widths) for widths in task.network.widths(masks)]
    assert looked_up.latencies(candidates(task, masks))[:, 0] == pytest.approx(expected)
    assert not looked_up.measured
    shutil.copy(path, elsewhere)
    assert LookupTable(str(elsewhere)).identity == looked_up.identity
    table(task.network, 2).write(elsewhere)
    assert LookupTable(str(elsewhere)).identity != looked_up.identity


def test_a_table_says_where_it_was_measured(tmp_path: Path) -> None:
    found = replace(table(tiny_task().network), target="local-cpu on a fast one", environment={"threads": 3})
    found.write(tmp_path / "table.json")
    identity = lookup(Target, f"lookup-table[table={tmp_path / 'table.json'}]").identity
    assert identity == f"lookup-table {found.digest} of 3 thread(s) of local-cpu on a fast one"


@pytest.mark.parametrize("method", ["nsga2", "moead", "random", "magnitude", "platypus"])
def test_methods_search_with_three_objectives(method: str) -> None:
    task = searched(method, **PHYSICAL, target="analytic")
    values = task.archive.front_values() / task.references
    assert values.shape[1] == 3
    assert hypervolume(values) > 0


@pytest.fixture(scope="module")
def network(cache: Path) -> pf.Network:
    """Of lenet-digits, as filters."""
    return registry().problem("lenet-digits").with_settings(units="filter").load(lookup).network


def test_the_same_table_elsewhere_gives_the_same_search(network: pf.Network, tmp_path: Path) -> None:
    folders = []
    for name in ("here", "there"):
        path = tmp_path / name / "table.json"
        path.parent.mkdir()
        table(network).write(path)
        run = run_of("nsga2", **PHYSICAL, target=f"lookup-table[table={path}]")
        folders.append(carried_out(run, tmp_path / name / "study"))
    assert folders[0].path.name == folders[1].path.name
    assert_same_front(*folders)


def test_runs_on_another_target_or_table_are_other_runs(network: pf.Network, tmp_path: Path) -> None:
    table(network).write(tmp_path / "table.json")
    target = f"lookup-table[table={tmp_path / 'table.json'}]"
    run = run_of("nsga2", **PHYSICAL, target=target)
    assert run.hash not in {run_of("nsga2", **PHYSICAL, target=other).hash for other in ("analytic", "local-cpu")}
    table(network, 2).write(tmp_path / "table.json")
    assert run_of("nsga2", **PHYSICAL, target=target).hash != run.hash
    assert "another one" in carry_out(run, tmp_path / "study", ())["reason"]
