"""The sparse path equals torch's forward pass, and says what it cannot run."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe.engine import Engine, kernel
from pruneframe.engine.batch_norm import statistics
from pruneframe.engine.compiler import compiled
from pruneframe.engine.library import in_threads
from pruneframe.engine.moments import Moments
from pruneframe.engine.plain import Plain
from pruneframe.engine.plan import LANES, MAXIMUM, MEAN, SUMS, Unsupported
from pruneframe.engine.prefix import Work
from pruneframe.engine.shrunk import Shrunk
from pruneframe.engine.sparse import Sparse
from pruneframe.mask import Masks, Units
from pruneframe.network import Network
from pruneframe.testing import TinyNetwork
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import LeNet, SmallLeNet

needs_kernel = pytest.mark.skipif(kernel() is None, reason="the kernel could not be built here")


class Odd(nn.Module):
    """Grouped, strided, dilated and one-sided convolutions, ReLU6, mean pooling, and additions of all orders."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 2))
        self.norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.wide = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2, bias=False)
        self.act = nn.ReLU6()
        self.pool = nn.AvgPool2d(2, stride=(2, 3))
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.hidden = nn.Linear(8, 9)
        self.scale = nn.BatchNorm1d(9)
        self.last = nn.Linear(9, 4)

    def forward(self, images: Tensor) -> Tensor:
        first = self.act(self.norm(self.first(images)))
        both = F.relu(first + self.deep(first))
        pooled = self.pool(both + self.wide(both) + first)
        flat = self.mean(torch.relu(pooled)).view(images.size(0), -1)
        return self.last(F.relu(self.scale(self.hidden(flat))))


class Pooled(nn.Module):
    """Pooling that is part of a convolution, before and after ReLU and an addition, and pooling that cannot be."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 18, 3, padding=1)
        self.second = nn.Conv2d(18, 18, 5, padding=2)
        self.third = nn.Conv2d(18, 6, 3)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(36, 90)
        self.last = nn.Linear(90, 3)

    def forward(self, images: Tensor) -> Tensor:
        halved = F.relu(self.pool(self.first(images)))
        again = F.max_pool2d(F.relu(self.second(halved) + halved), 2)
        return self.last(F.relu(self.hidden(self.pool(self.third(again)).flatten(1))))


class Dense(nn.Module):
    """Linear layers alone, on the images themselves, with an addition between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2 * 5 * 5, 100)
        self.second = nn.Linear(100, 100)
        self.last = nn.Linear(100, 4)

    def forward(self, images: Tensor) -> Tensor:
        first = F.relu(self.first(torch.flatten(images, 1)))
        return self.last(F.relu(self.second(first) + first))


class Narrow(nn.Module):
    """A padded convolution on maps of one pixel, behind one of a single channel that is one pixel wide."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 4, stride=(1, 2), padding=(2, 0))
        self.norm = nn.BatchNorm2d(8)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.second = nn.Conv2d(8, 20, 3, padding=1)
        self.last = nn.Linear(20, 4)

    def forward(self, images: Tensor) -> Tensor:
        one = self.mean(F.relu(self.norm(self.first(images))))
        return self.last(torch.flatten(F.relu(self.second(one)), 1))


class Thin(nn.Module):
    """A convolution of a single channel that is one pixel wide, in which torch errs from 8 images a thread on."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, (1, 3), stride=(1, 2), padding=(0, 1), bias=False)
        self.last = nn.Linear(24, 4)

    def forward(self, images: Tensor) -> Tensor:
        pooled = F.max_pool2d(F.avg_pool2d(images, 3), 2)
        return self.last(F.relu(self.first(pooled)).flatten(1))


