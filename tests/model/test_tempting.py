"""Networks that tempt one to offer channels that are none: features last, pixels as many as channels."""

from __future__ import annotations

import pytest
import torch.nn.functional as F
from followed import check, followed
from torch import Tensor, nn

from pruneframe import InputError


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


TRICKY = {
    LinearOnWidth: ("8 channels of a stay: all of them go together",),
    FlattenedPixels: ("4 channels of a stay: all of them go together",),
    FlattenedPixelsByMethod: ("4 channels of a stay: all of them go together",),
    LinearBeforeFlatten: (),
    PooledAfterLinear: ("8 channels of mix stay: all of them go together",),
    NormedAfterLinear: ("2 channels of mix stay: all of them go together",),
}


@pytest.mark.parametrize("make", TRICKY, ids=lambda make: make.__name__)
def test_whatever_may_go_can_be_removed_physically(make: type[nn.Module]) -> None:
    """In networks that tempt the analysis to offer too many."""
    network = followed(make())
    assert network.notes == TRICKY[make]
    check(network)


def test_channels_that_become_images_stay() -> None:
    with pytest.raises(InputError, match="4 channels of a stay: all of them go together"):
        followed(Merged())
