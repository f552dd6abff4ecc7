"""What the kernel runs beyond chains of convolutions, each operation against torch, on every processor there is."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from networks import agree, images_of, masks_of, needs_kernel
from torch import Tensor, nn

from pruneframe.engine import Engine
from pruneframe.engine.batch_norm import statistics
from pruneframe.engine.moments import Moments
from pruneframe.engine.plain import Plain
from pruneframe.engine.sparse import Sparse
from pruneframe.mask import Masks
from pruneframe.model.network import Network

SHAPE = (3, 11, 9)


class Around(nn.Module):
    """A convolution, an operation on its maps [8, 11, 9], another convolution, and a linear layer."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.operation = make()
        with torch.no_grad():
            channels = self.operation.eval()(torch.zeros(1, 8, *SHAPE[1:])).shape[1]
        self.second, self.pool = nn.Conv2d(channels, 6, 3, padding=1), nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(6, 5)
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.uniform_(norm.weight, -1.0, 1.5)
                nn.init.normal_(norm.bias, 0.0, 0.3)
                nn.init.uniform_(norm.running_var, 0.5, 1.5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.operation(self.norm(self.first(images)))
        return self.last(self.pool(F.relu(self.second(maps))).flatten(1))


class Does(nn.Module):
    """A function as a module that torch.fx looks into."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, maps: Tensor) -> Tensor:
        return self.function(maps)


class Gate(nn.Module):
    """Squeeze-and-excite, by convolutions or by linear layers."""

    def __init__(self, linear: bool) -> None:
        super().__init__()
        self.linear = linear
        self.down, self.up = (nn.Linear(8, 4), nn.Linear(4, 8)) if linear else (nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1))

    def forward(self, maps: Tensor) -> Tensor:
        squeezed = maps.mean((2, 3)) if self.linear else maps.mean([2, 3], keepdim=True)
        scale = torch.sigmoid(self.up(F.silu(self.down(squeezed))))
        return maps * (scale.view(-1, 8, 1, 1) if self.linear else scale)


class Grown(nn.Module):
    """Channels put behind all before, each by a norm, an activation and a convolution, as in DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(8 + 4 * at) for at in range(3))
        self.layers = nn.ModuleList(nn.Conv2d(8 + 4 * at, 4, 3, padding=1) for at in range(3))

    def forward(self, maps: Tensor) -> Tensor:
        found = [maps]
        for norm, layer in zip(self.norms, self.layers, strict=True):
            found.append(layer(F.relu(norm(torch.cat(found, 1)))))
        return torch.cat(found, 1)


class Mixed(nn.Module):
    """Depthwise, layer norm over channels, linear layers on pixels and layer scale, as in ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.deep, self.norm = nn.Conv2d(8, 8, 5, padding=2, groups=8), nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 8)
        self.scale = nn.Parameter(torch.rand(8, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.norm(self.deep(maps).permute(0, 2, 3, 1))
        inner = self.down(F.gelu(self.up(inner))).permute(0, 3, 1, 2)
        return maps + self.scale * inner


class Same(nn.Module):
    """Padding by name, "same", and one-sided padding in front of a strided convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.named = nn.Conv2d(8, 8, (5, 3), padding="same", dilation=(1, 2), groups=2)
        self.zeros = nn.ZeroPad2d((0, 1, 0, 1))
        self.third, self.fourth = (nn.Conv2d(8, 8, 3, stride=2) for _ in range(2))

    def forward(self, maps: Tensor) -> Tensor:
        return self.fourth(F.pad(self.third(self.zeros(self.named(maps))), (0, 1, 1, 2)))


def numbers(maps: Tensor) -> Tensor:
    return maps * (F.relu6(maps + 3) / 6) - 0.25


def pieces(maps: Tensor) -> Tensor:
    one, two = maps.chunk(2, dim=1)
    return torch.cat([two, one, maps[:, 2:5], two], dim=1)[:, :, 1:, ::2]


def itself(maps: Tensor) -> Tensor:
    return F.silu(maps * maps) + maps.mean((2, 3), keepdim=True)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": lambda: nn.SiLU(inplace=True),
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "gelu tanh": lambda: nn.GELU("tanh"),
    "leaky": lambda: nn.LeakyReLU(0.2),
    "elu": lambda: nn.ELU(0.7),
    "tanh": nn.Tanh,
    "function": lambda: Does(lambda maps: F.leaky_relu(F.gelu(maps, approximate="tanh"), 0.3)),
}
OPERATIONS: dict[str, Callable[[], nn.Module]] = {
    **ACTIVATIONS,
    "padded maximum": lambda: nn.MaxPool2d(3, 2, 1),
    "ceiled maximum": lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
    "padded mean": lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    "divided mean": lambda: nn.AvgPool2d(3, 2, 1, divisor_override=4),
    "adaptive": lambda: nn.AdaptiveAvgPool2d((3, 4)),
    "adaptive maximum": lambda: nn.AdaptiveMaxPool2d((4, 2)),
    "pooled functions": lambda: Does(lambda maps: F.avg_pool2d(F.max_pool2d(maps, 3, 1, padding=1), 2, ceil_mode=True)),
    "bent pooling": lambda: nn.Sequential(nn.Conv2d(8, 8, 2, padding=(0, 1)), nn.SiLU(), nn.MaxPool2d(2), nn.SiLU()),
    "gate": lambda: Gate(linear=False),
    "linear gate": lambda: Gate(linear=True),
    "grown": Grown,
    "mixed": Mixed,
    "same": Same,
    "numbers": lambda: Does(numbers),
    "pieces": lambda: Does(pieces),
    "itself": lambda: Does(itself),
    "resnext": lambda: nn.Conv2d(8, 16, 3, padding=2, dilation=2, groups=4),
    "dropped": lambda: nn.Sequential(nn.Dropout2d(), nn.BatchNorm2d(8), nn.Identity(), nn.SiLU()),
}


