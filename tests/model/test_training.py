"""Training: the same for the same seed, torch's own SGD, and what is pruned stays zero."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import load
from torch import Tensor, nn

from pruneframe import Recipe
from pruneframe.model.state import digest
from pruneframe.model.training import train
from pruneframe.testing import tiny_problem

RECIPE = Recipe(epochs=3, learning_rate=0.05, batch=16)


def tiny() -> tuple[nn.Module, Tensor, Tensor]:
    """A module of its own, with the training images and labels of the tiny problem."""
    loaded = load(tiny_problem())
    data = loaded.data
    return copy.deepcopy(loaded.network.module), data.tensor(data.train), torch.from_numpy(data.train.labels)


def mean_loss(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return F.cross_entropy(module(images), labels).item()


def random_keep(module: nn.Module) -> dict[str, Tensor]:
    """Half of the entries of some weights, a bias and a batch-norm scale."""
    generator = torch.Generator().manual_seed(0)
    names = ("conv1.weight", "conv1.bias", "bn1.weight", "linear.weight")
    return {name: torch.rand(module.get_parameter(name).shape, generator=generator) < 0.5 for name in names}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    digests = []
    for seed in (1, 1, 2):
        module, images, labels = tiny()
        torch.manual_seed(len(digests))  # the state of torch's own generator must not matter
        train(module, images, labels, RECIPE, seed)
        digests.append(digest(module.state_dict()))
    assert digests[0] == digests[1] != digests[2]


def test_the_same_seed_gives_the_same_weights_with_dropout() -> None:
    digests = []
    for noise in (1, 2):
        module, images, labels = tiny()
        module.flatten = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))
        torch.manual_seed(noise)
        train(module, images, labels, RECIPE, seed=1)
        digests.append(digest(module.state_dict()))
    assert digests[0] == digests[1]


def test_training_leaves_torchs_own_generator_alone() -> None:
    module, images, labels = tiny()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    train(module, images, labels, RECIPE, seed=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        Recipe(epochs=2, learning_rate=0.5, momentum=0.99, weight_decay=0.1, batch=7),
        Recipe(epochs=2, learning_rate=0.1, momentum=0.0, weight_decay=0.0),
    ],
    ids=["usual", "wild", "plain"],
)
def test_pruned_weights_are_exactly_zero_after_training(recipe: Recipe) -> None:
    module, images, labels = tiny()
    keep = random_keep(module)
    before = copy.deepcopy(module.state_dict())
    train(module, images, labels, recipe, seed=0, keep=keep)
    for name, parameter in module.named_parameters():
        kept = keep.get(name, torch.ones_like(parameter, dtype=torch.bool))
        assert not parameter[~kept].any()
        if name.endswith("weight"):  # a bias in front of a batch norm has no gradient
            assert (parameter[kept] != before[name][kept]).any()


def test_a_pruned_weight_has_no_influence_on_the_others() -> None:
    """What it was before training must be forgotten at once, momentum included."""
    digests = []
    for factor in (1.0, 100.0):
        module, images, labels = tiny()
        keep = random_keep(module)
        with torch.no_grad():
            for name, kept in keep.items():
                module.get_parameter(name).mul_(torch.where(kept, 1.0, factor))
        train(module, images, labels, RECIPE, seed=0, keep=keep)
        digests.append(digest(module.state_dict()))
    assert digests[0] == digests[1]


def test_training_follows_torchs_sgd_on_a_cosine() -> None:
    """One full batch an epoch, so that the order of images matters only through rounding."""
    recipe = Recipe(epochs=4, learning_rate=0.1, momentum=0.9, weight_decay=1e-2, batch=1000)
    module, images, labels = tiny()
    expected = copy.deepcopy(module).train().requires_grad_(True)
    optimiser = torch.optim.SGD(expected.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for epoch in range(4):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 + np.cos(np.pi * epoch / 4)) / 2
        optimiser.zero_grad()
        F.cross_entropy(expected(images), labels).backward()
        optimiser.step()
    train(module, images, labels, recipe, seed=0)
    for found, wanted in zip(module.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


def test_the_loss_falls() -> None:
    module, images, labels = tiny()
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.reset_parameters()
    before = mean_loss(module, images, labels)
    train(module, images, labels, Recipe(epochs=20, learning_rate=0.05, batch=16), seed=0)
    assert mean_loss(module, images, labels) < 0.5 * before


def test_progress_hears_of_every_epoch_with_its_mean_loss() -> None:
    module, images, labels = tiny()
    heard: list[tuple[int, float]] = []
    train(module, images, labels, RECIPE, seed=0, progress=lambda epoch, loss: heard.append((epoch, loss)))
    assert [epoch for epoch, _ in heard] == [1, 2, 3]
    assert all(np.isfinite(loss) and loss > 0 for _, loss in heard)
    module, images, labels = tiny()
    still = copy.deepcopy(module).train()
    with torch.no_grad():
        expected = F.cross_entropy(still(images), labels).item()
    heard.clear()
    one = Recipe(epochs=1, learning_rate=0.0, weight_decay=0.0, batch=1000)
    train(module, images, labels, one, seed=0, progress=lambda epoch, loss: heard.append((epoch, loss)))
    assert heard[0][1] == pytest.approx(expected, rel=1e-4)


def test_the_module_ends_ready_for_evaluation() -> None:
    module, images, labels = tiny()
    train(module, images, labels, RECIPE, seed=0)
    assert not any(part.training for part in module.modules())
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert not module(images).requires_grad


def test_any_number_of_images_fits_into_batches() -> None:
    """A last batch of one image, and a batch norm that takes none."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(72, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    _, images, labels = tiny()
    before = digest(module.state_dict())
    train(module, images[:17], labels[:17], Recipe(batch=16), seed=0)
    assert digest(module.state_dict()) != before


@pytest.mark.parametrize("rate", [1e4, 1e30])
def test_a_training_that_diverges_leaves_the_weights_as_they_were_and_zeros_zero(rate: float) -> None:
    module, images, labels = tiny()
    keep, before = random_keep(module), copy.deepcopy(module.state_dict())
    train(module, images.mul_(1e3), labels, Recipe(epochs=2, learning_rate=rate, batch=16), seed=1, keep=keep)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name] * keep[name] if name in keep else before[name])


def test_a_buffer_of_infinities_is_no_divergence() -> None:
    module, images, labels = tiny()
    module.register_buffer("mask", torch.full((2,), -torch.inf))
    before = digest(module.state_dict())
    train(module, images, labels, RECIPE, seed=1)
    assert digest(module.state_dict()) != before
