"""Training a module on images with stochastic gradient descent, weights that a mask removed kept at zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .augmentation import augmented
from .recipe import Recipe
from .rows import Source

PROBE = 16  # images by whose outputs a training is seen to have diverged
FUSED = ("cpu", "cuda")  # devices on which torch has one operation for a whole step of SGD


@dataclass(frozen=True, eq=False)
class Aim:
    """What a module learns: its images' labels int64[n], and, `alpha` times, to be near a target.

    Labels are told from what `judge`, which does not learn, makes of the outputs; None: from the outputs. Nearness is
    the mean squared distance of the outputs to `target` [n, ...].
    """

    labels: Tensor
    judge: Callable[[Tensor], Tensor] | None = None
    target: Source | None = None
    alpha: float = 1.0

    def loss(self, outputs: Tensor, rows: Tensor, smoothing: float = 0.0) -> Tensor:
        """Of a batch: cross-entropy with its labels, smoothed, and what the distance adds."""
        logits = outputs if self.judge is None else self.judge(outputs)
        value = F.cross_entropy(logits, self.labels[rows], label_smoothing=smoothing)
        return value if self.target is None else value + self.alpha * F.mse_loss(outputs, self.target[rows])


class Steps(Protocol):
    """Steps of SGD, of which it takes so many `at_once`."""

    at_once: int

    def __call__(self, batches: Sequence[Tensor], rates: Sequence[float]) -> float:
        """Train on batches of rows, at a rate each; the sum of their mean losses, each times its images."""


Keep = Mapping[str, Tensor]  # what stays of parameters, bool, by name
Start = Callable[[Source, Aim, Recipe, Keep], Steps]  # steps on images as epochs see them


def train(
    module: nn.Module,
    images: Source,
    aim: Aim | Tensor,
    recipe: Recipe,
    seed: int,
    keep: Keep | None = None,
    steps: Start | None = None,
    resume: Callable[[torch.Generator], int] | None = None,
    progress: Callable[[int, float], None] | None = None,
    tell: Callable[[float], None] | None = None,
) -> None:
    """Train in place; what `keep` (bool tensors by parameter name) removes stays exactly zero.

    images [n, ...] as the module reads them; an `aim` that is a tensor are their labels. `steps` makes the steps on
    these images, and is torch's own SGD where it is not given. The same seed and thread count give the same weights.
    `progress` is called after every epoch with its number and mean loss, `tell` after some steps with the share done.
    `resume` is called before the first step: it may put all back as it was after some epoch, the generator behind
    order and augmentation and torch's own included, and returns how many epochs are done. The module ends in evaluation
    mode, and with what it began with where training has diverged: where its outputs, or norms of its weights, are no
    longer finite.
    """
    aim = aim if isinstance(aim, Aim) else Aim(aim)
    keep, device = keep or {}, aim.labels.device
    with torch.no_grad():
        for parameter, mask in masks(module, keep).items():
            parameter.mul_(mask)
    start = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    module.train().requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    taken = (steps or partial(TorchSteps, module))(augmented(images, recipe, generator), aim, recipe, keep)
    batches = math.ceil(len(images) / recipe.batch)
    whole = recipe.epochs * batches
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # dropout draws from torch's own generator
        for epoch in range(resume(generator) if resume else 0, recipe.epochs):
            order = torch.randperm(len(images), generator=generator).to(device)
            rows = order.tensor_split(batches)  # even batches: batch norm cannot train on a last batch of one
            total = 0.0
            for first in range(0, batches, taken.at_once):
                part = rows[first : first + taken.at_once]
                done = epoch * batches + first
                total += taken(part, [recipe.rate((done + step) / whole) for step in range(len(part))])
                if tell:
                    tell((done + len(part)) / whole)
            if progress:
                progress(epoch + 1, total / len(images))
    module.eval().requires_grad_(False)
    if _diverged(module, start, images[torch.arange(min(len(images), PROBE), device=device)]):
        module.load_state_dict(start)


def _diverged(module: nn.Module, start: Mapping[str, Tensor], batch: Tensor) -> bool:
    """Whether a square of a number or an output is not finite; a buffer may hold infinities all along, as masks do."""
    now = module.state_dict()
    if any(bool((tensor.isfinite() & ~now[name].square().isfinite()).any()) for name, tensor in start.items()):
        return True
    with torch.no_grad():
        return not bool(module(batch).isfinite().all())


def masks(module: nn.Module, keep: Keep) -> dict[nn.Parameter, Tensor]:
    """1 for what stays of a parameter and 0 for what is pruned, float32, of those that lose anything."""
    found = {module.get_parameter(name): kept for name, kept in keep.items()}
    return {parameter: kept.to(parameter.device).float() for parameter, kept in found.items()}


class Pass(Protocol):
    """A module's outputs for a batch, [n, ...], from which one can go back once."""

    outputs: Tensor

    def gradients(self, slopes: Tensor, of: Sequence[Tensor]) -> Sequence[Tensor | None]:
        """By some of its parameters, where those by the outputs are `slopes`; None by what the outputs do not use."""


