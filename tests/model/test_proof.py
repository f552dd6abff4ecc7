"""What is tried before units are offered: networks that do without some of them, or fail in ways of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import network
from torch import Tensor, nn

from pruneframe import Masks
from pruneframe.errors import InputError
from pruneframe.model.shrink import proved_network, shrink
from pruneframe.testing import TinyNetwork


class Stubborn(nn.Module):
    """One group whose size is written out, one whose norm is another's too, and one that can go."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (
            nn.Conv2d(1, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(4, 6, 3, padding=1),
        )
        self.d, self.n, self.m = nn.Conv2d(6, 4, 3, padding=1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.m.weight, self.m.bias = self.n.weight, self.n.bias
        self.last = nn.Linear(4 * 16, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3] of images float32[n, 1, 4, 4]."""
        features = torch.relu(self.c(torch.relu(self.m(self.b(torch.relu(self.n(self.a(images))))))))
        return self.last(torch.relu(self.d(features)).view(-1, 4 * 16))


def test_what_cannot_be_taken_out_stays_and_is_told() -> None:
    whole = network(Stubborn(), (1, 4, 4), "filter")
    assert whole.layout.names == ("a", "c", "d")  # the same scales go with both
    found = proved_network(whole)
    assert found.layout.names == ("c",)
    assert [note.partition(" stay")[0] for note in found.notes] == [f"the filters of {name}" for name in "ad"]
    assert "n.weight and m.weight are one parameter" in found.notes[0]
    assert "must run without its units" in found.notes[1]
    assert found.params(found.layout.full())[0] == sum(parameter.numel() for parameter in found.module.parameters())


def test_a_network_that_does_without_all_of_them_is_left_as_it_is() -> None:
    whole = network(TinyNetwork(), (2, 6, 6), "filter")
    assert proved_network(whole) is whole
    single = network(TinyNetwork(), (2, 6, 6), "weight")
    assert proved_network(single) is single


class Fixed(nn.Module):
    """Its only filters feed a view whose size is written out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3] of images float32[n, 1, 4, 4]."""
        return self.last(torch.relu(self.conv(images)).view(-1, 64))


def test_where_nothing_can_be_taken_out_it_is_refused() -> None:
    with pytest.raises(InputError, match="no filters that can be taken out; the filters of conv stay"):
        proved_network(network(Fixed(), (1, 4, 4), "filter"))


class Either(nn.Module):
    """Does without filters of one layer or the other, and not of both."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3] of images float32[n, 1, 4, 4]."""
        if self.a.out_channels < 4 and self.b.out_channels < 4:
            raise RuntimeError("one must stay whole")
        return self.last(torch.relu(self.b(torch.relu(self.a(images)))).flatten(1))


def test_what_can_go_alone_must_go_together_too() -> None:
    with pytest.raises(InputError, match=r"filters that can be taken out must be so together, but: .*one must stay"):
        proved_network(network(Either(), (1, 4, 4), "filter"))


class Counted(nn.Module):
    """Fails in a way of its own where a layer has fewer filters than it was written for."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.failure = failure
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)
        self.last = nn.Linear(80, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3] of images float32[n, 1, 4, 4]."""
        if self.a.out_channels < 4:
            raise self.failure
        return self.last(torch.relu(self.b(torch.relu(self.a(images)))).flatten(1))


@pytest.mark.parametrize("failure", [AssertionError(), IndexError("index 3 is out of bounds"), ValueError("four")])
def test_however_a_network_fails_its_filters_stay(failure: Exception) -> None:
    found = proved_network(network(Counted(failure), (1, 4, 4), "filter"))
    assert found.layout.names == ("b",)
    told = str(failure) or type(failure).__name__
    assert found.notes == (f"the filters of a stay: the network must run without its units, but: {told}",)


class AsksForChannels(nn.Module):
    """Divides by how many channels there are: it runs without some, and predicts something else."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(16, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3] of images float32[n, 1, 4, 4]."""
        features = self.a(images)
        return self.last(self.b(features / features.size(1)).flatten(1))


def test_filters_whose_number_counts_stay() -> None:
    found = proved_network(network(AsksForChannels(), (1, 4, 4), "filter"))
    assert found.layout.names == ("b",)
    assert "the filters of a stay: a shrunk network must predict what the masked one does" in found.notes[0]


def test_few_groups_of_many_channels_are_resized_whatever_is_left_of_them() -> None:
    """With one channel left in each group, they look like many groups of few."""
    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 6, 1, groups=2), nn.Flatten(), nn.Linear(24, 3))
    whole = network(module, (1, 4, 4), "filter")
    assert whole.layout.sizes == (4, 3)
    keep = np.array([[True, False, False, False, True, False, False]])
    small = shrink(whole, Masks.pack(keep, whole.layout), module.state_dict())
    assert (small[1].groups, small[1].in_channels, small[1].out_channels) == (2, 2, 2)
    assert small[1].weight.shape == (2, 1, 1, 1)
    small(torch.zeros(1, 1, 4, 4))


class Squeezed(nn.Module):
    """Does not run with a single channel, whose dimension `squeeze` takes away."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.a(x)).squeeze(1)
        return self.b(x).mean((2, 3))


def test_where_the_last_unit_is_missed_two_remain() -> None:
    found = proved_network(network(Squeezed(), (2, 6, 6), "filter"))
    assert ([group.least for group in found.layout.groups], found.notes) == ([2], ())
    none = Masks.pack(np.zeros((2, 4), dtype=bool), found.layout)
    one = Masks.pack(np.array([[False, False, True, False]] * 2), found.layout)
    assert found.structure(none).unpack(0).tolist() == [True, True, False, False]
    assert found.structure(one).unpack(1).tolist() == [True, False, True, False]
    shrink(found, one[[0]], found.module.state_dict())(torch.zeros(3, 2, 6, 6))
