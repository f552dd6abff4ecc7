"""Devices: peak memory, a formula, timing in turns, and tables that are looked up elsewhere."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from filelock import FileLock, Timeout
from hypothesis import given, settings
from hypothesis import strategies as st
from test_resume import Death, assert_same_front, dying_at
from torch import Tensor, nn

import pruneframe as pf
from pruneframe.cli import main
from pruneframe.device import Device, Target
from pruneframe.errors import InputError
from pruneframe.front import hypervolume
from pruneframe.journal import Journal
from pruneframe.ledger import BudgetSpent
from pruneframe.network import Network
from pruneframe.profile import Profile, Timings, _resized
from pruneframe.registry import Registry
from pruneframe.run import carry_out, measuring, say_if_busy
from pruneframe.series import interval, measure_series
from pruneframe.store import StudyFolder
from pruneframe.study import plan
from pruneframe.suitability import target_of
from pruneframe.task import Task
from pruneframe.testing import check_device, make_task, tiny_problem
from pruneframe.workbench import DENSE, PROOF
from pruneframe_plugins.devices import Analytic, LocalCpu, peak_memory

PHYSICAL = ("error", "latency", "memory")


def device(spec: str) -> Device:
    found = Registry().component("device", spec)
    assert isinstance(found, Device)
    return found


def tiny_task(target: str = "analytic", **problem: Any) -> Task:
    return make_task(tiny_problem("filter", objectives=PHYSICAL, target=target, **problem))


def random_filters(network: pf.Network, n: int, seed: int = 0) -> pf.Masks:
    rng = np.random.default_rng(seed)
    return pf.Masks.pack(rng.random((n, network.layout.total)) < rng.uniform(0.2, 1, (n, 1)), network.layout)


def candidates(task: Task, masks: pf.Masks) -> list[pf.Candidate]:
    bench = task._workbench
    return list(bench.candidates(masks, [DENSE] * len(masks), bench.search))


class Chain(nn.Module):
    """One image of 1x6x6: 2x4x4 twice, then 3 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(32, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.relu(self.conv(images)).reshape(-1, 32))


class Skipping(Chain):
    """What enters the convolution's relu is needed once more behind it."""

    def forward(self, images: Tensor) -> Tensor:
        inside = self.conv(images)
        return self.linear((self.relu(inside) + inside).reshape(-1, 32))


@pytest.mark.parametrize(("network", "living"), [(Chain(), 36 + 32), (Skipping(), 32 * 3)])
def test_peak_memory_by_hand(network: nn.Module, living: int) -> None:
    weights = 2 * 9 + 2 + 32 * 3 + 3
    assert peak_memory(network, (1, 6, 6)) == 4 * (weights + living)


class InPlace(Chain):
    """Adds and cuts off in place, as methods and functions do."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, view: Tensor) -> Tensor:  # an input that is called as a method is
        x = self.conv(view)
        y = x.clone()
        if self.inplace:
            y = F.relu(y.add_(x), True).add_(x)
        else:
            y = F.relu(y + x).add(x)
        return self.linear(y.reshape(-1, 32))


def test_what_is_written_in_place_takes_nothing() -> None:
    weights = 2 * 9 + 2 + 32 * 3 + 3
    assert peak_memory(InPlace(True), (1, 6, 6)) == 4 * (weights + 36 + 32)
    assert peak_memory(InPlace(False), (1, 6, 6)) == 4 * (weights + 3 * 32)


def test_memory_does_not_count_what_shares_its_place() -> None:
    apart, inside = (nn.Sequential(nn.Conv2d(1, 9, 1), nn.ReLU(inplace=flag), nn.Flatten()) for flag in (False, True))
    weights = 4 * 18
    assert peak_memory(apart, (1, 6, 6)) - weights == 4 * 36 * 18
    assert peak_memory(inside, (1, 6, 6)) - weights == 4 * 36 * 10


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_peak_memory_is_near_what_a_process_takes() -> None:
    script = """