class OnItself(nn.Module):
    """A sum with what its own convolution reads, then one with something that nobody else reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.third = nn.Conv2d(4, 4, 3, padding=1)
        self.fourth = nn.Conv2d(4, 4, 3, padding=1)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        second = first + self.second(first)
        third = second + self.fourth(self.third(second))
        return self.last(self.mean(F.relu(third)).flatten(1))


MAKERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "tiny": (TinyNetwork, (2, 6, 6)),
    "lenet": (LeNet, (1, 28, 28)),
    "small lenet": (SmallLeNet, (1, 8, 8)),
    "resnet": (lambda: CifarResNet(1), (3, 32, 32)),
    "odd": (Odd, (3, 13, 11)),
    "pooled": (Pooled, (1, 28, 36)),
    "dense": (Dense, (2, 5, 5)),
    "narrow": (Narrow, (1, 14, 5)),
    "thin": (Thin, (1, 19, 14)),
    "on itself": (OnItself, (3, 8, 8)),
}
# No filter of the dense one can be removed alone: all feed an addition.
CASES = [(name, units) for name in MAKERS for units in ("weight", "filter") if (name, units) != ("dense", "filter")]


def network_of(name: str, units: Units = "weight") -> Network:
    make, shape = MAKERS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = make()
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm1d):
                nn.init.uniform_(norm.weight, -1.0, 1.5)
                nn.init.normal_(norm.bias, 0.0, 0.3)
                norm.running_mean = torch.randn(norm.num_features) * 0.1
                norm.running_var = torch.rand(norm.num_features) + 0.5
    return Network(module, shape, units)


def masks_of(network: Network) -> Masks:
    """Nothing, everything, thin to dense, and each layer empty in turn."""
    layout, rng = network.layout, np.random.default_rng(0)
    keep = [rng.random(layout.total) < density for density in (0.0, 0.05, 0.3, 0.7, 1.1)]
    for part in layout.slices:
        keep.append(np.ones(layout.total, dtype=bool))
        keep[-1][part] = False
    return Masks.pack(np.array(keep), layout)


def images_of(network: Network, n: int) -> Tensor:
    return torch.randn(n, *network.input_shape, generator=torch.Generator().manual_seed(1))


def agree(found: np.ndarray, expected: np.ndarray) -> None:
    """Logits within 1e-5 of their spread; the same classes but where two are within 1e-4 of the spread."""
    spread = float(np.ptp(expected)) or 1.0
    assert np.abs(found - expected).max() <= 1e-5 * spread
    differ = found.argmax(axis=1) != expected.argmax(axis=1)
    margin = np.diff(np.sort(expected, axis=1)[:, -2:], axis=1)[:, 0]
    assert np.all(margin[differ] < 1e-4 * spread)


@needs_kernel
@pytest.mark.parametrize(("name", "units"), CASES)
@pytest.mark.parametrize("n", [1, LANES, 37])
def test_the_kernel_predicts_what_torch_does(name: str, units: Units, n: int) -> None:
    network = network_of(name, units)
    images, state = images_of(network, n), network.module.state_dict()
    sparse, plain = Sparse(network), Plain(network)
    groups = sparse.groups(images)
    masks = masks_of(network)
    for row, expected in enumerate(plain.logits(masks, [state] * len(masks), plain.place(images))):
        agree(sparse.logits([sparse.pruned(masks, row, state, {})], groups, n)[0], expected)


@pytest.mark.parametrize("name", ["narrow", "thin"])
def test_torch_computes_in_a_format_in_which_it_does_not_err(name: str) -> None:
    network = network_of(name)
    images, state, before = images_of(network, 33), network.module.state_dict(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # whether it errs depends on the images of each thread
        plain = Plain(network)
        found = next(plain.logits(network.layout.full(), [state], plain.place(images)))
        with torch.inference_mode():
            agree(found, network.module(images).numpy())
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("name", [name for name, units in CASES if units == "filter"])
def test_a_network_without_its_removed_filters_predicts_the_same(name: str, calibrated: bool) -> None:
    network = network_of(name, "filter")
    images, state, masks = images_of(network, 9), network.module.state_dict(), masks_of(network)
    plain = Plain(network, calibration=images_of(network, 30) if calibrated else None)
    found = Shrunk(network, plain).logits(masks, [state] * len(masks), plain.place(images))
    for one, expected in zip(found, plain.logits(masks, [state] * len(masks), plain.place(images)), strict=True):
        agree(one, expected)


@needs_kernel
@pytest.mark.parametrize("name", ["tiny", "resnet", "odd"])
def test_shifted_batch_norm_holds_on_either_path(name: str) -> None:
    network = network_of(name)
    images, state = images_of(network, 20), network.module.state_dict()
    calibration = images_of(network, 40)
    engine, plain = Engine(network, calibration=calibration), Plain(network, calibration=calibration)
    assert engine.notice.startswith("sparse kernel")
    assert ("torch for the statistics" in engine.notice) is (name == "odd")
    masks = masks_of(network)[[1, 2, 3]]
    found = engine.logits(masks, [state] * 3, engine.place(images))
    for one, expected in zip(found, plain.logits(masks, [state] * 3, plain.place(images)), strict=True):
        agree(one, expected)


@needs_kernel
@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize(("name", "n"), [("tiny", 3), ("small lenet", 50), ("resnet", 37), ("small lenet", 530)])
def test_the_kernel_measures_the_batch_statistics_that_torch_does(name: str, n: int, units: Units) -> None:
    network = network_of(name, units)
    images, state, masks = images_of(network, n), network.module.state_dict(), masks_of(network)
    moments, plain = Moments(Sparse(network), images), Plain(network)
    for row in range(len(masks)):
        found = moments(masks, row, state)
        module = copy.deepcopy(network.module)
        module.load_state_dict(plain.masked(masks[[row]], state))
        with torch.inference_mode():
            expected = statistics(module.double(), images.double())
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            dead = 1e-9  # channels that do not vary, beside the epsilon of 1e-5 that every variance gets
            assert float((found[key] - value).abs().max()) <= 1e-5 * float(value.abs().max()) + dead, (row, key)


@needs_kernel
def test_nothing_shifts_where_nothing_is_pruned() -> None:
    network = network_of("resnet")
    state = network.module.state_dict()
    engine = Engine(network, calibration=images_of(network, 40))
    unpruned = engine.masked(network.layout.full(), state)
    for name in network.norms:
        assert torch.allclose(unpruned[f"{name}.running_mean"], state[f"{name}.running_mean"], atol=1e-6)
        assert torch.allclose(unpruned[f"{name}.running_var"], state[f"{name}.running_var"], rtol=1e-6)


@needs_kernel
def test_what_is_saved_predicts_what_was_evaluated() -> None:
    network = network_of("resnet")
    state, images, mask = network.module.state_dict(), images_of(network, 20), masks_of(network)[[2]]
    engine = Engine(network, calibration=images_of(network, 40))
    found = next(engine.logits(mask, [state], engine.place(images)))
    module = copy.deepcopy(network.module)
    module.load_state_dict(engine.masked(mask, state))
    with torch.inference_mode():
        agree(found, module(images).numpy())


def neighbours(network: Network, n: int) -> Masks:
    """Masks that differ from one another in one or two layers, and some that are equal."""
    layout, rng = network.layout, np.random.default_rng(0)
    keep = [rng.random(layout.total) < 0.4]
    while len(keep) < n:
        keep.append(keep[rng.integers(len(keep))].copy())
        for part in rng.permutation(np.array(layout.slices, dtype=object))[: rng.integers(3)]:
            keep[-1][part] = rng.random(keep[-1][part].size) < 0.4
    return Masks.pack(np.array(keep), layout)


@needs_kernel
@pytest.mark.parametrize(("name", "units"), CASES)
def test_what_candidates_share_changes_no_bit_of_their_answers(name: str, units: Units) -> None:
    network = network_of(name, units)
    images, n = images_of(network, 37), 24
    states = [network.module.state_dict(), {k: v * 1.1 for k, v in network.module.state_dict().items()}]
    sparse, masks = Sparse(network), neighbours(network, n)
    groups = sparse.groups(images)
    candidates = [sparse.pruned(masks, row, states[row % 5 == 4], {}) for row in range(n)]
    alone = [sparse.logits([candidate], groups, 37)[0] for candidate in candidates]
    assert np.array_equal(sparse.logits(candidates, groups, 37), np.array(alone))
    families = sparse.families(candidates)
    assert sorted(row for family in families for row in family) == list(range(n))
    engine = Engine(network)
    together = engine.logits(masks, [states[row % 5 == 4] for row in range(n)], engine.place(images))
    plain = Plain(network)
    expected = plain.logits(masks, [states[row % 5 == 4] for row in range(n)], plain.place(images))
    for one, other in zip(together, expected, strict=True):
        agree(one, other)


@needs_kernel
def test_a_family_computes_what_it_shares_once() -> None:
    network = network_of("resnet")
    sparse, state, masks = Sparse(network), network.module.state_dict(), neighbours(network, 12)
    keys = sparse._keys([sparse.pruned(masks, row, state, {}) for row in range(12)])
    work = Work(sparse.plan, sparse._shared, keys)
    prefixes = {key[: step + 1] for key in keys for step in range(sparse._shared.steps)}
    own = int((sparse.plan.column("tail") == 0).sum()) - sparse._shared.steps
    assert len(work.orders) == len(prefixes) + 12 * own
    assert len(work.orders) < 12 * (sparse._shared.steps + own)


@needs_kernel
def test_strangers_are_no_family() -> None:
    network = network_of("resnet")
    sparse, state = Sparse(network), network.module.state_dict()
    keep = np.random.default_rng(0).random((5, network.layout.total)) < 0.4
    masks = Masks.pack(keep, network.layout)
    assert len(sparse.families([sparse.pruned(masks, row, state, {}) for row in range(5)])) == 5


@needs_kernel
@pytest.mark.parametrize("name", MAKERS)
def test_every_processor_gets_the_same_answer(name: str) -> None:
    network = network_of(name)
    images, state, masks = images_of(network, 37), network.module.state_dict(), masks_of(network)
    sparse, plain = Sparse(network), Plain(network)
    groups, best = sparse.groups(images), sparse.processor
    expected = next(plain.logits(masks[[2]], [state], plain.place(images)))
    for processor in range(best + 1):
        sparse.processor = processor
        agree(sparse.logits([sparse.pruned(masks, 2, state, {})], groups, 37)[0], expected)


@needs_kernel
def test_pooling_by_twos_is_part_of_the_convolution_where_it_can_be() -> None:
    plan = compiled(network_of("pooled"))
    assert plan.column("kind").tolist() == [SUMS, SUMS, SUMS, MAXIMUM, SUMS, SUMS]
    assert plan.column("pool").tolist() == [1, 1, 0, 0, 0, 0]


@needs_kernel
@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_is_heard_between_two_calls(threads: int) -> None:
    before, begun = torch.get_num_threads(), []

    def work(thread: int, first: int, last: int) -> None:
        begun.append((first, last))
        raise KeyboardInterrupt

    try:
        torch.set_num_threads(threads)
        with pytest.raises(KeyboardInterrupt):
            in_threads(100, work)
    finally:
        torch.set_num_threads(before)
    assert len(begun) <= threads


@needs_kernel
def test_threads_change_nothing() -> None:
    network = network_of("resnet")
    images, state = images_of(network, 50), network.module.state_dict()
    sparse, masks = Sparse(network), masks_of(network)
    groups = sparse.groups(images)
    before = torch.get_num_threads()
    try:
        answers = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            answers.append(sparse.logits([sparse.pruned(masks, 2, state, {})], groups, 50)[0])
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])


def test_activations_that_nobody_reads_any_more_give_up_their_place() -> None:
    shallow, deep = (compiled(Network(CifarResNet(n), (3, 32, 32), "weight")) for n in (2, 6))
    assert len(deep.steps) > len(shallow.steps)
    assert deep.arena == shallow.arena


@needs_kernel
def test_a_sum_takes_the_place_of_what_is_added_to_it_where_nothing_else_reads_that() -> None:
    network = network_of("on itself")
    plan, whole = compiled(network), compiled(network, fused=False)
    add, out = plan.column("add").tolist(), plan.column("out").tolist()
    assert plan.column("kind").tolist() == [SUMS, SUMS, SUMS, SUMS, MEAN, SUMS]
    assert add[1] >= 0
    assert add[1] != out[1]
    assert add[3] == out[3]
    assert whole.column("add")[3] != whole.column("out")[3]
    assert whole.arena > plan.arena


def test_runs_of_weights_are_shorter_where_many_are_kept() -> None:
    weights = compiled(network_of("resnet")).weights[1]
    assert weights is not None
    every = weights.outputs * len(weights.offsets)
    assert weights.run(every) < weights.run(every // 10) <= weights.run(0) <= len(weights.offsets)
    assert weights.run(every) % weights.taps == 0


def unsupported(module: nn.Module, shape: tuple[int, ...] = (3, 8, 8)) -> str:
    with pytest.raises(Unsupported) as caught:
        compiled(Network(module, shape, "weight"))
    return str(caught.value)


class Softened(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.linear = nn.Linear(144, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(torch.sigmoid(self.conv(images)).flatten(1))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.linear = nn.Linear(192, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.conv(self.conv(images)).flatten(1))


class NormFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.linear = nn.Linear(192, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.norm(images).flatten(1))


class OwnStatistics(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)
        self.linear = nn.Linear(192, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.norm(self.conv(images)).flatten(1))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Softened, "sigmoid"),
        (Twice, "calls conv twice"),
        (NormFirst, "batch norm that does not follow"),
        (OwnStatistics, "without running statistics"),
    ],
)
def test_what_the_kernel_cannot_run_is_left_to_torch_with_the_reason(make: type[nn.Module], reason: str) -> None:
    module = make()
    assert reason in unsupported(module)
    network = Network(module, (3, 8, 8), "weight")
    engine, images = Engine(network), images_of(network, 4)
    assert engine.notice.startswith("torch alone: ")
    thin = Masks.pack(np.random.default_rng(0).random((1, network.layout.total)) < 0.2, network.layout)
    found = next(engine.logits(thin, [module.state_dict()], engine.place(images)))
    state = engine.masked(thin, module.state_dict())
    with torch.no_grad():
        agree(found, torch.func.functional_call(module.eval(), state, (images,)).numpy())


def test_without_a_kernel_torch_does_all_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.engine.sparse.kernel", lambda: None)
    network = network_of("tiny")
    engine, plain, state = Engine(network), Plain(network), network.module.state_dict()
    assert engine.notice == "torch alone: the kernel is not built"
    masks, images = masks_of(network), images_of(network, 5)
    found = engine.logits(masks, [state] * len(masks), engine.place(images))
    for one, expected in zip(found, plain.logits(masks, [state] * len(masks), plain.place(images)), strict=True):
        assert np.array_equal(one, expected)
