"""Every family of networks is pruned by weight, filter and block, and the kernel computes what its module does."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from networks import images_of, needs_kernel
from test_sizes import IMAGES, PROBLEMS
from torch import nn

from pruneframe import InputError
from pruneframe.engine import Engine
from pruneframe.model.shrink import proved_network

CIFAR = (3, 32, 32)
BRANCHED = ("resnet20-cifar10", "resnet20b-cifar100", "resnet8-cifar10", "mobilenetv2-cifar10")
PLAIN = (
    "lenet300-mnist",
    "lenet-fashionmnist",
    "alexnet-cifar10",
    "mobilenetv1-cifar10",
    "vgg14-cifar10",
    "vgg16-cifar10",
)


def unsettled(name: str) -> nn.Module:
    """A network that was never trained, its batch-norm statistics and scales far from where they begin."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = PROBLEMS[name].module()
        for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d)):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0.0, 0.2)
            nn.init.normal_(norm.running_mean, 0.0, 0.2)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return module.eval()


@needs_kernel
@pytest.mark.parametrize("units", ["weight", "filter", "block"])
@pytest.mark.parametrize("name", [*BRANCHED, *PLAIN])
def test_units_are_offered_and_the_kernel_agrees(name: str, units: str) -> None:
    shape = IMAGES.get(name.rpartition("-")[2], CIFAR)
    if units == "block" and name in PLAIN:
        with pytest.raises(InputError, match="block"):
            tiny.network(unsettled(name), shape, units)
        return
    network = proved_network(tiny.network(unsettled(name), shape, units))  # taken out as a trial
    assert Engine(network, sample=images_of(network, 3)).notice == "sparse kernel"  # compared with the module
    assert network.notes == ()
    assert network.reach > (0.9 if units == "block" else 0.99)
    assert np.all(np.array(network.layout.sizes) > 0)
