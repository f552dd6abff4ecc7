"""The bundled scorers: the contract, and naive versions of their formulas."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe.engine import kernel, trainable
from pruneframe.errors import InputError
from pruneframe.model import network as network_module
from pruneframe.model.network import Network
from pruneframe.model.state import digest
from pruneframe.scorer import Scorer
from pruneframe.testing import check_scorer, tiny_problem
from pruneframe_plugins.scorers import (
    L2,
    BnScale,
    Fisher,
    Fpgm,
    Lamp,
    Magnitude,
    Random,
    Snip,
    Taylor,
    pruneframe_scorers,
)
from pruneframe_problems.lenet import SmallLeNet

UNITS = ("weight", "filter")
FILTERS_ONLY = (Fpgm, BnScale)
ANYWHERE = [kind for kind in pruneframe_scorers() if kind not in FILTERS_ONLY]


class Normed(nn.Module):
    """A batch norm behind every convolution; 6x6 images of two channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 30, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(30)
        self.conv2 = nn.Conv2d(30, 4, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4 * 36, 3)

    def forward(self, images: Tensor) -> Tensor:
        inside = F.relu(self.bn1(self.conv1(images)))
        return self.linear(torch.flatten(F.relu(self.bn2(self.conv2(inside))), 1))


def normed(units: str) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = Normed()
        for norm in (module.bn1, module.bn2):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    return tiny.network(module, (2, 6, 6), units)


def tiny_network(units: str) -> Network:
    return tiny.load(tiny_problem(units)).network


