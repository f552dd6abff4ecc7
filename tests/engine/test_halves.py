"""Dense bfloat16 beside the kernel: near float32, folded right, and the faster path by a rule on the mask alone."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from naive import random_images
from networks import CASES, Thin, close, images_of, masks_of, needs_kernel, network_of, states_of
from precisions import multiplies
from torch import Tensor, nn

from pruneframe.engine import Engine
from pruneframe.engine.halves import Halves, _folded
from pruneframe.engine.plain import Plain, memory_format
from pruneframe.engine.sparse import Sparse
from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.model.state import State, digest

pytestmark = needs_kernel


def halves_of(network: Network, sparse: Sparse, worth: float = 0.45) -> Halves:
    return Halves(network, sparse.plan, memory_format(network), worth)


def answers(network: Network, masks: Masks, states: list[State], images: Tensor) -> list[np.ndarray]:
    sparse = Sparse(network)
    halves = halves_of(network, sparse)
    return [halves.logits(sparse.pruned(masks, row, state, {}), images) for row, state in enumerate(states)]


@pytest.mark.parametrize(("name", "units"), CASES)
def test_outputs_are_near_those_in_float32(name: str, units: str) -> None:
    network = network_of(name, units)
    masks, images = masks_of(network), images_of(network, 20)
    states = [states_of(network, 2)[row % 2] for row in range(len(masks))]
    expected = np.array(list(Plain(network).logits(masks, states, images)))
    found = np.array(answers(network, masks, states, images))
    assert found.dtype == np.float32
    assert not np.array_equal(found, expected)
    close(found, expected, 0.03)


@pytest.mark.parametrize(("name", "units"), CASES)
def test_a_folded_network_computes_what_the_network_does(name: str, units: str) -> None:
    network = network_of(name, units)
    sparse, images = Sparse(network), images_of(network, 9)
    masks, state = masks_of(network), network.module.state_dict()
    halves = halves_of(network, sparse)
    halves._module.double()
    halves._images[id(images)] = images, images.double()
    for row, expected in enumerate(Plain(network).logits(masks, [state] * len(masks), images)):
        close(halves.logits(sparse.pruned(masks, row, state, {}), images), expected, 1e-5)


def test_norms_are_gone_and_relu_writes_over_what_nobody_else_reads() -> None:
    network = network_of("resnet")
    folded = _folded(network.module, [weights for weights in Sparse(network).plan.weights if weights is not None])
    called = [node.target for node in folded.graph.nodes]
    assert not any(isinstance(folded.get_submodule(str(n)), nn.BatchNorm2d) for n in called if "bn" in str(n))
    assert torch.relu_ in called
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.module.modules())


def test_what_several_read_is_not_written_over() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(16, 4)

        def forward(self, images: Tensor) -> Tensor:
            sums = self.conv(images)
            return self.last(F.adaptive_avg_pool2d(torch.relu(sums) + sums, 1).flatten(1))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = tiny.network(Twice(), (3, 8, 8))
    images, state, full = random_images(network, 10), network.module.state_dict(), network.layout.full()
    (expected,) = Plain(network).logits(full, [state], images)
    (found,) = answers(network, full, [state], images)
    close(found, expected, 0.03)


def test_shifted_statistics_are_folded_in() -> None:
    network = network_of("resnet")
    sparse, images, state = Sparse(network), images_of(network, 10), network.module.state_dict()
    plain = Plain(network, calibration=images_of(network, 40))
    mask, halves = masks_of(network)[[3]], halves_of(network, sparse)
    (expected,) = plain.logits(mask, [state], images)
    close(halves.logits(sparse.pruned(mask, 0, state, plain.shifted(mask, state)), images), expected, 0.03)
    frozen = halves.logits(sparse.pruned(mask, 0, state, {}), images)
    assert np.abs(frozen - expected).max() > 0.1 * np.ptp(expected)


def test_network_and_weights_stay_as_they_are() -> None:
    network = network_of("resnet", "filter")
    state = copy.deepcopy(network.module.state_dict())
    before = digest(network.module.state_dict()), digest(state)
    answers(network, masks_of(network), [state] * len(masks_of(network)), images_of(network, 3))
    assert (digest(network.module.state_dict()), digest(state)) == before


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_faster_path_follows_from_the_multiply_adds_that_are_left(units: str) -> None:
    network = network_of("resnet", units)
    halves, layout = halves_of(network, Sparse(network), 0.45), network.layout
    keep = np.random.default_rng(0).random((41, layout.total)) < np.linspace(0, 1.05, 41)[:, None]
    masks = Masks.pack(keep, layout)
    found, share = halves.faster(masks), network.macs(masks) / network.total_macs
    assert found[-1]
    assert not found[0]
    assert np.array_equal(found, share >= halves.least)
    assert 0.45 < halves.least < 0.6  # what torch multiplies, filled up, is a little more than what there is
    assert all(halves.faster(masks[[row]])[0] == found[row] for row in range(len(masks)))


def test_a_network_of_few_channels_is_never_faster_so() -> None:
    for network in (network_of("lenet"), network_of("small lenet"), tiny.network(Thin(), (1, 19, 14))):
        halves = halves_of(network, Sparse(network))
        assert halves.least > 1
        assert not halves.faster(network.layout.full()).any()


@pytest.mark.usefixtures("real_data")
def test_a_trained_network_predicts_almost_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplies(monkeypatch)
    loaded = tiny.load(tiny.registry().problem("resnet20-cifar10").with_settings(search_images=500))
    network, images = loaded.network, loaded.data.tensor(loaded.search)
    weights = np.concatenate([network.parameter(g.parameter).detach().abs().ravel() for g in network.layout.groups])
    masks = Masks.pack(np.array([weights >= np.quantile(weights, share) for share in (0.0, 0.3)]), network.layout)
    states = [network.module.state_dict()] * 2
    rounded = Engine(network, precision="bfloat16").logits(masks, states, images)
    for found, expected in zip(rounded, Engine(network).logits(masks, states, images), strict=True):
        assert not np.array_equal(found, expected)
        assert np.mean(found.argmax(axis=1) != expected.argmax(axis=1)) <= 0.01
