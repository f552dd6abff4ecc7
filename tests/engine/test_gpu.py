"""The path on a GPU equals torch's forward pass; all but the graph itself is tested without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from command import Command, parsed
from networks import CASES, agree, close, images_of, masks_of, network_of, states_of
from numpy.typing import NDArray
from precisions import noted_flags
from runs import assert_same_front, carried_out, run_of
from torch import Tensor, nn

from pruneframe.engine import Engine, Precision, multiplies_bfloat16
from pruneframe.engine import gpu as gpu_module
from pruneframe.engine.gpu import NO_GRAPH, Gpu
from pruneframe.engine.plain import Plain
from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.study.machine import environment
from pruneframe.study.plan import plan
from pruneframe.testing import tiny_problem

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
DEVICE = "cuda:0"
needs_bfloat16 = pytest.mark.skipif(
    not torch.cuda.is_available() or not multiplies_bfloat16(DEVICE),
    reason="torch sees no GPU that multiplies bfloat16",
)
NORMED = [(name, units) for name, units in CASES if name in ("tiny", "resnet", "odd")]


@pytest.fixture(params=[1, 4], ids=["alone", "beside"])
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many candidates every network computes at a time."""
    set_together(monkeypatch, request.param)
    return request.param


def set_together(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(gpu_module, "BUSY", 2**60)
    monkeypatch.setattr(gpu_module, "TOGETHER", number)


@pytest.mark.parametrize(("name", "units"), CASES)
@pytest.mark.parametrize("n", [1, 37])
def test_it_predicts_what_torch_does(name: str, units: str, n: int, together: int) -> None:
    network = network_of(name, units)
    gpu, plain, images = Gpu(network, "cpu"), Plain(network), images_of(network, n)
    assert gpu.together == together
    masks, state = masks_of(network), network.module.state_dict()
    expected = plain.logits(masks, [state] * len(masks), plain.place(images))
    for one, other in zip(gpu.logits(masks, [state] * len(masks), plain.place(images)), expected, strict=True):
        agree(one, other)


@pytest.mark.parametrize(("name", "units"), NORMED)
def test_shifted_batch_norm_is_that_of_torchs_path(name: str, units: str, together: int) -> None:
    network = network_of(name, units)
    calibration = images_of(network, 40)
    gpu, plain = Gpu(network, "cpu", calibration), Plain(network, "cpu", calibration)
    masks, images, states = masks_of(network)[[1, 2, 3] * 2], images_of(network, 20), states_of(network, 2)
    order = [states[i % 2] for i in range(6)]
    for one, other in zip(gpu.logits(masks, order, images), plain.logits(masks, order, images), strict=True):
        close(one, other)


def test_each_candidate_has_its_own_weights(together: int) -> None:
    network = network_of("odd")
    gpu, plain, images, masks = Gpu(network, "cpu"), Plain(network), images_of(network, 9), masks_of(network)
    states = states_of(network, 3)
    for order in ([states[i % 3] for i in range(len(masks))], [states[i // 6] for i in range(len(masks))]):
        for one, other in zip(gpu.logits(masks, order, images), plain.logits(masks, order, images), strict=True):
            agree(one, other)


class Counting(nn.Module):
    """A buffer of integers takes part in what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("order", torch.tensor([2, 0, 1]))

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1))[:, self.order]


def test_buffers_of_integers_are_those_of_the_weights(together: int) -> None:
    network = tiny.network(Counting(), (1, 2, 2))
    state = network.module.state_dict()
    turned = {**state, "order": torch.tensor([0, 2, 1])}
    gpu, plain, images = Gpu(network, "cpu"), Plain(network), images_of(network, 5)
    masks = network.layout.full(2)
    found, expected = (list(path.logits(masks, [state, turned], images)) for path in (gpu, plain))
    agree(np.array(found).reshape(10, 3), np.array(expected).reshape(10, 3))
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("shifted", [False, True])
def test_an_answer_depends_on_nothing_computed_before_or_beside_it(shifted: bool, together: int) -> None:
    network = network_of("tiny")
    calibration = images_of(network, 40) if shifted else None
    gpu, images, masks = Gpu(network, "cpu", calibration), images_of(network, 20), masks_of(network)
    states = states_of(network, 2)
    order = [states[i % 3 == 1] for i in range(len(masks))]

    def alone(row: int) -> NDArray[np.float32]:
        return next(Gpu(network, "cpu", calibration).logits(masks[[row]], [order[row]], images))

    forwards = list(gpu.logits(masks, order, images))
    backwards = list(gpu.logits(masks[::-1], order[::-1], images))[::-1]
    for row in range(len(masks)):
        assert np.array_equal(forwards[row], alone(row))
        assert np.array_equal(backwards[row], alone(row))


def test_answers_outlive_the_next_question(together: int) -> None:
    network = network_of("tiny")
    gpu, images, masks = Gpu(network, "cpu"), images_of(network, 6), masks_of(network)
    state = network.module.state_dict()
    first = next(gpu.logits(masks[[1]], [state], images))
    before = first.copy()
    next(gpu.logits(masks[[3]], [state], images))
    assert np.array_equal(first, before)


def test_batches_of_images_and_parts_of_a_population_change_nothing(
    monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    network = network_of("lenet")
    masks, images, state = masks_of(network), images_of(network, 25), network.module.state_dict()
    expected = list(Gpu(network, "cpu").logits(masks, [state] * len(masks), images))
    monkeypatch.setattr(gpu_module, "IMAGES", 10)
    monkeypatch.setattr(gpu_module, "ANSWERS", 3 * 25 * network.outputs)
    gpu, sizes = Gpu(network, "cpu"), []
    whole = gpu._population
    monkeypatch.setattr(gpu, "_population", lambda part, *rest: (sizes.append(len(part)), whole(part, *rest))[1])
    for one, other in zip(gpu.logits(masks, [state] * len(masks), images), expected, strict=True):
        agree(one, other)
    assert sizes == [3] * (len(masks) // 3) + [len(masks) % 3] * (len(masks) % 3 > 0)


def test_no_candidates_are_no_answers() -> None:
    network = network_of("tiny")
    assert list(Gpu(network, "cpu").logits(network.layout.full(1)[[]], [], images_of(network, 3))) == []


@pytest.mark.parametrize("name", ["tiny", "small lenet", "lenet", "resnet"])
def test_small_networks_run_side_by_side(name: str) -> None:
    gpu, beside = Gpu(network_of(name), "cpu"), name != "resnet"
    assert (gpu.together > 1) == beside
    assert ("side by side" in gpu.notice) == beside


def test_large_networks_take_fewer_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of("resnet")
    monkeypatch.setattr(gpu_module, "LAUNCH", 7 * network.total_macs + 1)
    assert Gpu(network, "cpu")._batch == 7
    monkeypatch.setattr(gpu_module, "LAUNCH", 1)
    assert Gpu(network, "cpu")._batch == 1


class Deciding(nn.Module):
    """What it computes depends on what it has computed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.linear = nn.Linear(144, 2)

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images).flatten(1)
        return self.linear(features if bool(features.sum() > 0) else -features)


class Unhurried(Deciding):
    """It has an operation that torch would do one by one for several weights."""

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.conv(images).flatten(1).square_())


@pytest.mark.parametrize("make", [Deciding, Unhurried])
def test_networks_that_cannot_run_side_by_side_run_one_by_one(make: Callable[[], nn.Module]) -> None:
    network = tiny.network(make(), (3, 8, 8))
    gpu, plain, images = Gpu(network, "cpu"), Plain(network), images_of(network, 4)
    assert gpu.notice.startswith("GPU, one candidate at a time; not side by side: ")
    masks, state = masks_of(network), network.module.state_dict()
    for one, other in zip(
        gpu.logits(masks, [state] * len(masks), images), plain.logits(masks, [state] * len(masks), images), strict=True
    ):
        agree(one, other)


@pytest.mark.parametrize("exact", [False, True])
def test_only_the_search_is_rounded_and_statistics_never_are(exact: bool) -> None:
    network = network_of("resnet")
    gpu = Gpu(network, "cpu", images_of(network, 20))
    rounded = (not exact, not exact)
    with noted_flags(gpu._module) as found:
        list(gpu.logits(network.layout.full(2), [network.module.state_dict()] * 2, images_of(network, 4), exact))
    assert found == [(False, False), *[(False, False), rounded] * 2]


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("together", [1, 4])
def test_a_search_in_bfloat16_is_near_and_what_is_exact_is_not_rounded(
    together: int, shifted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_together(monkeypatch, together)
    network = network_of("resnet")
    masks, state, images = masks_of(network)[1:], network.module.state_dict(), images_of(network, 12)
    calibration = images_of(network, 40) if shifted else None
    gpu, rounding = Gpu(network, "cpu", calibration), Gpu(network, "cpu", calibration, "bfloat16")
    assert gpu.together == rounding.together == together
    assert "in bfloat16" in rounding.notice
    assert "in bfloat16" not in gpu.notice
    expected = np.array(list(gpu.logits(masks, [state] * len(masks), images)))
    exact = np.array(list(rounding.logits(masks, [state] * len(masks), images, exact=True)))
    rounded = np.array(list(rounding.logits(masks, [state] * len(masks), images)))
    assert rounded.dtype == np.float32
    assert np.array_equal(exact, expected)
    assert not np.array_equal(rounded, expected)
    close(rounded, expected, 0.03)


@pytest.fixture
def on_gpu_path(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Every engine takes the path of a GPU, on the CPU; the list says of each call whether it was exact."""
    calls: list[bool] = []

    class Noted(Gpu):
        def logits(self, masks: Masks, states: Any, images: Tensor, exact: bool = False) -> Any:
            calls.append(exact)
            return super().logits(masks, states, images, exact)

    begin = Engine.__init__

    def init(
        self: Engine,
        network: Network,
        device: str = "cpu",
        calibration: Tensor | None = None,
        sample: Tensor | None = None,
        precision: Precision | None = None,
    ) -> None:
        begin(self, network, device, calibration, sample, precision)
        self._gpu = Noted(network, device, calibration)

    monkeypatch.setattr(Engine, "__init__", init)
    return calls


def test_an_engine_on_a_gpu_leaves_all_candidates_to_it(on_gpu_path: list[bool]) -> None:
    network = network_of("odd")
    engine, masks, state = Engine(network), masks_of(network), network.module.state_dict()
    images = engine.place(images_of(network, 8))
    for exact in (False, True):
        found = list(engine.logits(masks, [state] * len(masks), images, exact))
        plain = Plain(network)
        for one, other in zip(found, plain.logits(masks, [state] * len(masks), images), strict=True):
            agree(one, other)
    assert on_gpu_path == [False, True]
    assert engine.notice.startswith("GPU, ")
    assert not engine._groups


def test_the_dense_network_is_measured_exactly_and_candidates_where_it_is_asked_for(on_gpu_path: list[bool]) -> None:
    bench = Workbench(tiny.load(tiny_problem()), "cpu", Shelf(None))
    bench.dense(bench.search).logits  # noqa: B018 # computed when first asked for
    assert on_gpu_path == [True]
    mask = bench.network.layout.full()
    one, other = (next(bench.candidates(mask, [DENSE], bench.search, exact)) for exact in (False, True))
    assert np.array_equal(one.logits, other.logits)
    assert on_gpu_path == [True, False, True]


@pytest.mark.parametrize("method", ["nsga2", "magnitude"])
def test_a_run_ends_with_the_same_front_and_reports_float32(
    method: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_together(monkeypatch, 4)  # as many as small networks compute on a GPU take a processor long
    run, notice = run_of(method, budget=60.0), Engine(network_of("small lenet")).notice
    expected = carried_out(run, tmp_path / "processor")
    calls: list[bool] = request.getfixturevalue("on_gpu_path")
    found = carried_out(run, tmp_path / "gpu")
    assert_same_front(found, expected)
    members = 2 * (found.result["front_size"] + 1)  # on either split, the dense network beside them
    assert calls[-members:] == [True] * members
    assert False in calls
    assert found.result["engine"].startswith("GPU, ")
    assert expected.result["engine"] == notice


def test_the_environment_names_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a GPU at {device}")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert environment(DEVICE) == environment() | {"gpu": f"a GPU at {DEVICE}", "bfloat16": "tensor cores"}


@needs_gpu
@pytest.mark.parametrize(("name", "units"), CASES)
def test_a_gpu_predicts_what_the_processor_does(name: str, units: str) -> None:
    network = network_of(name, units)
    engine, plain, images = Engine(network, DEVICE), Plain(network), images_of(network, 37)
    masks, state = masks_of(network), network.module.state_dict()
    expected = list(plain.logits(masks, [state] * len(masks), plain.place(images)))
    placed = engine.place(images)
    for _ in range(2):
        for one, other in zip(engine.logits(masks, [state] * len(masks), placed, exact=True), expected, strict=True):
            close(one, other)
    assert NO_GRAPH not in engine.notice


@needs_gpu
@pytest.mark.parametrize(("name", "units"), NORMED)
def test_a_gpu_shifts_statistics_as_the_processor_does(name: str, units: str) -> None:
    network = network_of(name, units)
    calibration, images = images_of(network, 40), images_of(network, 20)
    engine, plain = Engine(network, DEVICE, calibration), Plain(network, "cpu", calibration)
    masks, states = masks_of(network)[[1, 2, 3] * 2], states_of(network, 2)
    order = [states[i % 2] for i in range(6)]
    found = engine.logits(masks, order, engine.place(images), exact=True)
    for one, other in zip(found, plain.logits(masks, order, plain.place(images)), strict=True):
        close(one, other)
    assert NO_GRAPH not in engine.notice


@needs_gpu
def test_graphs_over_several_sets_of_images_do_not_disturb_each_other() -> None:
    network = network_of("resnet")
    engine, plain, state = Engine(network, DEVICE), Plain(network), network.module.state_dict()
    masks, sets = masks_of(network)[[2, 3]], [images_of(network, n) for n in (30, 50)]
    expected = [list(plain.logits(masks, [state] * 2, plain.place(images))) for images in sets]
    placed = [engine.place(images) for images in sets]
    for i in (0, 1, 0, 1, 1, 0):
        for one, other in zip(engine.logits(masks, [state] * 2, placed[i], exact=True), expected[i], strict=True):
            close(one, other)


@needs_gpu
def test_the_search_on_a_gpu_agrees_with_float32() -> None:
    loaded = tiny.load(tiny.registry().problem("lenet-digits"))
    bench, network = Workbench(loaded, DEVICE, Shelf(None)), loaded.network
    keep = np.random.default_rng(0).random((10, network.layout.total)) < np.linspace(0.5, 1, 10)[:, None]
    masks = Masks.pack(keep, network.layout)
    rounded, exact = (
        np.array([one.logits for one in bench.candidates(masks, [DENSE] * 10, bench.search, exact)]).argmax(axis=2)
        for exact in (False, True)
    )
    assert np.mean(rounded == exact) >= 0.99


@needs_bfloat16
def test_a_search_in_bfloat16_on_a_gpu_is_near_and_reports_float32() -> None:
    loaded = tiny.load(tiny.registry().problem("lenet-digits"))
    exact, bench = (Workbench(loaded, DEVICE, Shelf(None), precision=one) for one in ("float32", "bfloat16"))
    keep = np.random.default_rng(0).random((10, loaded.network.layout.total)) < np.linspace(0.5, 1, 10)[:, None]
    masks = Masks.pack(keep, loaded.network.layout)
    assert "in bfloat16" in bench.notice
    assert NO_GRAPH not in bench.notice
    expected = np.array([one.logits for one in exact.candidates(masks, [DENSE] * 10, exact.search)])
    reported = np.array([one.logits for one in bench.candidates(masks, [DENSE] * 10, bench.search, exact=True)])
    rounded = np.array([one.logits for one in bench.candidates(masks, [DENSE] * 10, bench.search)])
    assert np.array_equal(reported, expected)
    assert not np.array_equal(rounded, expected)
    assert np.mean(rounded.argmax(axis=2) == expected.argmax(axis=2)) >= 0.97


@needs_gpu
def test_a_network_that_no_graph_can_hold_runs_on_a_gpu() -> None:
    network = tiny.network(Deciding(), (3, 8, 8))
    engine, plain, images = Engine(network, DEVICE), Plain(network), images_of(network, 12)
    masks, state = masks_of(network), network.module.state_dict()
    found = engine.logits(masks, [state] * len(masks), engine.place(images), exact=True)
    for one, other in zip(found, plain.logits(masks, [state] * len(masks), plain.place(images)), strict=True):
        close(one, other)
    assert NO_GRAPH in engine.notice


@needs_gpu
def test_runs_of_one_identity_are_equal_on_a_gpu(tmp_path: Path) -> None:
    settings = {"budget": 60.0, "search_images": 100}
    run = plan(tiny.registry(), ["nsga2"], ["lenet-digits"], [0], [0], settings, DEVICE, 1, lambda line: None).runs[0]
    one, two = (carried_out(run, tmp_path / name) for name in ("one", "two"))
    assert_same_front(one, two)
    assert NO_GRAPH not in one.result["engine"]
    assert one.result["environment"]["gpu"] == torch.cuda.get_device_name(DEVICE)


@needs_gpu
def test_a_bench_runs_on_a_gpu(pruneframe: Command) -> None:
    quick = ("--budget", "40", "--search-images", "100", "--seeds", "0", "--threads", "1")
    found = parsed(pruneframe("bench", "--methods", "random,magnitude", "--device", DEVICE, *quick, "--json"))
    assert [run["status"] for run in found] == ["done", "done"]
    assert all(0 < run["hypervolume"] < 1 for run in found)