import torch
from torch import nn
from pruneframe_plugins.devices import peak_memory
layers = [nn.Conv2d(4, 64, 1), nn.ReLU(), nn.Conv2d(64, 32, 1), nn.ReLU(), nn.Conv2d(32, 4, 1)]
network, shape = nn.Sequential(*layers).eval(), (4, 768, 768)
torch.set_num_threads(1)
def status(name):  # of this process alone, unlike getrusage, which remembers what it was forked from
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])
with torch.inference_mode():
    network(torch.zeros(1, 4, 8, 8))
    before = status("VmRSS")
    network(torch.zeros(1, *shape))
    print(status("VmHWM") - before, peak_memory(network, shape))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    real, computed = map(float, done.stdout.split())
    assert computed == pytest.approx(real, rel=0.1)


@settings(deadline=None, max_examples=20)
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


@pytest.mark.parametrize("spec", ["analytic", "local-cpu[repeats=3,warmup=1]"])
def test_the_contract_holds(spec: str) -> None:
    check_device(device(spec))


@dataclass(frozen=True, repr=False)
class Erratic(Analytic):
    """Not measured, and yet another latency each time."""

    def latencies(self, networks: Any) -> np.ndarray:
        return np.random.default_rng().random((len(networks), 1)) + 1


def test_the_contract_finds_a_formula_that_is_not_repeatable() -> None:
    with pytest.raises(AssertionError, match="must be repeatable"):
        check_device(Erratic())


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


def table(network: pf.Network, rest: float = 1.0) -> Profile:
    """A made-up profile: a layer takes 0.1 for an output channel and 0.01 for an input channel."""
    layers = []
    for layer in network.layers:
        outputs, inputs = network.parameter(f"{layer.name}.weight").shape[:2]
        steps = sorted({1, outputs}), sorted({1, inputs})
        seconds = [[0.1 * out + 0.01 * ins for ins in steps[1]] for out in steps[0]]
        shape, groups = list(network.parameter(f"{layer.name}.weight").shape), 1
        layers.append(Timings(layer.name, layer.positions, shape, groups, *steps, seconds))
    return Profile("made-up", {}, rest, 0.5, tuple(layers))


def test_a_table_is_looked_up_and_interpolated(tmp_path: Path) -> None:
    task = tiny_task()
    table(task.network).write(tmp_path / "table.json")
    looked_up = device(f"lookup-table[table={tmp_path / 'table.json'}]")
    masks = random_filters(task.network, 5)
    expected = [1 + 0.5 * sum(0.1 * out + 0.01 * ins for out, ins in widths) for widths in task.network.widths(masks)]
    assert looked_up.latencies(candidates(task, masks))[:, 0] == pytest.approx(expected)
    assert not looked_up.measured
    shutil.copy(tmp_path / "table.json", tmp_path / "elsewhere.json")
    assert device(f"lookup-table[table={tmp_path / 'elsewhere.json'}]").identity == looked_up.identity
    table(task.network, 2).write(tmp_path / "elsewhere.json")
    assert device(f"lookup-table[table={tmp_path / 'elsewhere.json'}]").identity != looked_up.identity


@pytest.mark.parametrize("content", [None, "[]", "{}", '{"format": 2}', '{"format": 1, "layers": []}', "x"])
def test_a_table_that_is_none_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match="must be a profile of a network"):
        device(f"lookup-table[table={path}]").identity  # noqa: B018 - asking is the test


