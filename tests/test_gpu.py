"""The path on a GPU equals torch's forward pass; all but the graph itself is tested without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command, parsed
from numpy.typing import NDArray
from test_run import carried_out, planned, same_front
from test_sparse import CASES, agree, images_of, masks_of, network_of
from torch import Tensor, nn

from pruneframe.engine import Engine, State
from pruneframe.engine import gpu as gpu_module
from pruneframe.engine.capture import WARM_UP, Capture
from pruneframe.engine.flat import ALIGNMENT, Flat
from pruneframe.engine.gpu import NO_GRAPH, Gpu
from pruneframe.engine.plain import Plain
from pruneframe.engine.precision import precision
from pruneframe.journal import Shelf
from pruneframe.mask import Masks, Units
from pruneframe.network import Network
from pruneframe.registry import Registry
from pruneframe.run import environment
from pruneframe.study import plan
from pruneframe.testing import tiny_problem
from pruneframe.workbench import DENSE, Workbench

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
DEVICE = "cuda:0"
NORMED = [(name, units) for name, units in CASES if name in ("tiny", "resnet", "odd")]


@pytest.fixture(params=[1, 4], ids=["alone", "beside"])
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many candidates every network computes at a time."""
    set_together(monkeypatch, request.param)
    return request.param


def set_together(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(gpu_module, "BUSY", 2**60)
    monkeypatch.setattr(gpu_module, "TOGETHER", number)


def states_of(network: Network, n: int) -> list[State]:
    """Different weights and statistics; what counts is copied."""
    own = network.module.state_dict()
    return [{k: v * (1 + 0.2 * i) if v.is_floating_point() else v.clone() for k, v in own.items()} for i in range(n)]


def close(found: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float = 1e-4) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * (float(np.ptp(expected)) or 1.0)


@pytest.mark.parametrize(("name", "units"), CASES)
def test_a_row_holds_all_floats_of_a_state(name: str, units: Units) -> None:
    network = network_of(name, units)
    module = network.module.to(memory_format=torch.channels_last)
    flat, state = Flat(module), network.module.state_dict()
    views = flat.views(flat.row(state))
    assert views.keys() == {key for key, tensor in state.items() if tensor.is_floating_point()}
    assert all(torch.equal(views[key], state[key]) for key in views)
    assert all(views[key].stride() == state[key].stride() for key in views)
    assert all(view.storage_offset() % ALIGNMENT == 0 for view in views.values())
    assert flat.size < sum(view.numel() + ALIGNMENT for view in views.values())


def test_views_of_rows_are_views_of_each_row() -> None:
    flat = Flat(network_of("odd").module)
    rows = torch.randn(3, flat.size)
    together = flat.views(rows)
    for i in range(3):
        assert all(torch.equal(together[name][i], view) for name, view in flat.views(rows[i]).items())
    together["last.bias"].fill_(7)
    assert (rows == 7).sum() == 3 * together["last.bias"][0].numel()


@pytest.mark.parametrize(("name", "units"), CASES)
def test_a_float_needs_the_units_that_keep_it(name: str, units: Units) -> None:
    network = network_of(name, units)
    flat, masks = Flat(network.module), masks_of(network)
    needs = flat.needs(network)
    for row in range(len(masks)):
        bits = torch.from_numpy(np.append(masks.unpack(row), True))
        found = flat.views(bits[needs].all(dim=0))
        keep = network.keep(masks, row)
        assert all(torch.equal(found[key], keep.get(key, torch.tensor(True)).expand_as(found[key])) for key in found)


@pytest.mark.parametrize(("name", "units"), CASES)
@pytest.mark.parametrize("n", [1, 37])
def test_it_predicts_what_torch_does(name: str, units: Units, n: int, together: int) -> None:
    network = network_of(name, units)
    gpu, plain, images = Gpu(network, "cpu"), Plain(network), images_of(network, n)
    assert gpu.together == together
    masks, state = masks_of(network), network.module.state_dict()
    expected = plain.logits(masks, [state] * len(masks), plain.place(images))
    for one, other in zip(gpu.logits(masks, [state] * len(masks), plain.place(images)), expected, strict=True):
        agree(one, other)


@pytest.mark.parametrize(("name", "units"), NORMED)
def test_shifted_batch_norm_is_that_of_torchs_path(name: str, units: Units, together: int) -> None:
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
    network = Network(Counting(), (1, 2, 2), "weight")
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
    network = Network(make(), (3, 8, 8), "weight")
    gpu, plain, images = Gpu(network, "cpu"), Plain(network), images_of(network, 4)
    assert gpu.notice.startswith("GPU, one candidate at a time; not side by side: ")
    masks, state = masks_of(network), network.module.state_dict()
    for one, other in zip(
        gpu.logits(masks, [state] * len(masks), images), plain.logits(masks, [state] * len(masks), images), strict=True
    ):
        agree(one, other)


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("before", [False, True])
def test_precision_is_set_for_a_block_alone(before: bool) -> None:
    with precision(tf32=before):
        for tf32 in (False, True):
            with precision(tf32=tf32):
                assert flags() == (tf32, tf32)
            assert flags() == (before, before)
        with pytest.raises(RuntimeError, match="on purpose"), precision(tf32=not before):
            raise RuntimeError("on purpose")
        assert flags() == (before, before)


@contextmanager
def noted_flags(module: nn.Module) -> Iterator[list[tuple[bool, bool]]]:
    """The flags under which a module is called."""
    found: list[tuple[bool, bool]] = []
    hook = module.register_forward_pre_hook(lambda *_: found.append(flags()))
    yield found
    hook.remove()


@pytest.mark.parametrize("exact", [False, True])
def test_only_the_search_is_rounded_and_statistics_never_are(exact: bool) -> None:
    network = network_of("resnet")
    gpu = Gpu(network, "cpu", images_of(network, 20))
    rounded = (not exact, not exact)
    with noted_flags(gpu._module) as found:
        list(gpu.logits(network.layout.full(2), [network.module.state_dict()] * 2, images_of(network, 4), exact))
    assert found == [(False, False), *[(False, False), rounded] * 2]


def test_torchs_own_path_is_never_rounded() -> None:
    network = network_of("resnet")
    plain, images = Plain(network, calibration=images_of(network, 20)), images_of(network, 4)
    masks, states = network.layout.full(), [network.module.state_dict()]
    with precision(tf32=True), noted_flags(plain._module.conv1) as found:
        list(plain.logits(masks, states, images))
        list(plain.outputs(masks, states, images, 0, 3))
        plain.shifted(masks, states[0])
        plain.masked(masks, states[0])
        assert len(found) >= 6
        assert set(found) == {(False, False)}
        assert flags() == (True, True)


@pytest.fixture
def on_gpu_path(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Every engine takes the path of a GPU, on the CPU; the list says of each call whether it was exact."""
    calls: list[bool] = []

    class Noted(Gpu):
        def logits(self, masks: Masks, states: Any, images: Tensor, exact: bool = False) -> Any:
            calls.append(exact)
            return super().logits(masks, states, images, exact)

    begin = Engine.__init__

    def init(self: Engine, network: Network, device: str = "cpu", calibration: Tensor | None = None) -> None:
        begin(self, network, device, calibration)
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
    bench = Workbench(tiny_problem().load(), "cpu", Shelf(None))
    bench.dense(bench.search).logits  # noqa: B018 # computed when first asked for
    assert on_gpu_path == [True]
    mask = bench.network.layout.full()
    one, other = (next(bench.candidates(mask, [DENSE], bench.search, exact)) for exact in (False, True))
    assert np.array_equal(one.logits, other.logits)
    assert on_gpu_path == [True, False, True]


@pytest.mark.parametrize("method", ["nsga2", "magnitude"])
def test_a_run_ends_with_the_same_front_and_reports_float32(
    method: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run, notice = planned(method), Engine(network_of("small lenet")).notice
    expected = carried_out(run, tmp_path / "processor")
    calls: list[bool] = request.getfixturevalue("on_gpu_path")
    found = carried_out(run, tmp_path / "gpu")
    assert same_front(found, expected)
    members = 2 * (found.result["front_size"] + 1)  # on either split, the dense network beside them
    assert calls[-members:] == [True] * members
    assert False in calls
    assert found.result["engine"].startswith("GPU, ")
    assert expected.result["engine"] == notice


def test_the_precision_of_the_search_is_part_of_a_runs_identity() -> None:
    settings = {"budget": 20.0}
    for device, dtype in (("cpu", "float32"), (DEVICE, "tf32")):
        found = plan(Registry(()), ["random"], ["lenet-digits"], [0], settings, device, 1, lambda line: None)
        assert [run.dtype for run in found.runs] == [dtype]


def test_the_environment_names_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a GPU at {device}")
    assert environment(DEVICE) == environment() | {"gpu": f"a GPU at {DEVICE}"}


class Graph:
    """Stands in for torch's, which needs a GPU."""

    def replay(self) -> None:
        pass


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """Torch captures everything; the list holds the graphs."""
    found: list[Graph] = []
    stream = SimpleNamespace(wait_stream=lambda other: None)
    replaced = {
        "device": lambda device: nullcontext(),
        "stream": lambda stream: nullcontext(),
        "current_stream": lambda: stream,
        "Stream": lambda device: stream,
        "graph_pool_handle": lambda: (0, 1),
        "CUDAGraph": Graph,
        "graph": lambda graph, pool, stream: (found.append(graph), nullcontext())[1],
    }
    for name, value in replaced.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return found


def test_work_is_captured_after_it_has_warmed_up(captures: list[Graph]) -> None:
    capture, runs = Capture(torch.device(DEVICE)), []
    replay = capture(lambda: runs.append(len(captures)))
    assert runs == [0] * WARM_UP + [1]
    assert replay == captures[0].replay
    assert capture.failure == ""


def test_what_cannot_be_captured_runs_as_it_is_and_says_why(captures: list[Graph]) -> None:
    gpu = Gpu(network_of("tiny"), "cpu")
    gpu._capture.device = torch.device(DEVICE)

    def run() -> None:
        if captures:
            raise RuntimeError("operation not permitted\nwhen the stream is capturing")

    assert gpu._capture(run) is run
    assert gpu.notice.endswith("; no CUDA graph: operation not permitted")
    assert gpu._capture(run) is run
    assert len(captures) == 1


@needs_gpu
@pytest.mark.parametrize(("name", "units"), CASES)
def test_a_gpu_predicts_what_the_processor_does(name: str, units: Units) -> None:
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
def test_a_gpu_shifts_statistics_as_the_processor_does(name: str, units: Units) -> None:
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
    loaded = Registry(()).problem("lenet-digits").load()
    bench, network = Workbench(loaded, DEVICE, Shelf(None)), loaded.network
    keep = np.random.default_rng(0).random((10, network.layout.total)) < np.linspace(0.5, 1, 10)[:, None]
    masks = Masks.pack(keep, network.layout)
    rounded, exact = (
        np.array([one.logits for one in bench.candidates(masks, [DENSE] * 10, bench.search, exact)]).argmax(axis=2)
        for exact in (False, True)
    )
    assert np.mean(rounded == exact) >= 0.99


@needs_gpu
def test_a_network_that_no_graph_can_hold_runs_on_a_gpu() -> None:
    network = Network(Deciding(), (3, 8, 8), "weight")
    engine, plain, images = Engine(network, DEVICE), Plain(network), images_of(network, 12)
    masks, state = masks_of(network), network.module.state_dict()
    found = engine.logits(masks, [state] * len(masks), engine.place(images), exact=True)
    for one, other in zip(found, plain.logits(masks, [state] * len(masks), plain.place(images)), strict=True):
        close(one, other)
    assert NO_GRAPH in engine.notice


@needs_gpu
def test_runs_of_one_identity_are_equal_on_a_gpu(tmp_path: Path) -> None:
    settings = {"budget": 60.0, "search_images": 100}
    run = plan(Registry(()), ["nsga2"], ["lenet-digits"], [0], settings, DEVICE, 1, lambda line: None).runs[0]
    one, two = (carried_out(run, tmp_path / name) for name in ("one", "two"))
    assert same_front(one, two)
    assert NO_GRAPH not in one.result["engine"]
    assert one.result["environment"]["gpu"] == torch.cuda.get_device_name(DEVICE)


@needs_gpu
def test_a_bench_runs_on_a_gpu(pruneframe: Command) -> None:
    quick = ("--budget", "40", "--search-images", "100", "--seeds", "0", "--threads", "1")
    found = parsed(pruneframe("bench", "--methods", "random,magnitude", "--device", DEVICE, *quick, "--json"))
    assert [run["status"] for run in found] == ["done", "done"]
    assert all(0 < run["hypervolume"] < 1 for run in found)