def around(name: str, units: str = "weight") -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny.network(Around(OPERATIONS[name]), SHAPE, units)


@needs_kernel
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_processor_computes_what_torch_does(name: str) -> None:
    network = around(name)
    images, state, masks = images_of(network, 21), network.module.state_dict(), masks_of(network)
    sparse, plain = Sparse(network), Plain(network)
    groups, best = sparse.groups(images), sparse.processor
    for row, expected in enumerate(plain.logits(masks, [state] * len(masks), plain.place(images))):
        for processor in range(best + 1):
            sparse.processor = processor
            agree(sparse.logits([sparse.pruned(masks, row, state, {})], groups, 21)[0], expected)


@needs_kernel
@pytest.mark.parametrize("name", OPERATIONS)
def test_relatives_computed_together_get_what_they_get_alone(name: str) -> None:
    network = around(name)
    images, state = images_of(network, 21), network.module.state_dict()
    sparse, rng = Sparse(network), np.random.default_rng(0)
    keep = np.repeat(rng.random((1, network.layout.total)) < 0.5, 8, axis=0)
    for row, part in zip(keep[1:], itertools.cycle(reversed(network.layout.slices)), strict=False):
        row[part] = rng.random(row[part].size) < 0.5
    masks, groups = Masks.pack(keep, network.layout), sparse.groups(images)
    candidates = [sparse.pruned(masks, row, state, {}) for row in range(len(masks))]
    alone = [sparse.logits([candidate], groups, 21)[0] for candidate in candidates]
    assert np.array_equal(sparse.logits(candidates, groups, 21), np.array(alone))


@needs_kernel
@pytest.mark.parametrize("name", OPERATIONS)
def test_statistics_are_those_that_torch_measures(name: str) -> None:
    network = around(name)
    images, state, masks = images_of(network, 37), network.module.state_dict(), masks_of(network)
    moments, plain = Moments(Sparse(network), images), Plain(network)
    for row in (1, 3):
        module = tiny.network(Around(OPERATIONS[name]), SHAPE).module
        module.load_state_dict(plain.masked(masks[[row]], state))
        with torch.inference_mode():
            expected = statistics(module.double(), images.double())
        found = moments(masks, row, state)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert float((found[key] - value).abs().max()) <= 1e-5 * float(value.abs().max()) + 1e-7, (row, key)


@needs_kernel
@pytest.mark.parametrize("name", ["gate", "grown", "mixed", "same"])
def test_filters_are_taken_out_as_well(name: str) -> None:
    network = around(name, "filter")
    assert Engine(network, sample=images_of(network, 4)).notice == "sparse kernel"


class Bent(nn.Module):
    """An activation of numbers spread over all that matters, one for each output."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.line, self.act = nn.Linear(1, 4001), act
        with torch.no_grad():
            self.line.weight.zero_()
            self.line.bias.copy_(torch.linspace(-12, 12, 4001))

    def forward(self, rows: Tensor) -> Tensor:
        return self.act(self.line(rows))


@needs_kernel
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "function"])
def test_activations_err_by_rounding_alone(name: str) -> None:
    network = tiny.network(Bent(ACTIVATIONS[name]()), (1,))
    state, sparse, act = network.module.state_dict(), Sparse(network), ACTIVATIONS[name]()
    expected = act(state["line.bias"].double()).numpy()
    full = network.layout.full()
    best = sparse.processor
    for processor in range(best + 1):
        sparse.processor = processor
        groups = sparse.groups(torch.ones(1, 1))
        found = sparse.logits([sparse.pruned(full, 0, state, {})], groups, 1)[0, 0]
        floor = 1e-7 if name.startswith("hard") else 1e-12  # x + 3 loses what is small
        close = np.abs(found - expected) <= 2e-6 * np.abs(expected) + floor
        exact = expected != 0 if name == "gelu tanh" else np.ones_like(close)
        beyond = exact & ~close & (np.abs(expected) > 1e-6)
        assert not beyond.any(), (processor, state["line.bias"].numpy()[beyond][:5])