class TorchPass:
    """Outputs that torch computed, as a pass."""

    def __init__(self, outputs: Tensor) -> None:
        self.outputs = outputs

    def gradients(self, slopes: Tensor, of: Sequence[Tensor]) -> Sequence[Tensor | None]:
        return torch.autograd.grad(self.outputs, list(of), slopes, allow_unused=True)


class TorchSteps:
    """Torch's SGD, on outputs float32 that `forward` computes, or the module itself."""

    at_once = 1

    def __init__(
        self,
        module: nn.Module,
        images: Source,
        aim: Aim,
        recipe: Recipe,
        keep: Keep,
        forward: Callable[[Tensor], Pass] | None = None,
    ) -> None:
        self._images, self._aim, self._smoothing = images, aim, recipe.label_smoothing
        self._kept = masks(module, keep)
        self._forward = forward or (lambda batch: TorchPass(module(batch)))
        self._parameters = list(module.parameters())
        self._optimiser = torch.optim.SGD(
            self._parameters,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
            fused=aim.labels.device.type in FUSED,
        )

    def __call__(self, batches: Sequence[Tensor], rates: Sequence[float]) -> float:
        return sum(self._step(rows, rate) * len(rows) for rows, rate in zip(batches, rates, strict=True))

    @property
    def velocities(self) -> dict[nn.Parameter, Tensor]:
        """What momentum carries from step to step, of each parameter that has had a gradient."""
        held = {parameter: self._optimiser.state[parameter].get("momentum_buffer") for parameter in self._parameters}
        return {parameter: velocity for parameter, velocity in held.items() if velocity is not None}

    @velocities.setter
    def velocities(self, given: Mapping[nn.Parameter, Tensor]) -> None:
        for parameter, velocity in given.items():
            self._optimiser.state[parameter]["momentum_buffer"] = _laid_out(velocity, parameter)

    def _step(self, rows: Tensor, rate: float) -> float:
        self._optimiser.param_groups[0]["lr"] = rate
        done = self._forward(self._images[rows])
        outputs = done.outputs.detach().requires_grad_()
        loss = self._aim.loss(outputs, rows, self._smoothing)
        (slopes,) = torch.autograd.grad(loss, outputs)
        for parameter, gradient in zip(self._parameters, done.gradients(slopes, self._parameters), strict=True):
            parameter.grad = None if gradient is None else _laid_out(gradient, parameter)
        self._optimiser.step()
        self._optimiser.zero_grad()
        with torch.no_grad():
            for parameter, mask in self._kept.items():  # momentum and weight decay may move a pruned weight
                parameter.mul_(mask)
        return loss.item()


def _laid_out(gradient: Tensor, parameter: Tensor) -> Tensor:
    """A gradient in its parameter's layout, by which torch's fused SGD goes through both."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
