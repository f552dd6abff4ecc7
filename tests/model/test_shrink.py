"""Shrunk networks against masked ones and torch-pruning, and that a wrong one is found out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch_pruning import DependencyGraph, prune_conv_out_channels, prune_linear_out_channels
from torchvision.models import resnet18

from pruneframe import Masks, Network
from pruneframe.engine import Engine
from pruneframe.errors import PruneframeError
from pruneframe.model.shrink import prove, shrink
from pruneframe.model.state import State, digest
from pruneframe.testing import TinyNetwork
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import SmallLeNet

IMAGES = 24


def random_network(make: Callable[[], nn.Module], shape: tuple[int, ...], units: str) -> Network:
    """Random weights, and batch-norm statistics and scales that are far from their initial ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = make()
        for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
            nn.init.normal_(norm.weight, 1.0, 0.3)
            nn.init.normal_(norm.bias, 0.0, 0.3)
            nn.init.normal_(norm.running_mean, 0.0, 0.3)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return tiny.network(module, shape, units)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "tiny": (TinyNetwork, (2, 6, 6)),
    "lenet": (SmallLeNet, (1, 8, 8)),
    "resnet8": (lambda: CifarResNet(1), (3, 32, 32)),
    "resnet14": (lambda: CifarResNet(2), (3, 32, 32)),
    "resnet20": (lambda: CifarResNet(3), (3, 32, 32)),
}
ALIKE = {name: (*made, "filter[inner=true]") for name, made in NETWORKS.items()}
ALIKE["lenet, channels"] = (*NETWORKS["lenet"], "filter")
ALIKE["tiny, channels"] = (*NETWORKS["tiny"], "filter")
ALIKE["resnet18"] = (lambda: resnet18(num_classes=10), (3, 32, 32), "filter")


@cache
def named(name: str, units: str = "filter") -> Network:
    return random_network(*NETWORKS[name], units)


def random_images(network: Network, n: int = IMAGES) -> Tensor:
    return torch.randn(n, *network.input_shape, generator=torch.Generator().manual_seed(2))


def random_mask(network: Network, seed: int) -> Masks:
    """Another density in every layer; about every fourth layer loses all its filters."""
    rng = np.random.default_rng(seed)
    densities = np.where(rng.random(len(network.layout.sizes)) < 0.25, 0.0, rng.random(len(network.layout.sizes)))
    keep = rng.random((1, network.layout.total)) < np.repeat(densities, network.layout.sizes)
    return Masks.pack(keep, network.layout)


def masked_and_shrunk(
    network: Network, mask: Masks, calibration: Tensor | None = None
) -> tuple[Tensor, Tensor, nn.Module]:
    """Logits of the masked network and of the shrunk one, and the shrunk one."""
    images, engine = random_images(network), Engine(network, calibration=calibration)
    dense = network.module.state_dict()
    masked = torch.from_numpy(next(engine.logits(mask, [dense], engine.place(images))))
    small = shrink(network, mask, engine.masked(mask, dense))
    with torch.inference_mode():
        return masked, small(images), small


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_shrunk_network_predicts_what_the_masked_one_does(name: str, seed: int) -> None:
    network = named(name)
    mask = random_mask(network, seed)
    masked, shrunk, small = masked_and_shrunk(network, mask)
    prove(masked, shrunk)
    assert [sum(p.numel() for p in small.parameters())] == network.params(mask)


@pytest.mark.parametrize("name", ["tiny", "resnet8"])
@pytest.mark.parametrize("seed", range(3))
def test_shifted_statistics_are_cut_with_their_filters(name: str, seed: int) -> None:
    network = named(name)
    calibration = random_images(network, 60)
    masked, shrunk, _ = masked_and_shrunk(network, random_mask(network, seed), calibration)
    prove(masked, shrunk)


