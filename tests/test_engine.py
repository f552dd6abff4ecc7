from __future__ import annotations

import copy
from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from pruneframe import Masks, Network
from pruneframe.engine import Engine, State, pair
from pruneframe.engine.batch_norm import BATCH, RATIO, shifted_statistics, statistics
from pruneframe.engine.plain import Plain
from pruneframe.mask import Units
from pruneframe.network import digest
from pruneframe.testing import TinyNetwork
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import SmallLeNet

# The modules behind which a removed filter's output must be zero, written down by hand.
ENDS = {
    "tiny": {"conv1": "bn1", "conv3": "conv3"},
    "lenet": {"conv1": "bn1", "conv2": "bn2", "fc1": "fc1"},
    "resnet8": {f"layer{i}.0.conv1": f"layer{i}.0.bn1" for i in (1, 2, 3)},
}
MAKERS = {
    "tiny": (TinyNetwork, (2, 6, 6)),
    "lenet": (SmallLeNet, (1, 8, 8)),
    "resnet8": (lambda: CifarResNet(1), (3, 32, 32)),
}


def random_network(name: str, units: Units) -> Network:
    make, shape = MAKERS[name]
    module = make()
    module.load_state_dict(random_state(module, 0))
    return Network(module, shape, units)


def random_state(module: nn.Module, seed: int) -> State:
    """Weights as torch draws them, batch norm far from its initial values."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = copy.deepcopy(module)
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.reset_parameters()
            if isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.weight, 1.0, 0.3)
                nn.init.normal_(part.bias, 0.0, 0.3)
                nn.init.normal_(part.running_mean, 0.0, 0.3)
                nn.init.uniform_(part.running_var, 0.5, 2.0)
    return {key: tensor.detach().clone() for key, tensor in module.state_dict().items()}


def random_images(network: Network, n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *network.input_shape, generator=torch.Generator().manual_seed(seed))


def masks_of_all_kinds(network: Network) -> Masks:
    """Everything kept, nothing kept, each layer empty in turn, and random ones from thin to dense."""
    layout, rng = network.layout, np.random.default_rng(0)
    keep = [np.ones(layout.total, dtype=bool), np.zeros(layout.total, dtype=bool)]
    for part in layout.slices:
        row = np.ones(layout.total, dtype=bool)
        row[part] = False
        keep.append(row)
    keep += [rng.random(layout.total) < density for density in (0.05, 0.3, 0.6, 0.95)]
    return Masks.pack(np.array(keep), layout)


def pruned_module(name: str, network: Network, state: State, keep: NDArray[np.bool_]) -> nn.Module:
    """An independent masked network: weights multiplied by masks, or the outputs of removed filters set to zero."""
    module = copy.deepcopy(network.module)
    module.load_state_dict(state)
    parts = network.layout.split(keep)
    for layer, part in zip(network.layout.names, parts, strict=True):
        kept = torch.from_numpy(part.copy())
        if network.layout.units == "weight":
            weight = module.get_parameter(f"{layer}.weight")
            weight.data.mul_(kept.reshape(weight.shape))
        else:
            end = module.get_submodule(ENDS[name][layer])
            end.register_forward_hook(
                lambda _, inputs, output, kept=kept: output * kept.reshape(-1, *[1] * (output.ndim - 2))
            )
    return module


def naive_logits(name: str, network: Network, state: State, keep: NDArray[np.bool_], images: Tensor) -> NDArray:
    with torch.no_grad():
        return pruned_module(name, network, state, keep)(images).numpy()


def assert_close(found: NDArray, expected: NDArray, tolerance: float = 1e-5) -> None:
    spread = float(expected.max() - expected.min()) or 1.0
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= tolerance * spread


CASES = [(name, units) for name in MAKERS for units in ("weight", "filter")]


@pytest.mark.parametrize(("name", "units"), CASES)
def test_logits_are_those_of_a_plain_forward_pass(name: str, units: Units) -> None:
    network = random_network(name, units)
    masks, images = masks_of_all_kinds(network), random_images(network, 30)
    engine, state = Engine(network), network.module.state_dict()
    for row, found in enumerate(engine.logits(masks, [state] * len(masks), engine.place(images))):
        assert_close(found, naive_logits(name, network, state, masks.unpack(row), images))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), units=st.sampled_from(["weight", "filter"]), n=st.integers(1, 300))
def test_logits_are_those_of_a_plain_forward_pass_for_any_mask_and_number_of_images(
    seed: int, units: Units, n: int
) -> None:
    network = random_network("tiny", units)
    rng = np.random.default_rng(seed)
    keep = rng.random((2, network.layout.total)) < rng.random((2, 1))
    masks, images = Masks.pack(keep, network.layout), random_images(network, n, seed % 1000)
    engine, state = Engine(network), network.module.state_dict()
    for row, found in enumerate(engine.logits(masks, [state] * 2, engine.place(images))):
        assert_close(found, naive_logits("tiny", network, state, keep[row], images))


@pytest.mark.parametrize(("name", "units"), CASES)
def test_other_weights_replace_the_earlier_ones_entirely(name: str, units: Units) -> None:
    network = random_network(name, units)
    images = random_images(network, 12)
    masks = masks_of_all_kinds(network)
    states = [random_state(network.module, seed) for seed in (1, 2, 3)]
    order = [states[i % 3] for i in range(len(masks))]
    engine = Engine(network)
    for row, found in enumerate(engine.logits(masks, order, engine.place(images))):
        assert_close(found, naive_logits(name, network, order[row], masks.unpack(row), images))


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_an_answer_depends_on_nothing_that_was_computed_before(units: Units, shifted: bool) -> None:
    network = random_network("tiny", units)
    calibration = random_images(network, 40, 1) if shifted else None
    masks = masks_of_all_kinds(network)
    states = [random_state(network.module, seed) for seed in (1, 2)]
    order = [states[i % 2] for i in range(len(masks))]
    images = Engine(network).place(random_images(network, 20))

    def alone(row: int) -> NDArray[np.float32]:
        return next(Engine(network, calibration=calibration).logits(masks[[row]], [order[row]], images))

    expected = [alone(row) for row in range(len(masks))]
    engine = Engine(network, calibration=calibration)
    forwards = list(engine.logits(masks, order, images))
    backwards = list(engine.logits(masks[::-1], order[::-1], images))[::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, expected, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(backwards, expected, strict=True))
    first, second = engine.logits(masks, order, images), engine.logits(masks[::-1], order[::-1], images)
    for row in range(len(masks)):  # two questions answered in turns
        assert np.array_equal(next(first), expected[row])
        engine.masked(masks[[0]], states[0])
        assert np.array_equal(next(second), expected[-1 - row])


def test_answers_are_computed_one_by_one_as_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network("tiny", "weight")
    engine, state = Plain(network), network.module.state_dict()
    masks = masks_of_all_kinds(network)
    rows: list[int] = []
    apply = engine._apply
    monkeypatch.setattr(engine, "_apply", lambda masks, row, state: (rows.append(row), apply(masks, row, state)))
    assert len(list(islice(engine.logits(masks, [state] * len(masks), random_images(network, 4)), 2))) == 2
    assert rows == [0, 1]


def test_an_engine_leaves_the_network_and_the_states_alone() -> None:
    network = random_network("tiny", "filter")
    state = random_state(network.module, 1)
    before, state_before = digest(network.module.state_dict()), digest(state)
    engine = Engine(network, calibration=random_images(network, 30, 1))
    masks = masks_of_all_kinds(network)
    list(engine.logits(masks, [state] * len(masks), engine.place(random_images(network, 10))))
    engine.masked(masks[[3]], state)
    assert digest(network.module.state_dict()) == before
    assert digest(state) == state_before


class Viewing(nn.Module):
    """The oldest way to flatten; it needs features that lie in memory as torch's default has them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.linear = nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.conv(images))
        return self.linear(features.view(features.size(0), -1))


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_networks_that_flatten_with_view_run(units: Units) -> None:
    network = Network(Viewing(), (2, 6, 6), units)
    images = random_images(network, 10)
    engine = Engine(network)
    found = next(engine.logits(network.layout.full(), [network.module.state_dict()], engine.place(images)))
    with torch.no_grad():
        assert_close(found, network.module(images).numpy())


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("name", "units"), CASES)
def test_the_masked_state_predicts_what_the_engine_does(name: str, units: Units, shifted: bool) -> None:
    network = random_network(name, units)
    engine = Engine(network, calibration=random_images(network, 40, 1) if shifted else None)
    images, state = random_images(network, 16), random_state(network.module, 4)
    masks = masks_of_all_kinds(network)
    for row in range(len(masks)):
        found = engine.masked(masks[[row]], state)
        assert found.keys() == state.keys()
        assert all(found[key].shape == state[key].shape and found[key].is_contiguous() for key in state)
        for key, kept in network.keep(masks, row).items():
            assert not found[key][~kept].any()
            assert torch.equal(found[key][kept], state[key][kept])
        module = copy.deepcopy(network.module)
        module.load_state_dict(found)
        logits = next(engine.logits(masks[[row]], [state], engine.place(images)))
        with torch.no_grad():
            assert_close(logits, module(images).numpy())


