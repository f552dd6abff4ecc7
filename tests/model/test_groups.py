"""Which filters may go, read off the graphs of many small networks, and that they can."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe import InputError, Masks
from pruneframe.engine import Engine
from pruneframe.mask import Group, Slices
from pruneframe.model.groups import filter_groups
from pruneframe.model.shrink import prove, shrink
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import LeNet, SmallLeNet

SHAPE = (2, 8, 8)


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


class AsksForChannels(Sketch):
    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.fc(self.b(x / x.size(1)).flatten(1))


def groups(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> tuple[Group, ...]:
    """The filters that may go, layer by layer; single weights are there even where no filter may."""
    return filter_groups(tiny.network(module, shape, "weight"))


def removable(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> tuple[str, ...]:
    return tuple(group.layer for group in groups(module, shape))


@pytest.mark.parametrize("blocks", [1, 3, 9])
def test_in_a_resnet_only_filters_inside_a_block_may_go(blocks: int) -> None:
    expected = [f"layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in range(blocks)]
    network = tiny.network(CifarResNet(blocks), (3, 32, 32), "filter")
    assert list(network.layout.names) == expected
    assert [sum(network.layout.sizes[i * blocks : (i + 1) * blocks]) for i in range(3)] == [
        16 * blocks,
        32 * blocks,
        64 * blocks,
    ]


@pytest.mark.parametrize(("module", "shape"), [(LeNet(), (1, 28, 28)), (SmallLeNet(), (1, 8, 8))])
def test_in_a_lenet_all_filters_but_the_classifiers_may_go(module: nn.Module, shape: tuple[int, ...]) -> None:
    assert removable(module, shape) == ("conv1", "conv2", "fc1")


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (Viewed(), ("a", "b")),
        (ViewedByShape(), ("a", "b")),
        (Flattened(), ("a", "b")),
        (Added(), ()),
        (Concatenated(), ("c",)),
        (Grouped(), ("c",)),
        (CalledTwice(), ()),
        (NormCalledTwice(), ()),
        (PlainNorm(), ("b",)),
        (Sigmoid(), ("b",)),
        (ReadTwice(), ("a",)),
        (AsksForChannels(), ("b",)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_filters_stay_where_a_reader_is_not_known(module: nn.Module, expected: tuple[str, ...]) -> None:
    assert removable(module) == expected


def vectors(group: Group) -> tuple[str, ...]:
    """The parameters of which a filter is one entry along the first dimension: its own, and its batch norm's."""
    own = [part for part in group.slices if part.dim == 0]
    assert all((part.width, part.start) == (1, 0) for part in own)
    return tuple(part.parameter for part in own)


def readers(group: Group) -> tuple[tuple[str, int], ...]:
    """The weights that read the filters, and how many inputs each filter is."""
    reading = [part for part in group.slices if part.dim == 1]
    assert all(part.start == 0 for part in reading)
    return tuple((part.parameter, part.width) for part in reading)


def test_the_readers_and_vectors_of_a_group_are_named() -> None:
    first = groups(CifarResNet(1), (3, 32, 32))[0]
    assert vectors(first) == ("layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias")
    assert readers(first) == (("layer1.0.conv2.weight", 1),)
    assert (first.size, first.shape) == (16, (16, 16, 3, 3))
    (group,) = groups(ReadTwice())
    assert vectors(group) == ("a.weight", "a.bias")
    assert set(readers(group)) == {("b.weight", 1), ("c.weight", 1)}
    assert readers(groups(Viewed())[1]) == (("fc.weight", 64),)
    assert {part.dim for part in (*first.slices, *group.slices)} == {0, 1}


def test_what_may_go_is_what_filters_are_as_units() -> None:
    found = tiny.network(Viewed(), SHAPE, "filter")
    assert found.layout.groups == groups(Viewed())
    assert Slices("fc.weight", 1, width=64) in found.layout.groups[1].slices
    with pytest.raises(InputError, match="the network has no prunable filters; use units=weight"):
        tiny.network(Added(), SHAPE, "filter")


def test_a_network_that_cannot_be_traced_is_refused_for_filters_alone() -> None:
    class Branching(Viewed):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    assert tiny.network(Branching(), SHAPE).layout.total > 0
    with pytest.raises(InputError, match=r"filters need a network that torch\.fx can trace.*; use units=weight"):
        tiny.network(Branching(), SHAPE, "filter")


class LinearOnWidth(nn.Module):
    """A linear layer reads the last dimension of feature maps, which here is as long as there are filters."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 8, 3, padding=1)
        self.mix = nn.Linear(8, 5)
        self.fc = nn.Linear(8 * 8 * 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mix(self.a(x)).flatten(1))


class FlattenedPixels(nn.Module):
    """Only the pixels are flattened; their number is a multiple of the number of filters."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1)
        self.flatten = nn.Flatten(2)
        self.mix = nn.Linear(64, 5)
        self.fc = nn.Linear(4 * 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mix(self.flatten(self.a(x))).flatten(1))


class FlattenedPixelsByMethod(FlattenedPixels):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mix(self.a(x).flatten(2)).flatten(1))


class LinearBeforeFlatten(nn.Module):
    """Outputs of a linear layer on feature maps lie last, so that flattening mixes them with the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(8, 4)
        self.fc = nn.Linear(2 * 8 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.mix(x)).flatten(1))


class PooledAfterLinear(nn.Module):
    """Pooling over the last dimension mixes the outputs of a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(8, 8)
        self.next = nn.Linear(8, 4)
        self.fc = nn.Linear(2 * 8 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(self.mix(x), 3, stride=1, padding=1)
        return self.fc(self.next(x).flatten(1))


class NormedAfterLinear(nn.Module):
    """Batch norm counts channels, not the outputs of a linear layer on feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(8, 2)
        self.norm = nn.BatchNorm2d(2)
        self.conv = nn.Conv2d(2, 4, 1)
        self.fc = nn.Linear(4 * 8 * 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(self.norm(self.mix(x))).flatten(1))


class Merged(nn.Module):
    """A reshape that moves filters into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1)
        self.mix = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.mix(self.a(x).reshape(x.size(0) * 8, -1))
        return out.view(x.size(0), 8, 3).sum(1)


TRICKY = (
    LinearOnWidth,
    FlattenedPixels,
    FlattenedPixelsByMethod,
    LinearBeforeFlatten,
    PooledAfterLinear,
    NormedAfterLinear,
    Merged,
    ReadTwice,
    Viewed,
)


@pytest.mark.parametrize("make", TRICKY, ids=lambda make: make.__name__)
def test_whatever_may_go_can_be_removed_physically(make: type[nn.Module]) -> None:
    """Masked = shrunk for every filter that is offered, in networks that tempt the analysis to offer too many."""
    torch.manual_seed(0)
    module = make()
    if not groups(module):
        return  # all filters stay: always safe
    network = tiny.network(module, SHAPE, "filter")
    images = torch.randn(20, *SHAPE)
    engine = Engine(network)
    rng = np.random.default_rng(0)
    for density in (0.3, 0.6, 0.9):
        mask = Masks.pack(rng.random((1, network.layout.total)) < density, network.layout)
        state = engine.masked(mask, network.module.state_dict())
        masked = next(engine.logits(mask, [network.module.state_dict()], engine.place(images)))
        with torch.inference_mode():
            prove(torch.from_numpy(masked), shrink(network, mask, state)(images))
