"""batch_norm=shifted: what its definition says, on every path."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from naive import (
    CASES,
    assert_close,
    masks_of_all_kinds,
    pruned_module,
    random_images,
    random_network,
    random_state,
)
from networks import agree, images_of, masks_of, needs_kernel, network_of
from torch import Tensor, nn

from pruneframe.engine import Engine, pair
from pruneframe.engine.batch_norm import BATCH, RATIO, shifted_statistics, statistics
from pruneframe.engine.plain import Plain
from pruneframe.model.state import State, digest

Measured = dict[str, tuple[Tensor, Tensor]]  # mean and variance of each batch norm's input


def batch_statistics(module: nn.Module, images: Tensor) -> Measured:
    """Mean and variance of each batch norm's input over one batch, every layer normalised by that batch; float64."""
    found: Measured = {}

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


def averaged(batches: list[Measured], name: str) -> tuple[Tensor, Tensor]:
    means, variances = zip(*(batch[name] for batch in batches), strict=True)
    return torch.stack(means).mean(0), torch.stack(variances).mean(0)


def measured(module: nn.Module, batches: list[Tensor]) -> list[Measured]:
    return [batch_statistics(module.double(), batch.double()) for batch in batches]


def shift_by_definition(before: list[Measured], pruned: nn.Module, batches: list[Tensor]) -> nn.Module:
    """DESIGN.md, "Batch norm": the pruned network with its running statistics moved, in float64.

    `before` is what was measured of the unpruned one.
    """
    pruned, after = pruned.double(), measured(pruned, batches)
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
def test_shifted_batch_norm_is_what_its_definition_says(name: str, units: str, n: int) -> None:
    network = random_network(name, units)
    state = random_state(network.module, 5)
    calibration, images = random_images(network, n, 1), random_images(network, 20, 2)
    engine = Engine(network, calibration=calibration)
    masks = masks_of_all_kinds(network)
    everything, batches = np.ones(network.layout.total, dtype=bool), list(calibration.split(BATCH))
    before = measured(pruned_module(name, network, state, everything), batches)
    for row, found in enumerate(engine.logits(masks, [state] * len(masks), engine.place(images))):
        pruned = pruned_module(name, network, state, masks.unpack(row))
        expected = shift_by_definition(before, pruned, batches)
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
        before = measured(pruned_module("tiny", network, state, everything), [calibration])
        expected = shift_by_definition(before, pruned_module("tiny", network, state, mask.unpack(0)), [calibration])
        with torch.no_grad():
            assert_close(found, expected(images.double()).numpy(), tolerance=1e-4)


@pytest.mark.parametrize(("name", "units"), CASES)
def test_the_dense_network_is_not_shifted(name: str, units: str) -> None:
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
    network = tiny.network(Flat(), (2, 6, 6))
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


@needs_kernel
@pytest.mark.parametrize("name", ["tiny", "resnet", "odd"])
def test_shifted_batch_norm_holds_on_either_path(name: str) -> None:
    network = network_of(name)
    images, state = images_of(network, 20), network.module.state_dict()
    calibration = images_of(network, 40)
    engine, plain = Engine(network, calibration=calibration), Plain(network, calibration=calibration)
    assert engine.notice == "sparse kernel"
    masks = masks_of(network)[[1, 2, 3]]
    found = engine.logits(masks, [state] * 3, engine.place(images))
    for one, expected in zip(found, plain.logits(masks, [state] * 3, plain.place(images)), strict=True):
        agree(one, expected)


@needs_kernel
def test_nothing_shifts_where_nothing_is_pruned() -> None:
    network = network_of("resnet")
    state = network.module.state_dict()
    engine = Engine(network, calibration=images_of(network, 40))
    unpruned = engine.masked(network.layout.full(), state)
    for name in network.norms:
        assert torch.allclose(unpruned[f"{name}.running_mean"], state[f"{name}.running_mean"], atol=1e-6)
        assert torch.allclose(unpruned[f"{name}.running_var"], state[f"{name}.running_var"], rtol=1e-6)