DAMAGES: dict[str, Any] = {
    "no widths": {"outputs": []},
    "no list": {"inputs": None},
    "falling widths": {"outputs": [9, 7]},
    "other widths": {"inputs": [1, 3]},
    "a row less": {"seconds": [[1.0, 1.0]]},
    "a shorter row": {"seconds": [[1.0], [1.0]]},
    "text": {"seconds": [["1", "1"], ["1", "1"]]},
    "nothing": {"seconds": [[1.0, None], [1.0, 1.0]]},
    "not a number": {"seconds": [[1.0, math.nan], [1.0, 1.0]]},
    "no time": {"seconds": [[1.0, 0.0], [1.0, 1.0]]},
    "no shape": {"shape": []},
}
WHOLE_DAMAGES: dict[str, Any] = {
    "rest": {"rest": -1.0},
    "text for rest": {"rest": "1"},
    "no scale": {"scale": 0},
    "nothing for scale": {"scale": None},
    "no environment": {"environment": None},
}


@pytest.mark.parametrize("damage", [*DAMAGES, *WHOLE_DAMAGES])
def test_a_damaged_table_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    table(tiny_task().network).write(path)
    found = json.loads(path.read_text())
    assert (found["layers"][1]["outputs"], found["layers"][1]["inputs"]) == ([1, 7], [1, 5])
    path.write_text(json.dumps(found))
    assert Profile.read(path).layers[1].name == "conv1"
    found |= WHOLE_DAMAGES.get(damage, {})
    found["layers"][1] |= DAMAGES.get(damage, {})
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match="must be a profile of a network"):
        device(f"lookup-table[table={path}]").identity  # noqa: B018 - asking is the test


def test_a_table_says_where_it_was_measured(tmp_path: Path) -> None:
    found = replace(table(tiny_task().network), device="local-cpu on a fast one", environment={"threads": 3})
    found.write(tmp_path / "table.json")
    identity = device(f"lookup-table[table={tmp_path / 'table.json'}]").identity
    assert identity == f"lookup-table {found.digest} of 3 thread(s) of local-cpu on a fast one"


@pytest.mark.parametrize("change", ["fewer", "more", "narrower", "larger images", "larger kernels", "more groups"])
def test_a_table_of_another_network_is_refused(change: str, tmp_path: Path) -> None:
    task = tiny_task()
    found = table(task.network)
    first, *others = found.layers
    other = {
        "fewer": others,
        "more": [first, *others, replace(first, name="conv9")],
        "narrower": [replace(first, outputs=[1, 4], shape=[4, *first.shape[1:]]), *others],
        "larger kernels": [replace(first, shape=[*first.shape[:2], 5, 5]), *others],
        "more groups": [replace(first, groups=2), *others],
        "larger images": [replace(first, positions=64), *others],
    }[change]
    replace(found, layers=tuple(other)).write(tmp_path / "table.json")
    with pytest.raises(InputError, match="differ in layer " + ("'conv9'" if change == "more" else "'stem'")):
        device(f"lookup-table[table={tmp_path / 'table.json'}]").latencies(candidates(task, task.layout.full()))


def test_layers_are_timed_at_their_widths_and_those_with_groups_as_they_are() -> None:
    assert _resized(nn.Conv2d(16, 8, 3), 4, 6).weight.shape == (4, 6, 3, 3)
    grouped = _resized(nn.Conv2d(16, 16, 3, groups=4), 2, 1)
    assert (grouped.weight.shape, grouped.groups) == ((16, 4, 3, 3), 4)  # type: ignore[union-attr] # a convolution


def test_a_linear_layer_on_several_rows_cannot_be_timed_alone() -> None:
    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.Sequential(nn.Conv2d(2, 5, 1), nn.ReLU(), nn.Conv2d(5, 4, 3))
            self.mix, self.head = nn.Linear(6, 6), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.mix(self.convs(x)).mean(dim=(2, 3)))  # type: ignore[no-any-return] # Modules

    network = Network(Mixer(), (2, 8, 8), "filter")
    with pytest.raises(InputError, match="layer 'mix' must be fed rows of features to be timed alone"):
        Profile.measure(network, LocalCpu(repeats=1, warmup=0), {})


