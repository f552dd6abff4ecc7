"""Which residual branches are found in the graphs of many small networks, and that the networks do without them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pruneframe import InputError, Masks, Network
from pruneframe.engine import Engine
from pruneframe.engine.agreement import Reference
from pruneframe.model.branches import block_groups
from pruneframe.model.layers import survey
from pruneframe.model.memory import peak_memory
from pruneframe.model.shrink import prove, proved_network, shrink
from pruneframe_problems.cifar_resnet import CifarResNet

SHAPE = (3, 8, 8)


def conv(inputs: int = 4, outputs: int = 4, stride: int = 1, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


class Sketch(nn.Module):
    """A stem of four channels, something residual, and a classifier."""

    width = 4

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = conv(3), nn.Linear(self.width, 3)
        self.a, self.n, self.b, self.m = conv(), nn.BatchNorm2d(4), conv(), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3]."""
        return self.fc(self.body(self.stem(images)).mean((2, 3)))

    def branch(self, x: Tensor) -> Tensor:
        return self.m(self.b(F.relu(self.n(self.a(x)))))


class Identity(Sketch):
    def body(self, x: Tensor) -> Tensor:
        return F.relu(x + self.branch(x))


class TorchAdd(Sketch):
    def body(self, x: Tensor) -> Tensor:
        return torch.add(self.branch(x), x)


class Scaled(Sketch):
    """A sum that does more than add: no branch."""

    def body(self, x: Tensor) -> Tensor:
        return torch.add(self.branch(x), x, alpha=2) + 1


