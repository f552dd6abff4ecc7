"""Networks of all kinds for tests of the engine, and what must be equal however their outputs are computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe.engine import kernel
from pruneframe.engine.compiler import compiled
from pruneframe.engine.plan import Unsupported
from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.model.state import State
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


class Rows(nn.Module):
    """Linear layers and a batch norm on rows of features."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(19, 23), nn.BatchNorm1d(23)
        self.second, self.last = nn.Linear(23, 19), nn.Linear(19, 4)

    def forward(self, rows: Tensor) -> Tensor:
        return self.last(F.relu(self.second(F.relu(self.norm(self.first(rows))))))


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
        self.fifth = nn.Conv2d(4, 4, 3, padding=1)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        second = first + self.second(first)
        third = second + self.fourth(self.third(second))
        return self.last(self.mean(F.relu(self.fifth(third))).flatten(1))


MAKERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "tiny": (TinyNetwork, (2, 6, 6)),
    "lenet": (LeNet, (1, 28, 28)),
    "small lenet": (SmallLeNet, (1, 8, 8)),
    "resnet": (lambda: CifarResNet(1), (3, 32, 32)),
    "odd": (Odd, (3, 13, 11)),
    "pooled": (Pooled, (1, 28, 36)),
    "dense": (Dense, (2, 5, 5)),
    "rows": (Rows, (19,)),
    "narrow": (Narrow, (1, 14, 5)),
    "thin": (Thin, (1, 19, 14)),
    "on itself": (OnItself, (3, 8, 8)),
}
# No filter of the dense one can be removed alone: all feed an addition.
CASES = [(name, units) for name in MAKERS for units in ("weight", "filter") if (name, units) != ("dense", "filter")]


def network_of(name: str, units: str = "weight") -> Network:
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
    return tiny.network(module, shape, units)


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


def states_of(network: Network, n: int) -> list[State]:
    """Different weights and statistics; what counts is copied."""
    own = network.module.state_dict()
    return [{k: v * (1 + 0.2 * i) if v.is_floating_point() else v.clone() for k, v in own.items()} for i in range(n)]


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * (float(np.ptp(expected)) or 1.0)


def neighbours(network: Network, n: int) -> Masks:
    """Masks that differ from one another in one or two layers, and some that are equal."""
    layout, rng = network.layout, np.random.default_rng(0)
    keep = [rng.random(layout.total) < 0.4]
    while len(keep) < n:
        keep.append(keep[rng.integers(len(keep))].copy())
        for part in rng.permutation(np.array(layout.slices, dtype=object))[: rng.integers(3)]:
            keep[-1][part] = rng.random(keep[-1][part].size) < 0.4
    return Masks.pack(np.array(keep), layout)


def unsupported(module: nn.Module, shape: tuple[int, ...] = (3, 8, 8)) -> str:
    """Why the kernel cannot run a network."""
    with pytest.raises(Unsupported) as caught:
        compiled(tiny.network(module, shape))
    return str(caught.value)