def test_a_profile_sums_to_the_dense_network(tmp_path: Path) -> None:
    network = tiny_problem("filter").load().network
    found = Profile.measure(network, LocalCpu(repeats=5, warmup=1), {"threads": 1})
    assert [layer.name for layer in found.layers] == [layer.name for layer in network.layers]
    dense = network.widths(network.layout.full())[0]
    assert found.seconds(network, dense) == pytest.approx(found.dense)
    assert 0 < found.scale <= 1
    assert found.rest >= 0
    found.write(tmp_path / "profile.json")
    assert Profile.read(tmp_path / "profile.json") == found
    with pytest.raises(InputError, match="times nothing"):
        Profile.measure(network, device("analytic"), {})


def test_latency_and_memory_are_shares_of_the_dense_networks() -> None:
    task = tiny_task()
    assert task.references[1] == 1
    values = task.evaluate(pf.Masks.join([task.layout.full(), random_filters(task.network, 8)])) / task.references
    assert values[0, 1:] == pytest.approx([1, 1])
    assert np.all(values[1:, 1:] <= 1)
    assert np.all(values[1:, 1:].min(axis=0) < 0.99)


def test_physical_objectives_need_filters_and_charge_what_they_time() -> None:
    with pytest.raises(InputError, match="units=filter must hold for the objective 'latency'"):
        make_task(tiny_problem("weight", objectives=PHYSICAL))
    assert tiny_task().price == 1
    timed = tiny_task("local-cpu[repeats=15,warmup=5]")
    assert timed.price == pytest.approx(1 + 2 * 20 / timed.search_images)  # the unpruned network takes turns
    counted = tiny_problem("filter", objectives=("error", "memory"), target="local-cpu")
    assert make_task(counted).price == 1
    target = target_of(Registry(), counted)
    assert target is not None
    assert not target.measured


def test_a_probe_pays_for_what_its_objectives_look_at() -> None:
    task = tiny_task("local-cpu[repeats=3,warmup=1]", batch_norm="shifted")
    statistics, timing = 60 / task.search_images, 2 * 4 / task.search_images
    proof = 2 * PROOF / task.search_images
    prices = {"params": 0, "macs": 0, "memory": statistics + proof, "error": 0.25 + statistics}
    prices["latency"] = statistics + proof + timing
    for name, price in prices.items():
        spent = task.budget.spent
        task.probe(name, task.layout.full(), count=10)
        assert task.budget.spent - spent == pytest.approx(price), name
    estimated = tiny_task("analytic", batch_norm="shifted")  # from widths alone
    estimated.probe("latency", estimated.layout.full(), count=10)
    assert estimated.budget.spent == 0
    sizes = {"objectives": ("error", "memory"), "target": "local-cpu[repeats=3,warmup=1]"}
    for untimed in ({}, sizes):  # a machine that is not locked is not timed on
        with pytest.raises(InputError, match="must be among the problem's own"):
            make_task(tiny_problem("filter", **untimed)).probe("latency", task.layout.full())