def test_masked_states_are_snapshots() -> None:
    network = random_network("tiny", "weight")
    engine, state = Engine(network), network.module.state_dict()
    masks = masks_of_all_kinds(network)
    first = engine.masked(masks[[5]], state)
    before = digest(first)
    engine.masked(masks[[1]], state)
    assert digest(first) == before


def batch_statistics(module: nn.Module, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance of each batch norm's input over one batch, every layer normalised by that batch; float64."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def note(name: str):
        def normalise(norm: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            x = inputs[0]
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
            found[name] = mean, var
            column = [1, -1, 1, 1]
            scale = norm.weight / torch.sqrt(var + norm.eps)
            return (x - mean.reshape(column)) * scale.reshape(column) + norm.bias.reshape(column)

        return normalise

    norms = {name: m for name, m in module.named_modules() if isinstance(m, nn.BatchNorm2d)}
    hooks = [norm.register_forward_hook(note(name), prepend=True) for name, norm in norms.items()]
    with torch.no_grad():
        module(images)
    for hook in hooks:
        hook.remove()
    return found


def averaged(batches: list[dict[str, tuple[Tensor, Tensor]]], name: str) -> tuple[Tensor, Tensor]:
    means, variances = zip(*(batch[name] for batch in batches), strict=True)
    return torch.stack(means).mean(0), torch.stack(variances).mean(0)


def shift_by_definition(dense: nn.Module, pruned: nn.Module, batches: list[Tensor]) -> nn.Module:
    """DESIGN.md, "Batch norm": the pruned network with its running statistics moved, in float64."""
    dense, pruned = dense.double(), pruned.double()
    before = [batch_statistics(dense, batch.double()) for batch in batches]
    after = [batch_statistics(pruned, batch.double()) for batch in batches]
    for name in before[0]:
        norm = pruned.get_submodule(name)
        m_dense, v_dense = averaged(before, name)
        m_pruned, v_pruned = averaged(after, name)
        ratio = ((v_pruned + norm.eps) / (v_dense + norm.eps)).clamp(0.05, 20)
        norm.running_mean = norm.running_mean + m_pruned - m_dense
        norm.running_var = (norm.running_var + norm.eps) * ratio - norm.eps
    return pruned


@pytest.mark.parametrize(("name", "n"), [("tiny", 60), ("tiny", 2 * BATCH), ("resnet8", 60)])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_shifted_batch_norm_is_what_its_definition_says(name: str, units: Units, n: int) -> None:
    network = random_network(name, units)
    state = random_state(network.module, 5)
    calibration, images = random_images(network, n, 1), random_images(network, 20, 2)
    engine = Engine(network, calibration=calibration)
    masks = masks_of_all_kinds(network)
    everything = np.ones(network.layout.total, dtype=bool)
    for row, found in enumerate(engine.logits(masks, [state] * len(masks), engine.place(images))):
        expected = shift_by_definition(
            pruned_module(name, network, state, everything),
            pruned_module(name, network, state, masks.unpack(row)),
            list(calibration.split(BATCH)),
        )
        with torch.no_grad():
            assert_close(found, expected(images.double()).numpy(), tolerance=1e-4)


def test_shifting_follows_the_weights_it_is_asked_about() -> None:
    """Dense statistics of earlier weights must not be used for later ones."""
    network = random_network("tiny", "weight")
    calibration, images = random_images(network, 60, 1), random_images(network, 20, 2)
    engine = Engine(network, calibration=calibration)
    mask = masks_of_all_kinds(network)[[-2]]
    everything = np.ones(network.layout.total, dtype=bool)
    for seed in (1, 2, 1):
        state = random_state(network.module, seed)
        found = next(engine.logits(mask, [state], engine.place(images)))
        expected = shift_by_definition(
            pruned_module("tiny", network, state, everything),
            pruned_module("tiny", network, state, mask.unpack(0)),
            [calibration],
        )
        with torch.no_grad():
            assert_close(found, expected(images.double()).numpy(), tolerance=1e-4)


@pytest.mark.parametrize(("name", "units"), CASES)
def test_the_dense_network_is_not_shifted(name: str, units: Units) -> None:
    network = random_network(name, units)
    state, images = random_state(network.module, 6), Engine(network).place(random_images(network, 20))
    full = network.layout.full()
    frozen = next(Engine(network).logits(full, [state], images))
    shifted = next(Engine(network, calibration=random_images(network, 60, 1)).logits(full, [state], images))
    assert_close(shifted, frozen)


def test_shifting_changes_pruned_networks() -> None:
    network = random_network("tiny", "weight")
    state, images = network.module.state_dict(), random_images(network, 20)
    mask = masks_of_all_kinds(network)[[-3]]
    frozen = next(Engine(network).logits(mask, [state], images))
    shifted = next(Engine(network, calibration=random_images(network, 60, 1)).logits(mask, [state], images))
    assert np.abs(shifted - frozen).max() > 0.01 * np.ptp(frozen)


@pytest.mark.parametrize(
    ("dense", "pruned", "ratio"), [(0.0, 1.0, 20), (1.0, 0.0, 0.05), (0.0, 0.0, 1), (2.0, 3.0, 1.5)]
)
def test_the_ratio_of_variances_is_kept_within_bounds(dense: float, pruned: float, ratio: float) -> None:
    """Without the bounds, channels that were dead in the dense network explode."""
    network = random_network("tiny", "weight")
    state = network.module.state_dict()

    def all_equal(value: float) -> State:
        return {key: torch.full_like(tensor, value) for key, tensor in state.items() if "running" in key}

    found = shifted_statistics(network, state, all_equal(dense), all_equal(pruned))
    assert found.keys() == all_equal(0.0).keys()
    for name, norm in network.norms.items():
        var, mean = f"{name}.running_var", f"{name}.running_mean"
        torch.testing.assert_close(found[var] + norm.eps, (state[var] + norm.eps) * ratio, rtol=1e-4, atol=0)
        torch.testing.assert_close(found[mean], state[mean] + (pruned - dense))
        assert (found[var] > 0).all()


def test_measuring_statistics_leaves_the_module_as_it_was() -> None:
    module = random_network("tiny", "weight").module
    before = digest(module.state_dict())
    with torch.inference_mode():
        statistics(module, torch.randn(30, 2, 6, 6))
    assert digest(module.state_dict()) == before
    assert not any(part.training for part in module.modules())
    assert {m.momentum for m in module.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


class Flat(nn.Module):
    """A batch norm on features without pixels: torch takes no batch of one image there."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.first = nn.Linear(72, 5)
        self.norm = nn.BatchNorm1d(5)
        self.last = nn.Linear(5, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(F.relu(self.norm(self.first(self.flatten(images)))))


def test_any_number_of_calibration_images_can_be_measured() -> None:
    network = Network(Flat(), (2, 6, 6), "weight")
    engine = Engine(network, calibration=random_images(network, BATCH + 1, 1))
    images = engine.place(random_images(network, 5))
    found = next(engine.logits(network.layout.full(), [network.module.state_dict()], images))
    with torch.no_grad():
        assert_close(found, network.module(images).numpy())


def test_paired_statistics_shift_by_what_pruning_does_to_the_batch() -> None:
    torch.manual_seed(0)
    unpruned = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    norm = unpruned[1]
    nn.init.uniform_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.running_mean, norm.running_var = torch.randn(4), torch.rand(4) + 0.5
    pruned = copy.deepcopy(unpruned)
    pair(unpruned, pruned)
    images = torch.randn(8, 3, 6, 6)
    with torch.inference_mode():
        assert torch.allclose(unpruned(images), pruned(images), atol=1e-6)
        pruned[0].weight[:, 1] = 0
        pruned[0].weight[0] *= 100  # beyond the guard
        dense, own = unpruned[0](images), pruned[0](images)
        ratio = torch.clamp(own.var((0, 2, 3), correction=0) / dense.var((0, 2, 3), correction=0), *RATIO)
        assert ratio[0] == RATIO[1]
        mean = norm.running_mean + own.mean((0, 2, 3)) - dense.mean((0, 2, 3))
        expected = F.batch_norm(own, mean, norm.running_var * ratio, norm.weight, norm.bias)
        unpruned(images)
        assert torch.allclose(pruned(images), expected, atol=1e-3)