def batch_of(n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(n, 2, 6, 6, generator=generator), torch.randint(0, 3, (n,), generator=generator)


def scored(scorer: Scorer, network: Network, n: int = 1) -> np.ndarray:
    return scorer.score(network, *batch_of(n), np.random.default_rng(0))


def per_layer(network: Network, tensors: dict[str, Tensor]) -> list[np.ndarray]:
    """One value a weight as float64[units, weights of a unit] of every layer of the layout."""
    arrays = [tensors[f"{name}.weight"].detach().double().numpy() for name in network.layout.names]
    return [a.reshape(-1, 1) if network.layout.single else a.reshape(len(a), -1) for a in arrays]


def weights_of(network: Network) -> list[np.ndarray]:
    return per_layer(network, dict(network.module.named_parameters()))


def gradients_of(network: Network, images: Tensor, labels: Tensor) -> list[np.ndarray]:
    """Gradient of the mean cross-entropy over these images, by backward() on a copy in float64."""
    module = copy.deepcopy(network.module).double().requires_grad_(True)
    F.cross_entropy(module(images.double()), labels).backward()
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return per_layer(network, gradients)


def products(network: Network, n: int, batch: int) -> Iterator[list[np.ndarray]]:
    """Weight times gradient, batch by batch: float64[units, weights of a unit] of every layer."""
    images, labels = batch_of(n)
    for x, y in zip(images.split(batch), labels.split(batch), strict=True):
        yield [w * g for w, g in zip(weights_of(network), gradients_of(network, x, y), strict=True)]


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", ANYWHERE)
def test_the_contract_holds(kind: type[Scorer], units: str) -> None:
    check_scorer(kind(), units)


def test_the_contract_holds_for_filters_alone() -> None:
    check_scorer(Fpgm(), "filter")


@pytest.mark.parametrize("kind", pruneframe_scorers())
def test_scores_are_finite_float32_and_leave_the_network_as_it_was(kind: type[Scorer]) -> None:
    network = normed("filter")
    before = digest(network.module.state_dict())
    scores = scored(kind(), network, 30)
    assert scores.dtype == np.float32
    assert scores.shape == (34,)
    assert np.all(np.isfinite(scores))
    assert np.all(scores >= 0)
    assert digest(network.module.state_dict()) == before
    assert not network.module.training
    assert not any(p.requires_grad or p.grad is not None for p in network.module.parameters())


@pytest.mark.parametrize("units", UNITS)
def test_magnitude_is_the_mean_absolute_weight(units: str) -> None:
    network = tiny_network(units)
    naive = np.concatenate([np.abs(w).mean(axis=1) for w in weights_of(network)])
    assert scored(Magnitude(), network) == pytest.approx(naive, rel=1e-6)


@pytest.mark.parametrize("units", UNITS)
def test_l2_is_the_mean_squared_weight(units: str) -> None:
    network = tiny_network(units)
    naive = np.concatenate([(w**2).mean(axis=1) for w in weights_of(network)])
    assert scored(L2(), network) == pytest.approx(naive, rel=1e-6)


@pytest.mark.parametrize("units", UNITS)
def test_lamp_divides_by_all_that_are_not_smaller(units: str) -> None:
    network = tiny_network(units)
    naive = []
    for layer in weights_of(network):
        squares = (layer**2).sum(axis=1)
        naive += [u / sum(v for v in squares if v >= u) for u in squares]
    assert scored(Lamp(), network) == pytest.approx(naive, rel=1e-5)


def test_the_largest_unit_of_every_layer_has_lamp_1() -> None:
    network = tiny_network("weight")
    assert [part.max() for part in network.layout.split(scored(Lamp(), network))] == [1] * len(network.layers)


def test_lamp_of_a_layer_of_zeros_is_finite() -> None:
    network = tiny_network("filter")
    with torch.no_grad():
        network.parameter("conv1.weight").zero_()
    assert np.all(scored(Lamp(), network)[5:12] == 0)


def test_fpgm_is_the_mean_distance_to_the_other_filters() -> None:
    network = normed("filter")  # 30 filters: torch.cdist takes another way from 26 on
    naive = []
    for layer in weights_of(network):
        for own, weights in enumerate(layer):
            others = [filter for i, filter in enumerate(layer) if i != own]
            # per weight, as a root mean square, so that filters of different sizes can be compared
            naive.append(np.mean([np.sqrt(np.mean((weights - other) ** 2)) for other in others]))
    assert scored(Fpgm(), network) == pytest.approx(naive, rel=1e-4)


def test_the_replaceable_filter_has_the_lowest_fpgm() -> None:
    network = tiny_network("filter")
    with torch.no_grad():
        weights = network.parameter("conv1.weight")
        weights[3] = weights[[0, 1, 2, 4, 5, 6]].mean(dim=0)
    assert scored(Fpgm(), network)[5:12].argmin() == 3


def test_bn_scale_is_the_absolute_scale_of_the_batch_norm() -> None:
    network = normed("filter")
    naive = torch.cat([network.parameter("bn1.weight").abs(), network.parameter("bn2.weight").abs()])
    assert np.array_equal(scored(BnScale(), network), naive.numpy())


@pytest.mark.parametrize("kind", FILTERS_ONLY)
def test_scores_of_filters_are_refused_for_weights(kind: type[Scorer]) -> None:
    with pytest.raises(InputError, match=rf"{kind.name!r} is not defined for single weights; use units=filter"):
        scored(kind(), normed("weight"))


def test_bn_scale_is_refused_where_a_layer_has_no_batch_norm() -> None:
    with pytest.raises(InputError, match=r"batch norm after every prunable layer, but 'conv3' has none"):
        scored(BnScale(), tiny_network("filter"))


@pytest.mark.parametrize("units", UNITS)
def test_taylor_is_the_squared_product_of_weight_and_gradient(units: str) -> None:
    network, total = tiny_network(units), 0.0
    for batch in products(network, 230, batch=100):
        total = total + np.concatenate([layer.sum(axis=1) for layer in batch]) ** 2
    naive = total / np.max(total)
    assert scored(Taylor(), network, 230) == pytest.approx(naive, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("units", UNITS)
def test_fisher_is_half_the_squared_product_in_small_batches(units: str) -> None:
    network, total = tiny_network(units), 0.0
    for batch in products(network, 40, batch=10):
        total = total + np.concatenate([0.5 * (layer**2).sum(axis=1) for layer in batch])
    naive = total / np.max(total)
    assert scored(Fisher(), network, 40) == pytest.approx(naive, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("n", [60, 200, 130])
@pytest.mark.parametrize("units", UNITS)
def test_snip_is_the_absolute_product_for_the_loss_over_all_images(units: str, n: int) -> None:
    network = tiny_network(units)
    [whole] = products(network, n, batch=n)
    naive = np.concatenate([np.abs(layer).sum(axis=1) for layer in whole])
    assert scored(Snip(), network, n) == pytest.approx(naive, rel=1e-3, abs=1e-6)


def test_snip_is_what_finite_differences_say() -> None:
    network, step = tiny_network("weight"), 1e-5
    images, labels = batch_of(50)
    module = copy.deepcopy(network.module).double()
    weights = module.get_parameter("conv2.weight").flatten()
    start = network.layout.slices[network.layout.names.index("conv2")].start
    scores = scored(Snip(), network, 50)

    def loss_with(position: int, change: float) -> float:
        with torch.no_grad():
            weights[position] += change
            loss = F.cross_entropy(module(images.double()), labels).item()
            weights[position] -= change
        return loss

    for position in range(0, 60, 5):
        slope = (loss_with(position, step) - loss_with(position, -step)) / (2 * step)
        assert scores[start + position] == pytest.approx(abs(slope * weights[position].item()), rel=1e-2, abs=1e-7)


def test_random_scores_follow_the_generator_alone() -> None:
    network = tiny_network("weight")
    images, labels = batch_of(1)
    first, again, other = (Random().score(network, images, labels, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("kind", pruneframe_scorers())
def test_only_scorers_that_look_at_images_are_charged(kind: type[Scorer]) -> None:
    expected = (1000, 3) if kind in (Taylor, Snip, Fisher) else (0, 0)  # a forward, and a backward that counts twice
    assert (kind.images, kind.passes) == expected


@pytest.mark.parametrize("name", ["taylor", "snip"])
def test_gradients_of_large_images_are_added_up_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, network = tiny.lookup(Scorer, name), tiny_network("weight")
    wanted = scored(scorer, network, 100)
    monkeypatch.setattr(network_module, "TRAINED", 0)
    assert network.at_once(100, gradients=True) == 8
    assert scored(scorer, network, 100) == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.skipif(kernel() is None, reason="the kernel is not built")
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("name", ["taylor", "snip", "fisher"])
def test_the_kernel_scores_as_torch_does(name: str, units: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, found = tiny.lookup(Scorer, name), []
    images = torch.randn(230, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for small in (trainable.SMALL, 0):
        monkeypatch.setattr(trainable, "SMALL", small)
        torch.manual_seed(0)
        network = tiny.network(SmallLeNet(), (1, 8, 8), units)
        found.append(scorer.score(network, images, torch.arange(230) % 10, np.random.default_rng(0)))
    by_kernel, by_torch = found
    assert not np.array_equal(by_kernel, by_torch)  # two ways indeed
    assert by_kernel == pytest.approx(by_torch, rel=0, abs=1e-5 * float(by_torch.max()))


def test_a_scorer_may_ask_torch_itself() -> None:
    @dataclass(frozen=True, repr=False)
    class Own(Scorer):
        """What anybody may write."""

        name = "own"
        images = 100
        passes = 3

        def score(self, network: Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> np.ndarray:
            module = copy.deepcopy(network.module).requires_grad_(True)
            F.cross_entropy(module(images), labels).backward()
            found = [network.parameter(name) * module.get_parameter(name).grad for name in behind]
            return torch.cat([product.flatten() for product in found]).abs().numpy()

    network = tiny_network("weight")
    behind = [f"{name}.weight" for name in network.layout.names]
    assert scored(Own(), network, 100) == pytest.approx(scored(Snip(), network, 100), rel=1e-3, abs=1e-6)
