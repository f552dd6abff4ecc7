"""Which units are made of what channels do: side by side in groups, inside a block, between linear layers."""

from __future__ import annotations

import pytest
import tiny
import torch
import torch.nn.functional as F
import torchvision
from followed import SHAPE, check, followed, told
from torch import Tensor, nn

from pruneframe import InputError
from pruneframe.mask import Slices
from pruneframe.model.groups import filter_groups
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import LeNet, SmallLeNet


class Sketch(nn.Module):
    """Two convolutions of four filters and a classifier; the cases below join them in different ways."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 8 * 8, 3)


class Viewed(Sketch):
    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.b(F.relu(self.a(x))))
        return self.fc(x.view(x.size(0), -1))


class ViewedByShape(Sketch):
    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.b(F.relu(self.a(x))))
        return self.fc(x.reshape(x.shape[0], -1))


class Flattened(Sketch):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(torch.relu(self.b(self.a(x).relu())), 1))


class Added(Sketch):
    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.fc((self.b(x) + x).flatten(1))


class Concatenated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1)
        self.b = nn.Conv2d(2, 4, 3, padding=1)
        self.c = nn.Conv2d(8, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 8 * 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.c(torch.cat([self.a(x), self.b(x)], 1)).flatten(1))


class Grouped(Sketch):
    def __init__(self) -> None:
        super().__init__()
        self.b = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.c = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.c(self.b(self.a(x))).flatten(1))


class CalledTwice(Sketch):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.b(self.b(self.a(x))).flatten(1))


class NormCalledTwice(Sketch):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.b(self.norm(self.a(x)))).flatten(1))


class PlainNorm(NormCalledTwice):
    """A batch norm without scale and shift turns a removed filter's zeros into a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.b(self.norm(self.a(x))).flatten(1))


class Sigmoid(Sketch):
    """Maps zero to one half."""

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.b(torch.sigmoid(self.a(x))).flatten(1))


class ReadTwice(Sketch):
    """Two layers read the same filters: both lose the input."""

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a(x))
        return self.fc((self.b(x) + self.c(x)).flatten(1))


def removable(module: nn.Module, shape: tuple[int, ...] = SHAPE, inner: bool = False) -> tuple[str, ...]:
    """The layers that lead the removable channels; single weights are there even where no channel may go."""
    groups, _ = filter_groups(tiny.network(module, shape, "weight"), inner)
    return tuple(group.layer for group in groups)


