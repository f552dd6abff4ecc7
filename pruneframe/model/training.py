"""Training a module on images with stochastic gradient descent, weights that a mask removed kept at zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .rows import Source


@dataclass(frozen=True)
class Recipe:
    """How to train by SGD; the learning rate follows one cosine from `learning_rate` to 0.

    `batch` is the images of a step; `momentum` and `weight_decay` are torch's.
    """

    epochs: int = 1
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 128
    images: int | None = None  # how many training images an epoch uses; None: all


def train(
    module: nn.Module,
    images: Source,
    labels: Tensor,
    recipe: Recipe,
    seed: int,
    keep: dict[str, Tensor] | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    progress: Callable[[int, float], None] | None = None,
    tell: Callable[[float], None] | None = None,
) -> None:
    """Train in place; what `keep` (bool tensors by parameter name) removes stays exactly zero.

    images [n, ...] as the module reads them, labels int64[n]. `loss` is given a batch's outputs and its rows int64[b]
    and defaults to cross-entropy with the labels. The same seed and thread count give the same weights.
    `progress` is called after every epoch with its number and mean loss, `tell` after every step with the share done.
    The module ends in evaluation mode.
    """
    generator = torch.Generator().manual_seed(seed)
    kept = {module.get_parameter(name): mask.to(labels.device) for name, mask in (keep or {}).items()}
    parameters = list(module.parameters())
    optimiser = torch.optim.SGD(
        parameters, lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    batches = math.ceil(len(images) / recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs * batches)
    module.train().requires_grad_(True)
    _zero(kept)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # dropout draws from torch's own generator
        for epoch in range(recipe.epochs):
            order = torch.randperm(len(images), generator=generator).to(labels.device)
            total = 0.0
            # Even batches: batch norm cannot train on a last batch of one.
            for step, rows in enumerate(order.tensor_split(batches), 1):
                optimiser.zero_grad(set_to_none=True)
                outputs = module(images[rows])
                value = loss(outputs, rows) if loss else F.cross_entropy(outputs, labels[rows])
                value.backward()
                optimiser.step()
                _zero(kept)
                schedule.step()
                total += value.item() * len(rows)
                if tell:
                    tell((epoch + step / batches) / recipe.epochs)
            if progress:
                progress(epoch + 1, total / len(images))
    module.eval().requires_grad_(False)


def _zero(kept: dict[nn.Parameter, Tensor]) -> None:
    """Momentum and weight decay may move a pruned weight; put it back after every step."""
    with torch.no_grad():
        for parameter, mask in kept.items():
            parameter.mul_(mask)