class InPlace(Sketch):
    """What the sum is written over must not be what others read when the branch is gone."""

    def body(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        y += x
        return F.relu(y, inplace=True) - 3 * self.a(x)

    def branch(self, x: Tensor) -> Tensor:
        return self.m(self.b(self.n(x)))


class PreActivation(nn.Module):
    """He et al., 2016; the images themselves are the first shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(4))
        self.convs = nn.ModuleList(conv(3, 3) for _ in range(4))
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        for i in (0, 2):
            inner = self.convs[i](F.relu(self.norms[i](x)))
            x = F.relu_(x + self.convs[i + 1](F.relu(self.norms[i + 1](inner))))
        return self.fc(x.mean((2, 3)))


class Projected(Sketch):
    width = 8

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.m = conv(4, 4, 2), conv(4, 8), nn.BatchNorm2d(8)
        self.down = nn.Sequential(conv(4, 8, 2, 1), nn.BatchNorm2d(8))

    def body(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + self.down(x))


class Padded(Projected):
    def body(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))


class EquallyHeavy(Sketch):
    def body(self, x: Tensor) -> Tensor:
        return F.relu(self.n(self.a(x)) + self.m(self.b(x)))


class TwoUsers(Sketch):
    """The branch's first layer is read elsewhere, too, so that the rest alone is the branch."""

    def body(self, x: Tensor) -> Tensor:
        inner = F.relu(self.a(x))
        return (x + self.m(self.b(inner))) * inner.mean()


class ReadTwice(Sketch):
    """The branch's result is read elsewhere: nothing leads to the sum alone."""

    def body(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        return (x + y) * y


class SharedLayer(Sketch):
    """A layer that both call can go with neither."""

    def body(self, x: Tensor) -> Tensor:
        x = x + self.n(self.a(x))
        return x + self.m(self.b(self.a(x)))


class SharedNorm(Sketch):
    def body(self, x: Tensor) -> Tensor:
        x = x + self.a(self.n(x))
        return x + self.b(self.n(x))


class Broadcast(Sketch):
    """Without the branch the sum would have another shape."""

    def body(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True) + self.branch(x)


class Position(Sketch):
    """What is added to the stem comes from no image: it is no shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(1, 4, 8, 8))

    def body(self, x: Tensor) -> Tensor:
        return self.branch(x) + self.place.expand(x.size(0), -1, -1, -1)


class LayerScale(Sketch):
    def __init__(self) -> None:
        super().__init__()
        self.gamma, self.delta = nn.Parameter(torch.randn(4, 1, 1)), nn.Parameter(torch.tensor(0.7))
        self.unused = nn.Parameter(torch.ones(3))
        self.extra = nn.ModuleDict({"unused": nn.Linear(2, 2)})

    def body(self, x: Tensor) -> Tensor:
        x = x + F.dropout(self.gamma * self.b(self.n(x)), training=self.training)
        return x + self.delta * self.m(self.a(x))


class Gate(Sketch):
    """Its layers only weigh what comes past them: with them zero it adds a half."""

    def body(self, x: Tensor) -> Tensor:
        return x + x * torch.sigmoid(self.b(F.relu(self.a(x))))


class Unmoved(Sketch):
    """Zero before a norm without a shift of its own is not zero behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.m = nn.BatchNorm2d(4, affine=False)
        self.m.running_mean += 1
        self.c = conv()

    def body(self, x: Tensor) -> Tensor:
        return super().branch(x) + x

    def forward(self, images: Tensor) -> Tensor:
        x = self.body(self.stem(images))
        return self.fc((x + self.c(x)).mean((2, 3)))


class Nested(Sketch):
    """A small branch within one goes with it; where there are several, the one around them is none."""

    def body(self, x: Tensor) -> Tensor:
        inner = self.a(x)
        return x + self.m(self.n(inner) + self.b(inner))


class Long(Sketch):
    def __init__(self) -> None:
        super().__init__()
        self.c = conv()

    def body(self, x: Tensor) -> Tensor:
        y = self.c(x)
        y = y + self.n(self.a(y))
        return x + (y + self.m(self.b(y)))


class Parallel(Sketch):
    """Two branches on one shortcut."""

    def body(self, x: Tensor) -> Tensor:
        return x + self.n(self.a(x)) + self.m(self.b(x))


class Transformer(nn.Module):
    """Patches, positions, and an encoder block of attention and a perceptron, normalised before."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.place = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 4, 8))
        self.first, self.second = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.5), nn.Linear(16, 8), nn.Dropout(0.5))
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch(images).flatten(2).transpose(1, 2) + self.place
        y = self.first(x)
        torch._assert(y.dim() == 3, "asks the branch, and is no reader of it")
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return self.head((x + self.mlp(self.second(x))).mean(1))


FOUND: dict[Callable[[], nn.Module], list[str]] = {
    Identity: ["b"],
    TorchAdd: ["b"],
    Scaled: [],
    InPlace: ["b"],
    PreActivation: ["convs.1", "convs.3"],
    Projected: ["b"],
    Padded: ["b"],
    EquallyHeavy: [],
    TwoUsers: ["b"],
    ReadTwice: [],
    SharedLayer: [],
    SharedNorm: ["a", "b"],
    Broadcast: [],
    Position: [],
    LayerScale: ["b", "a"],
    Gate: [],
    Nested: ["b"],
    Long: ["a", "b"],
    Parallel: ["a", "b"],
    Transformer: ["attention.out_proj", "mlp.3"],
}
WITH = {make: names for make, names in FOUND.items() if names}


def shaken(module: nn.Module) -> nn.Module:
    """Norms, and biases that start at zero, far from what they start at."""
    generator = torch.Generator().manual_seed(1)
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d | nn.LayerNorm | nn.MultiheadAttention)):
        tensors = dict([*norm.named_parameters(), *norm.named_buffers()])
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and name != "running_mean":
                tensor.data += torch.rand(tensor.shape, generator=generator)
    return module


def network_of(make: Callable[[], nn.Module], shape: tuple[int, ...] = SHAPE) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny.network(shaken(make()), shape, "block")


def all_masks(network: Network) -> Masks:
    """Every mask where they are few, else some."""
    total = network.layout.total
    if total < 4:
        keep = np.array(list(product([False, True], repeat=total)))
    else:
        keep = np.random.default_rng(0).random((4, total)) < np.array([[0.0], [0.4], [0.7], [1.1]])
    return Masks.pack(keep, network.layout)


def macs_of(module: nn.Module, shape: tuple[int, ...]) -> int:
    """By torch's own count."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


def check(network: Network, products: bool = False) -> None:
    """Masked, shrunk and the engine agree under several masks, and what is counted is what is left.

    `products` of two activations are in torch's count and not in ours.
    """
    masks, own, shape = all_masks(network), network.module.state_dict(), network.input_shape
    images = torch.randn(6, *shape, generator=torch.Generator().manual_seed(2))
    before = images.clone()
    engine = Engine(network)
    dense, memory = network.module(images), peak_memory(network.module, shape)
    found = engine.logits(masks, [own] * len(masks), images)
    for row, outputs in enumerate(found):
        mask = masks[[row]]
        state = engine.masked(mask, own)
        small = shrink(network, mask, state)
        with torch.inference_mode():
            masked = torch.func.functional_call(network.module, state, (images.clone(),))
            prove(masked, small(images))
        assert torch.equal(images, before)
        prove(masked, torch.from_numpy(outputs))
        assert [sum(parameter.numel() for parameter in small.parameters())] == network.params(mask)
        assert network.macs(mask) == [survey(small, shape).macs if products else macs_of(small, shape)]
        assert 0 < peak_memory(small, shape) <= memory
        gone = [name for name, units in zip(network.layout.names, mask.unpack(0), strict=True) if not units]
        widths = dict(zip((layer.name for layer in network.layers), network.widths(mask)[0, :, 0], strict=True))
        assert all(widths[name] == 0 for name in gone)
        assert not any(name in dict(small.named_modules()) for name in gone if name != "attention.out_proj")
    assert torch.equal(network.module(images), dense)


@pytest.mark.parametrize("make", FOUND, ids=lambda make: make.__name__)
def test_branches_are_those_beside_a_lighter_way(make: Callable[[], nn.Module]) -> None:
    weights = tiny.network(make(), SHAPE, "weight")
    assert [group.layer for group in block_groups(weights)] == FOUND[make]


@pytest.mark.parametrize("make", WITH, ids=lambda make: make.__name__)
def test_networks_do_without_them(make: Callable[[], nn.Module]) -> None:
    network = network_of(make)
    assert proved_network(network) is network
    check(network, products=make is Transformer)


def test_all_that_only_the_branch_uses_goes_with_it() -> None:
    first, second = network_of(LayerScale).layout.groups
    assert [part.parameter for part in first.slices] == ["b.weight", "gamma", "n.weight", "n.bias", "b.bias"]
    assert {part.parameter for part in second.slices} == {
        "delta",
        *(f"{n}.{w}" for n in "am" for w in ("weight", "bias")),
    }
    shared = network_of(SharedNorm).layout.groups[0]
    assert [part.parameter for part in shared.slices] == ["a.weight", "a.bias"]
    attention = network_of(Transformer).layout.groups[0]
    assert attention.slices[0].parameter == "attention.out_proj.weight"
    assert {"attention.in_proj_weight", "first.weight"} < {part.parameter for part in attention.slices}


def test_what_nothing_uses_is_still_there() -> None:
    network = network_of(LayerScale)
    nothing = network.layout.full() - network.layout.full()
    small = shrink(network, nothing, network.module.state_dict())
    assert {"unused", "extra.unused.weight"} < {name for name, _ in small.named_parameters()}


def test_a_branch_that_is_not_zero_stays_and_is_told() -> None:
    whole = network_of(Unmoved)
    assert whole.layout.names == ("b", "c")
    found = proved_network(whole)
    assert found.layout.names == ("c",)
    [note] = found.notes
    assert note.startswith("the blocks of b stay: a shrunk network must predict what the masked one does")
    check(found)


def test_a_network_that_cannot_be_traced_is_told_to_prune_weights() -> None:
    class Branching(Identity):
        def body(self, x: Tensor) -> Tensor:
            return super().body(x) if x.sum() < 1e9 else x

    with pytest.raises(InputError, match=r"^blocks need a network that torch\.fx can trace.*; use units=weight$"):
        network_of(Branching)


def test_the_kernel_computes_networks_without_blocks() -> None:
    network = network_of(lambda: CifarResNet(3), (3, 32, 32))
    assert len(network.layout.groups) == 9
    assert [group.layer for group in network.layout.groups][:2] == ["layer1.0.conv2", "layer1.1.conv2"]
    engine = Engine(network)
    assert Reference(network, None).agrees(lambda *asked: engine.logits(*asked))
    check(network)


@pytest.mark.parametrize("make", [Identity, Projected, lambda: CifarResNet(1)], ids=["identity", "projected", "resnet"])
def test_branches_are_gone_where_batch_norm_shifts(make: Callable[[], nn.Module]) -> None:
    network = network_of(make, (3, 32, 32))
    images = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    engine, masks, own = Engine(network, calibration=images), all_masks(network), network.module.state_dict()
    for row in range(len(masks)):
        mask = masks[[row]]
        small = shrink(network, mask, engine.masked(mask, own))
        with torch.inference_mode():
            prove(torch.from_numpy(next(engine.logits(mask, [own], images))), small(images))


ZOO: dict[str, tuple[int, dict[str, Any]]] = {
    "resnet18": (8, {}),
    "mobilenet_v2": (10, {}),
    "convnext_tiny": (18, {}),
    "vit_b_16": (24, {"image_size": 64}),
    "swin_t": (24, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_networks_of_torchvision(name: str) -> None:
    models = pytest.importorskip("torchvision").models
    blocks, settings = ZOO[name]
    network = network_of(lambda: getattr(models, name)(num_classes=10, **settings), (3, 64, 64))
    assert len(network.layout.groups) == blocks
    found = proved_network(network)
    assert found is network
    check(found, products=True)


@pytest.mark.slow
def test_a_densenet_has_none() -> None:
    models = pytest.importorskip("torchvision").models
    with pytest.raises(InputError, match="no prunable blocks; use units=weight"):
        network_of(lambda: models.densenet121(num_classes=10), (3, 64, 64))
