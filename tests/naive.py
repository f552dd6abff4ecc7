"""Masked networks made by hand, independently of the engine, and masks, images and weights to compare both on."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import tiny
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.model.state import State
from pruneframe.testing import TinyNetwork
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import SmallLeNet

# The modules behind which a removed filter's output must be zero, and where its group begins, written down by hand.
ENDS = {
    "tiny": {"stem": {"bn0": 0, "bn2": 0}, "conv1": {"bn1": 0}, "conv3": {"conv3": 0}},
    "lenet": {"conv1": {"bn1": 0}, "conv2": {"bn2": 0}, "fc1": {"fc1": 0}},
    "resnet8": {f"layer{i}.0.conv1": {f"layer{i}.0.bn1": 0} for i in (1, 2, 3)}
    | {"conv1": {"bn1": 0, "layer1.0.bn2": 0, "layer2.0.bn2": 8, "layer3.0.bn2": 24}},
}
MAKERS = {
    "tiny": (TinyNetwork, (2, 6, 6)),
    "lenet": (SmallLeNet, (1, 8, 8)),
    "resnet8": (lambda: CifarResNet(1), (3, 32, 32)),
}


def random_network(name: str, units: str) -> Network:
    make, shape = MAKERS[name]
    module = make()
    module.load_state_dict(random_state(module, 0))
    return tiny.network(module, shape, units)


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
        if network.layout.single:
            weight = module.get_parameter(f"{layer}.weight")
            weight.data.mul_(kept.reshape(weight.shape))
        else:
            for end, first in ENDS[name][layer].items():
                module.get_submodule(end).register_forward_hook(partial(_without, kept, first))
    return module


def _without(kept: Tensor, first: int, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """A module's output with zeros for some channels; `kept` is of those from `first` on."""
    along = torch.ones(output.shape[1], dtype=torch.bool)
    along[first : first + len(kept)] = kept
    return output * along.reshape(-1, *[1] * (output.ndim - 2))


def naive_logits(name: str, network: Network, state: State, keep: NDArray[np.bool_], images: Tensor) -> NDArray:
    with torch.no_grad():
        return pruned_module(name, network, state, keep)(images).numpy()


def assert_close(found: NDArray, expected: NDArray, tolerance: float = 1e-5) -> None:
    spread = float(expected.max() - expected.min()) or 1.0
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= tolerance * spread


CASES = [(name, units) for name in MAKERS for units in ("weight", "filter")]