class Stubborn(nn.Module):
    """Counts on all of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.linear = nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.conv(images).view(-1, 64))


def test_a_network_that_does_not_run_without_its_filters_is_no_candidate() -> None:
    problem = replace(tiny_problem("filter", objectives=PHYSICAL, target="analytic"), network=Stubborn())
    task = make_task(problem)
    mask = pf.Masks.pack(np.array([[True, False, False, True]]), task.layout)
    with pytest.raises(InputError, match="must run without its filters"):
        task.probe("memory", mask)


@pytest.mark.parametrize("method", ["nsga2", "moead", "random", "magnitude", "platypus"])
def test_methods_search_with_three_objectives(method: str) -> None:
    task = tiny_task()
    found = Registry().component("method", method)
    assert isinstance(found, pf.Method)
    with contextlib.suppress(BudgetSpent):
        found.search(task)
    values = task.archive.front_values() / task.references
    assert values.shape[1] == 3
    assert hypervolume(values) > 0


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=80))
def test_the_interval_holds_the_median(times: list[float]) -> None:
    low, high = interval(np.array(times))
    assert min(times) <= low <= np.median(times) <= high <= max(times)


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = np.array([interval(rng.exponential(size=50)) for _ in range(2000)])
    covered = np.mean((found[:, 0] <= np.log(2)) & (np.log(2) <= found[:, 1]))
    assert 0.94 <= covered <= 0.985


def test_a_series_is_measured_once_and_replayed(tmp_path: Path) -> None:
    task = tiny_task("local-cpu[repeats=3,warmup=0]")
    bench, masks = task._workbench, random_filters(task.network, 4)
    objectives = [Registry().component("objective", name) for name in PHYSICAL]
    found = []
    for _ in range(2):
        with Journal(tmp_path / "journal.jsonl", {}) as journal:
            found.append(measure_series(bench, masks, [DENSE] * 4, objectives, journal))  # type: ignore[arg-type]
    first, second = found
    assert first.values.shape == (5, 2)
    assert np.array_equal(first.values, second.values)
    assert first.timings.equals(second.timings)
    assert np.all(first.timings.low <= first.timings.seconds)
    assert np.all(first.timings.seconds <= first.timings.high)
    assert first.noise == pytest.approx(abs(first.values[0, 0] - 1))
    compared = first.timings.seconds[0] / first.values[0, 0]  # the unpruned network's other median
    assert first.values[:, 0] == pytest.approx(first.timings.seconds / compared)


def planned(target: str, **settings: Any) -> Any:
    settings |= {"units": "filter", "objectives": PHYSICAL, "target": target, "search_images": 100}
    return plan(Registry(), ["nsga2"], ["lenet-digits"], [0], settings, "cpu", 1, lambda line: None)


@pytest.mark.parametrize("target", ["analytic", "local-cpu[repeats=3,warmup=1]"])
def test_a_whole_run_ends_with_an_undominated_front_in_one_series(target: str, tmp_path: Path) -> None:
    study = StudyFolder(tmp_path)
    study.prepare({}, {})
    found = planned(target, budget=30)
    assert found.measured == target.startswith("local")
    [run] = found.runs
    result = carry_out(run, tmp_path, ())
    assert result["status"] == "done", result
    front = run.folder(study).front()
    assert front["search"].shape[1] == 3
    assert np.array_equal(front["search"][:, 1:], front["test"][:, 1:])
    dominated = [
        any(np.all(other <= own) and np.any(other < own) for other in front["search"]) for own in front["search"]
    ]
    assert not any(dominated)
    diagnostics = run.folder(study).diagnostics()
    if not found.measured:  # a formula has no noise
        assert diagnostics is None
        return
    assert diagnostics is not None
    timings = diagnostics[diagnostics.record == "timings"]
    assert len(timings) == 1 + len(front["bits"])
    assert len(diagnostics[diagnostics.record == "noise of timings"]) == 1


def test_a_measured_run_that_dies_goes_on_with_what_was_measured(tmp_path: Path) -> None:
    [run] = planned("local-cpu[repeats=2,warmup=0]", budget=30).runs
    folder = run.folder(StudyFolder(tmp_path))
    with dying_at(17), pytest.raises(Death):
        carry_out(run, tmp_path, ())
    before = folder.answers()
    assert carry_out(run, tmp_path, ())["status"] == "done"
    assert folder.answers()[: len(before)] == before


def test_the_same_table_elsewhere_gives_the_same_search(tmp_path: Path) -> None:
    network = Registry().problem("lenet-digits").with_settings(units="filter").load().network
    folders = []
    for name in ("here", "there"):
        path = tmp_path / name / "table.json"
        path.parent.mkdir()
        table(network).write(path)
        [run] = planned(f"lookup-table[table={path}]", budget=20).runs
        assert carry_out(run, tmp_path / name / "study", ())["status"] == "done"
        folders.append(run.folder(StudyFolder(tmp_path / name / "study")))
    assert folders[0].path.name == folders[1].path.name
    assert_same_front(*folders)


def test_runs_on_another_device_or_table_are_other_runs(tmp_path: Path) -> None:
    network = Registry().problem("lenet-digits").with_settings(units="filter").load().network
    table(network).write(tmp_path / "table.json")
    target = f"lookup-table[table={tmp_path / 'table.json'}]"
    [run] = planned(target, budget=10).runs
    assert run.digest not in {planned(other, budget=10).runs[0].digest for other in ("analytic", "local-cpu")}
    table(network, 2).write(tmp_path / "table.json")
    assert planned(target, budget=10).runs[0].digest != run.digest
    assert "another one" in carry_out(run, tmp_path / "study", ())["reason"]


def test_a_device_that_cannot_judge_the_network_is_found_out_at_once(tmp_path: Path) -> None:
    table(tiny_task().network).write(tmp_path / "table.json")
    with pytest.raises(InputError, match="differ in layer"):
        planned(f"lookup-table[table={tmp_path / 'table.json'}]", budget=10)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="local-cuda needs a GPU"):
            planned("local-cuda", budget=10)
    with pytest.raises(InputError, match=r"two evaluations of 2\.2 units"):
        planned("local-cpu", budget=4)


def test_what_is_measured_locks_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.run.LOCK", tmp_path / "lock")
    for spec, locks in (("local-cpu", True), ("analytic", False)):
        with measuring(Target(device(spec), timed=True)):
            if locks:
                with pytest.raises(Timeout):
                    FileLock(tmp_path / "lock").acquire(timeout=0)
            else:
                FileLock(tmp_path / "lock").acquire(timeout=0).lock.release()


def test_who_waits_for_the_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.run.LOCK", tmp_path / "lock")
    told: list[str] = []
    say_if_busy(told.append)
    assert not told
    with FileLock(tmp_path / "lock"):
        say_if_busy(told.append)
    assert len(told) == 1
    assert str(tmp_path / "lock") in told[0]


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the command line in this process."""
    monkeypatch.setattr(sys, "argv", ["pruneframe", *arguments])
    threads = torch.get_num_threads()
    try:
        return main.run()
    finally:
        torch.set_num_threads(threads)


