"""The reconstruction score: the contract, and its greedy removal against a naive one."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruneframe.testing import check_scorer, tiny_problem
from pruneframe_plugins import reconstruction as module
from pruneframe_plugins.reconstruction import STEPS, Reconstruction, columns_of, observe, removal_damage

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_contract_holds(units: str) -> None:
    check_scorer(Reconstruction(), units)


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_every_unit_has_a_score_of_its_own_that_is_not_negative(units: str) -> None:
    problem = tiny_problem(units)
    network, images = tiny.load(problem).network, torch.from_numpy(problem.data.train.images)  # type: ignore[union-attr]
    scores = Reconstruction().score(network, images, torch.zeros(60), np.random.default_rng(0))
    assert scores.min() >= 0
    assert scores.max() == 1
    assert len(np.unique(scores)) > 0.9 * len(scores)


@settings(deadline=None)
@given(seeds, st.integers(1, 12))
def test_removal_is_greedy_and_damages_are_what_the_sums_lose(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, weights = rng.normal(0.5, 1, (k, 40)), rng.normal(size=(1, k))
    second = inputs @ inputs.T / 40
    damages = removal_damage(torch.from_numpy(weights), torch.from_numpy(second))[0].numpy()
    gone: list[int] = []
    lost = highest = 0.0
    for unit in np.argsort(damages, kind="stable"):
        left = [i for i in range(k) if i not in gone]
        losses = {i: np.mean((weights[0, [*gone, i]] @ inputs[[*gone, i]]) ** 2) for i in left}
        assert losses[int(unit)] <= min(losses.values()) + 1e-9
        highest = max(highest, losses[int(unit)] - lost)
        assert damages[unit] == pytest.approx(highest, rel=1e-3, abs=1e-9)
        gone, lost = [*gone, int(unit)], losses[int(unit)]


def test_weights_that_cancel_go_before_a_smaller_one_that_is_alone() -> None:
    second = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    damages = removal_damage(torch.tensor([[1.0, -1.01, 1.5]]), second)
    assert damages.argsort()[0].tolist() == [0, 1, 2]


def test_long_rows_lose_several_units_at_a_time() -> None:
    k = 2 * STEPS + 3
    weights = torch.rand(2, k, generator=torch.Generator().manual_seed(0))
    damages = removal_damage(weights, torch.eye(k))
    assert torch.isfinite(damages).all()
    ranks = damages.argsort().argsort() - weights.argsort().argsort()
    assert ranks.abs().max() < 3  # without correlations the smallest go first, but for the order within a step


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_wide_layers_are_looked_at_block_by_block(units: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = tiny_problem(units)
    network, images = tiny.load(problem).network, torch.from_numpy(problem.data.train.images)  # type: ignore[union-attr]

    def scores(block: int) -> np.ndarray:
        monkeypatch.setattr(module, "BLOCK", block)
        return Reconstruction().score(network, images, torch.zeros(60), np.random.default_rng(0))

    whole, wider, blocks = scores(2048), scores(4096), scores(20)
    assert np.array_equal(whole, wider)
    assert not np.array_equal(whole, blocks)
    assert np.corrcoef(whole, blocks)[0, 1] > 0.5


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2, dilation=2), nn.Linear(5, 3)]
)
def test_columns_are_what_the_weights_are_multiplied_with(layer: nn.Module) -> None:
    shape = (2, 5) if isinstance(layer, nn.Linear) else (2, 4, 7, 7)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    columns = columns_of(layer, inputs, np.random.default_rng(0))
    sums = layer.weight.flatten(1) @ columns + layer.bias[:, None]  # type: ignore[operator, union-attr, index]
    outputs = layer(inputs)
    flat = outputs.t() if outputs.dim() == 2 else outputs.flatten(2).transpose(0, 1).flatten(1)
    assert torch.allclose(sums.sort(dim=1)[0], flat.sort(dim=1)[0], atol=1e-5)


def test_grouped_convolutions_are_observed_group_by_group() -> None:
    module = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.Flatten(), nn.Linear(8 * 16, 3))
    network = tiny.network(module, (4, 6, 6))
    images = torch.randn(10, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    found = observe(network, network.layout.names, images, np.random.default_rng(0))
    assert [tuple(block.shape) for [block] in found["0"].second()] == [(18, 18), (18, 18)]
    assert found["0"].effect.shape == (8,)
    scores = Reconstruction().score(network, images, torch.zeros(10), np.random.default_rng(0))
    assert scores.shape == (network.layout.total,)
