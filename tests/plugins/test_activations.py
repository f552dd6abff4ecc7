"""Scores by what runs through a network, beside naive computations on the whole of it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe.errors import InputError
from pruneframe.model.network import Network
from pruneframe.scorer import Scorer
from pruneframe.testing import check_scorer, tiny_attention
from pruneframe_plugins.activations import ApoZ, Chip, HRank, Wanda

OF_MAPS = (HRank, Chip, ApoZ)


class Small(nn.Module):
    """Two convolutions, of which one is normed, pooling, and two linear layers; 6x6 images of two channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 4, 3, padding=1)
        self.fc1 = nn.Linear(4 * 9, 8)
        self.fc2 = nn.Linear(8, 3)

    def first(self, images: Tensor) -> Tensor:
        return F.relu(self.bn1(self.conv1(images)))

    def second(self, images: Tensor) -> Tensor:
        return F.relu(self.conv2(self.first(images)))

    def pooled(self, images: Tensor) -> Tensor:
        return torch.flatten(F.max_pool2d(self.second(images), 2), 1)

    def hidden(self, images: Tensor) -> Tensor:
        return F.relu(self.fc1(self.pooled(images)))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc2(self.hidden(images))


def small(units: str = "filter") -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = Small()
        nn.init.normal_(module.bn1.bias)
    return tiny.network(module, (2, 6, 6), units)


def images_of(n: int = 70) -> Tensor:
    return torch.randn(n, 2, 6, 6, generator=torch.Generator().manual_seed(2))


def scored(scorer: Scorer, network: Network, images: Tensor) -> list[np.ndarray]:
    scores = scorer.score(network, images, torch.zeros(len(images), dtype=torch.int64), np.random.default_rng(0))
    return network.layout.split(scores)


@pytest.mark.parametrize("kind", OF_MAPS)
def test_the_contract_holds(kind: type[Scorer]) -> None:
    check_scorer(kind(), "filter")


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_contract_of_wanda_holds(units: str) -> None:
    check_scorer(Wanda(), units)


@pytest.mark.parametrize("kind", OF_MAPS)
def test_feature_maps_are_of_filters(kind: type[Scorer]) -> None:
    with pytest.raises(InputError, match="single weights"):
        kind().check(small("weight"))
    with pytest.raises(InputError, match=kind.name):
        kind().check(tiny.load(tiny_attention("head")).network)


def test_hrank_is_the_mean_rank_behind_the_relu() -> None:
    network, images = small(), images_of()
    module: Small = copy.deepcopy(network.module)  # type: ignore[assignment]
    found = scored(HRank(), network, images)
    for own, maps in zip(found, (module.first(images), module.second(images)), strict=False):
        naive = [np.mean([np.linalg.matrix_rank(one.numpy()) for one in maps[:, c]]) / 6 for c in range(maps.shape[1])]
        assert own == pytest.approx(naive)
    hidden = (module.hidden(images) > 0).double().mean(dim=0).numpy()
    assert found[2] == pytest.approx(hidden)


def test_apoz_counts_zeros_where_they_are_read() -> None:
    network, images = small(), images_of()
    module: Small = copy.deepcopy(network.module)  # type: ignore[assignment]
    found = scored(ApoZ(), network, images)
    wanted = (
        (module.first(images) != 0).double().mean(dim=(0, 2, 3)),
        (module.pooled(images).reshape(len(images), 4, 9) != 0).double().mean(dim=(0, 2)),
        (module.hidden(images) != 0).double().mean(dim=0),
    )
    for own, naive in zip(found, wanted, strict=True):
        assert own == pytest.approx(naive.numpy())
    assert found[0].min() < found[0].max()


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 1)])
def test_chip_is_what_the_nuclear_norm_loses(shape: tuple[int, int]) -> None:
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(3))
    found = Chip._losses(rows).numpy()
    whole = np.linalg.norm(rows.double().numpy(), "nuc")
    for row, loss in enumerate(found):
        left = rows.double().numpy().copy()
        left[row] = 0
        assert loss == pytest.approx((whole - np.linalg.norm(left, "nuc")) / whole, abs=1e-6)


def test_a_channel_that_is_another_one_is_less_independent() -> None:
    rows = torch.eye(4, 9)
    rows[1] = rows[0]
    losses = Chip._losses(rows)
    assert losses[0] == pytest.approx(losses[1].item())
    assert losses[0] < losses[2]
    assert Chip._losses(torch.zeros(3, 5)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_wanda_is_the_weight_times_the_root_mean_square_of_its_input(units: str) -> None:
    network, images = small(units), images_of()
    module: Small = copy.deepcopy(network.module)  # type: ignore[assignment]
    found = dict(zip(network.layout.names, scored(Wanda(), network, images), strict=True))
    unfolded = {
        "conv1": F.unfold(images, 3, padding=1).square().mean(dim=(0, 2)),
        "conv2": F.unfold(module.first(images), 3, padding=1).square().mean(dim=(0, 2)),
        "fc1": module.pooled(images).square().mean(dim=0),
        "fc2": module.hidden(images).square().mean(dim=0),
    }
    assert set(found) <= set(unfolded)
    for name, own in found.items():
        weight = network.parameter(f"{name}.weight").detach().flatten(1)
        naive = weight.abs() * unfolded[name].sqrt()
        assert own == pytest.approx((naive.flatten() if units == "weight" else naive.mean(dim=1)).numpy(), rel=1e-4)