def test_measuring_runs_go_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = ("bench", "--methods", "random", "--units", "filter", "--objectives", "error,latency")
    assert command(monkeypatch, *bench, "--jobs", "2", "--output", str(tmp_path / "study")) == 2
    assert "--jobs must be 1" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("bench", "--methods", "random", "--target", "nonsense"), "nonsense"),
        (("data", "lenet-digits", "--target", "local-cpu"), "those of --profile"),
        (("data", "lenet-digits", "--threads", "1"), "those of --profile"),
        (("data", "lenet-digits", "--target", ""), "those of --profile"),
        (("data", "lenet-digits", "--profile", "x", "--target", ""), "a component is written name"),
        (("bench", "--methods", "random", "--target", ""), "a component is written name"),
        (("data", "lenet-digits", "--profile", "none/such/file.json"), "in an existing folder"),
        (("data", "lenet-digits", "--profile", "."), "in an existing folder"),
    ],
)
def test_what_would_have_no_effect_or_end_in_nothing_is_refused(
    arguments: tuple[str, ...],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Profile, "measure", lambda *_: pytest.fail("it must be refused before anything is timed"))
    assert command(monkeypatch, *arguments) == 2
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "profile.json"
    target = ("--target", "local-cpu[repeats=2,warmup=0]")
    assert command(monkeypatch, "data", "lenet-digits", "--profile", str(path), *target) == 0
    assert "4 layers" in capsys.readouterr().out
    assert json.loads(path.read_text())["environment"]["threads"] == 1
    assert command(monkeypatch, "data", "lenet-digits", "--profile", str(tmp_path / "a"), "--target", "analytic") == 2
    assert "times nothing" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