@pytest.mark.parametrize("name", ["tiny", "lenet", "resnet14"])
def test_every_layer_may_be_emptied(name: str) -> None:
    network = named(name)
    full = np.ones((len(network.layout.sizes) + 1, network.layout.total), dtype=bool)
    full[-1] = False
    for row, part in enumerate(network.layout.slices):
        full[row, part] = False
    masks = Masks.pack(full, network.layout)
    for row in range(len(masks)):
        masked, shrunk, small = masked_and_shrunk(network, masks[[row]])
        prove(masked, shrunk)
        assert [sum(p.numel() for p in small.parameters())] == network.params(masks[[row]])


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("seed", range(3))
def test_the_shrunk_network_is_the_one_that_torch_pruning_makes(name: str, seed: int) -> None:
    """It knows no padding of channels, so that of networks which have some only what is inside their blocks."""
    network = random_network(*ALIKE[name])
    keep = np.random.default_rng(seed).random(network.layout.total) < 0.5
    for part in network.layout.slices:
        keep[part.start] = True  # it leaves no layer empty
    state = network.module.state_dict()
    small = shrink(network, Masks.pack(keep[None], network.layout), state)
    theirs = copy.deepcopy(network.module).requires_grad_(True)  # it follows gradients
    graph = DependencyGraph().build_dependency(theirs, torch.zeros(1, *network.input_shape))
    for layer, part in zip(network.layout.names, network.layout.split(keep), strict=True):
        gone, module = np.flatnonzero(~part).tolist(), theirs.get_submodule(layer)
        cut = prune_conv_out_channels if isinstance(module, nn.Conv2d) else prune_linear_out_channels
        graph.get_pruning_group(module, cut, idxs=gone).prune()
    assert digest(small.state_dict()) == digest(theirs.state_dict())


def test_the_dense_mask_leaves_the_network_as_it_is() -> None:
    network = named("tiny")
    _, shrunk, small = masked_and_shrunk(network, network.layout.full())
    assert digest(small.state_dict()) == digest(network.module.state_dict())
    with torch.inference_mode():
        assert torch.equal(shrunk, network.module(random_images(network)))


def test_shrinking_leaves_the_network_alone() -> None:
    network = named("tiny")
    before = digest(network.module.state_dict())
    masked_and_shrunk(network, random_mask(network, 5))
    assert digest(network.module.state_dict()) == before
    assert network.module.conv1.out_channels == 7


def test_a_shrunk_layer_knows_its_size() -> None:
    network = named("tiny", "filter[inner=true]")
    keep = np.ones((1, 13), dtype=bool)
    keep[0, [1, 2, 7, 8, 9]] = False
    small = masked_and_shrunk(network, Masks.pack(keep, network.layout))[2]
    assert (small.conv1.out_channels, small.bn1.num_features, small.conv2.in_channels) == (5, 5, 5)
    assert (small.conv3.out_channels, small.linear.in_features) == (3, 3)
    assert small.bn1.running_mean.shape == small.bn1.running_var.shape == (5,)
    again = tiny.network(small, (2, 6, 6), "filter[inner=true]")  # it is a network like any other, and can be pruned on
    assert again.layout.sizes == (5, 3)


def wrong_filters(network: Network, mask: Masks, state: State) -> nn.Module:
    """As many filters in each layer, but others."""
    keep = np.concatenate([np.roll(part, 1) for part in network.layout.split(mask.unpack(0))])
    return shrink(network, Masks.pack(keep[None], network.layout), network.module.state_dict())


def forgotten_statistics(network: Network, mask: Masks, state: State) -> nn.Module:
    small = shrink(network, mask, state)
    small.bn1.reset_running_stats()
    return small


def one_filter_too_few(network: Network, mask: Masks, state: State) -> nn.Module:
    keep = mask.unpack(0).copy()
    keep[np.flatnonzero(keep)[0]] = False
    return shrink(network, Masks.pack(keep[None], network.layout), state)


@pytest.mark.parametrize("wrong", [wrong_filters, forgotten_statistics, one_filter_too_few])
def test_a_wrong_shrink_is_found_out(wrong) -> None:
    network = named("tiny")
    keep = np.ones((1, 18), dtype=bool)
    keep[0, [1, 6, 10, 13]] = False
    mask = Masks.pack(keep, network.layout)
    engine = Engine(network)
    state = engine.masked(mask, network.module.state_dict())
    masked = masked_and_shrunk(network, mask)[0]
    with torch.inference_mode():
        bad = wrong(network, mask, state)(random_images(network))
    with pytest.raises(PruneframeError, match="must predict what the masked one does"):
        prove(masked, bad)


def test_the_proof_measures_differences_by_the_spread_and_compares_classes() -> None:
    logits = torch.tensor([[0.0, 1.0], [100.0, 0.0]])
    prove(logits, logits + 0.009)
    with pytest.raises(PruneframeError):
        prove(logits, logits + 0.011)
    nearly_tied, swapped = (torch.tensor([row, [100.0, 0.0]]) for row in ([1.0, 1.00001], [1.00001, 1.0]))
    with pytest.raises(PruneframeError):
        prove(nearly_tied, swapped)


@pytest.mark.parametrize("position", [0, 1])
def test_outputs_that_are_not_numbers_prove_nothing(position: int) -> None:
    masked = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    broken = masked.clone()
    broken[0, position] = float("nan")
    for pair in ((masked, broken), (broken, masked), (broken, broken)):
        with pytest.raises(PruneframeError):
            prove(*pair)