@pytest.mark.parametrize("blocks", [1, 3])
def test_in_a_resnet_one_layer_alone_writes_filters_inside_a_block(blocks: int) -> None:
    expected = [f"layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in range(blocks)]
    network = tiny.network(CifarResNet(blocks), (3, 32, 32), "filter[inner=true]")
    assert list(network.layout.names) == expected
    assert network.layout.sizes == (16,) * blocks + (32,) * blocks + (64,) * blocks


def test_in_a_resnet_channels_of_the_stream_go_with_all_who_write_them() -> None:
    """What its shortcuts pad by stays, since they pad by so many however few there are."""
    network = followed(CifarResNet(1), shape=(3, 32, 32))
    assert network.layout.names == ("conv1", "layer1.0.conv1", "layer2.0.conv1", "layer3.0.conv1")
    assert network.layout.sizes == (16, 16, 32, 64)
    assert {"layer2.0.conv2.weight", "layer3.0.conv2.weight"} <= {
        part.parameter for part in network.layout.groups[0].slices
    }
    assert network.notes == ("48 channels of layer2.0.conv2 and 1 more stay: they meet something that stays",)
    check(network)


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize(("module", "shape"), [(LeNet(), (1, 28, 28)), (SmallLeNet(), (1, 8, 8))])
def test_in_a_lenet_all_filters_but_the_classifiers_may_go(
    module: nn.Module, shape: tuple[int, ...], inner: bool
) -> None:
    assert removable(module, shape, inner) == ("conv1", "conv2", "fc1")


@pytest.mark.parametrize(
    ("module", "expected", "inside"),
    [
        (Viewed(), ("a", "b"), ("a", "b")),
        (ViewedByShape(), ("a", "b"), ("a", "b")),
        (Flattened(), ("a", "b"), ("a", "b")),
        (Added(), ("a",), ()),
        (Concatenated(), ("a", "b", "c"), ("c",)),
        (Grouped(), ("a", "c"), ("c",)),
        (CalledTwice(), ("a",), ()),
        (NormCalledTwice(), ("a",), ()),
        (PlainNorm(), ("a", "b"), ("a", "b")),
        (Sigmoid(), ("a", "b"), ("a", "b")),
        (ReadTwice(), ("a", "b"), ("a",)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_channels_go_together_and_inside_a_block_alone(
    module: nn.Module, expected: tuple[str, ...], inside: tuple[str, ...]
) -> None:
    assert removable(module) == expected
    assert removable(module, inner=True) == inside


def test_the_parts_of_a_group_are_named() -> None:
    first = tiny.network(CifarResNet(1), (3, 32, 32), "filter[inner=true]").layout.groups[0]
    own = [Slices(f"layer1.0.{name}", 0) for name in ("conv1.weight", "bn1.weight", "bn1.bias")]
    assert set(first.slices) == {*own, Slices("layer1.0.conv2.weight", 1)}
    assert (first.layer, first.size, first.shape, first.slices[0]) == ("layer1.0.conv1", 16, (16, 16, 3, 3), own[0])
    assert told(tiny.network(ReadTwice(), SHAPE, "filter")) == [
        "4: a.weight/0 a.bias/0 b.weight/1 c.weight/1",
        "4: b.weight/0 b.bias/0 fc.weight/1x64 c.weight/0 c.bias/0",
    ]


def test_what_may_go_is_what_filters_are_as_units() -> None:
    found = tiny.network(Viewed(), SHAPE, "filter")
    assert found.layout.groups == filter_groups(found, inner=False)[0]
    assert Slices("fc.weight", 1, width=64) in found.layout.groups[1].slices
    with pytest.raises(InputError, match=r"the network has no prunable filter.*s; use units=weight"):
        tiny.network(Added(), SHAPE, "filter[inner=true]")


def test_a_network_that_cannot_be_recorded_is_followed_all_the_same() -> None:
    class Branching(Viewed):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    assert removable(Branching()) == ("a", "b")


class Stream(nn.Module):
    """Two hidden layers beside a stream, a convolution before and a norm behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.LayerNorm(4)
        self.into, self.out = nn.Linear(4, 9), nn.Linear(9, 4)
        self.hidden, self.scaled, self.fc = nn.Linear(4, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = self.norm(x + self.out(F.gelu(self.into(self.norm(x))))).mean(1)
        return self.fc(F.relu(self.scaled(self.hidden(x))))


def test_neurons_lie_between_linear_layers() -> None:
    network = followed(Stream(), "neuron")
    assert told(network) == [
        "9: into.weight/0 into.bias/0 out.weight/1",
        "7: hidden.weight/0 hidden.bias/0 scaled.weight/0 scaled.bias/0 fc.weight/1",
    ]
    assert not network.notes  # what is no hidden unit is no matter
    check(network)
    with pytest.raises(InputError, match="the network has no prunable neurons"):
        tiny.network(Added(), SHAPE, "neuron")


def test_in_a_network_of_linear_layers_filters_are_neurons() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(128, 9), nn.ReLU(), nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 3))
    filters, neurons = (tiny.network(module, SHAPE, units).layout.groups for units in ("filter", "neuron"))
    assert filters == neurons
    assert [group.size for group in neurons] == [9, 5]


@pytest.mark.parametrize(("name", "shape"), [("resnet18", 32), ("mobilenet_v3_small", 32), ("densenet121", 32)])
def test_published_networks_lose_all_but_their_outputs(name: str, shape: int) -> None:
    network = followed(torchvision.models.get_model(name, weights=None, num_classes=10), shape=(3, shape, shape))
    assert network.notes == ()
    assert network.reach > 0.95
    check(network)
