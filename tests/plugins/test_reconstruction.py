"""The reconstruction score: the contract, and its greedy removal against a naive one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from kinds import problem_of
from torch import nn

from pruneframe import InputError
from pruneframe.testing import check_scorer, tiny_problem
from pruneframe_plugins import reconstruction as module
from pruneframe_plugins.reconstruction import STEPS, Reconstruction, columns_of, observe, open_up, removal_damage

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
    ("layer", "sizes"),
    [
        (nn.Conv2d(4, 6, 3, padding=1), (7, 7)),
        (nn.Conv2d(4, 6, 3, stride=2, dilation=2), (7, 7)),
        (nn.Linear(4, 3), ()),
        (nn.Conv1d(4, 6, 3, stride=2, dilation=2, padding=1), (9,)),
        (nn.Conv3d(4, 6, 2, stride=(1, 2, 1), padding=(0, 1, 0)), (3, 4, 3)),
        (nn.ConvTranspose1d(4, 6, 3, stride=2, dilation=2, padding=3, output_padding=1), (9,)),
        (nn.ConvTranspose2d(4, 6, (3, 2), stride=(1, 2), padding=(2, 0)), (5, 4)),
        (nn.ConvTranspose3d(4, 6, 2, stride=1, padding=1), (4, 4, 4)),
    ],
)
def test_columns_are_what_the_weights_are_multiplied_with(layer: Any, sizes: tuple[int, ...]) -> None:
    inputs = torch.randn(2, 4, *sizes, generator=torch.Generator().manual_seed(0))
    columns = columns_of(layer, inputs, np.random.default_rng(0))
    weights = layer.weight.transpose(0, 1) if getattr(layer, "transposed", False) else layer.weight
    sums = weights.flatten(1) @ columns + layer.bias[:, None]
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


class Undrawn:
    """Instead of a generator: the same, however often others were asked for something."""

    def permutation(self, n: int) -> np.ndarray:
        return np.arange(n)

    def choice(self, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return values[np.arange(np.prod(shape)) % 2].reshape(shape)


def test_grouped_transposed_convolutions_have_scores_in_the_order_of_their_weights() -> None:
    """One in groups and two beside one another, each with half of the weights, score alike."""
    layer = nn.ConvTranspose2d(4, 6, 3, groups=2)
    halves = [nn.ConvTranspose2d(2, 3, 3), nn.ConvTranspose2d(2, 3, 3)]
    for number, half in enumerate(halves):
        half.weight, half.bias = (
            nn.Parameter(part.detach().clone())
            for part in (layer.weight[2 * number : 2 * number + 2], layer.bias[3 * number : 3 * number + 3])  # type: ignore[index]
        )
    last = nn.Linear(6 * 25, 3)

    class Apart(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other, self.last = *halves, last

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            both = torch.cat([self.one(images[:, :2]), self.other(images[:, 2:])], dim=1)
            return self.last(both.flatten(1))  # type: ignore[no-any-return] # Modules

    images = torch.randn(10, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    networks = [tiny.network(m, (4, 3, 3)) for m in (nn.Sequential(layer, nn.Flatten(), last), Apart())]
    found = [Reconstruction().score(one, images, torch.zeros(10), Undrawn()) for one in networks]  # type: ignore[arg-type]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize("first", [True, False])
def test_attention_whose_projections_are_called_computes_the_same(first: bool) -> None:
    for width, biased in ((8, True), (6, False)):
        attention = nn.MultiheadAttention(
            8, 2, bias=biased, kdim=width, vdim=width, batch_first=first, add_bias_kv=biased
        )
        attention.eval()
        inputs = [torch.randn(3, 5, size) if first else torch.randn(5, 3, size) for size in (8, width, width)]
        masks = {"key_padding_mask": torch.arange(5)[None] > torch.tensor([[2], [3], [4]])}
        masks |= {"attn_mask": torch.ones(5, 5, dtype=torch.bool).triu(1)}
        expected = attention(*inputs, **masks)
        open_up(attention)
        for one, other in zip(expected, attention(*inputs, **masks), strict=True):
            assert torch.allclose(one, other, atol=1e-6)


def test_the_parts_of_a_packed_projection_are_told_apart() -> None:
    """Values alone reach the outputs where every key is the same: what makes queries and keys scores nothing."""
    problem = problem_of("tokens")
    network = tiny.load(problem).network
    tokens = torch.full((10, 6), 3)
    scores = Reconstruction().score(network, tokens, torch.zeros(10), np.random.default_rng(0))
    queries, keys, values = network.layout.split(scores)[0].reshape(3, 64)
    assert max(queries.max(), keys.max()) < 1e-6 < np.median(values)


def test_layers_that_nobody_calls_are_refused() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.in_proj, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.last(nn.functional.linear(rows, self.in_proj.weight))  # type: ignore[no-any-return] # Modules

    network = tiny.network(Functional(), (4,))
    with pytest.raises(
        InputError, match="needs layers that are called, but 'in_proj' is not; use the scorer magnitude"
    ):
        Reconstruction().score(network, torch.randn(5, 4), torch.zeros(5), np.random.default_rng(0))
