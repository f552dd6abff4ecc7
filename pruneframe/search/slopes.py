"""Slopes: how fast a pruned network's outputs leave the unpruned network's with a factor before each unit."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..engine import Trainable, memory_format, pair
from ..model.data import Data
from ..model.network import Network

CHUNK = 100  # images at once: more fall out of a processor's cache, and take longer each
WHOLE = 1 << 28  # bytes of training images, or of outputs for them, that are kept as the network reads them


class Slopes:
    """Of the divergence of outputs, on training images, on one device.

    `bfloat16` multiplies in it, but for a small network, which the kernel runs in float32: slopes are noisy anyway, and
    no number that is reported comes from these passes. Not where statistics shift (`shifted`): their differences are
    too small for it.
    """

    def __init__(
        self, network: Network, data: Data, device: torch.device, shifted: bool = False, bfloat16: bool = False
    ) -> None:
        self._network = network
        self._data = data
        self._shifted = shifted
        layout, macs = memory_format(network), math.inf if shifted else network.total_macs
        unpruned = copy.deepcopy(network.module).to(device)
        pruned = copy.deepcopy(unpruned) if shifted else unpruned  # where the factors alone make the difference
        if shifted:
            pair(unpruned, pruned)
        self._pruned = Trainable(pruned, network.inputs, macs, layout, bfloat16 and not shifted)
        self._unpruned = Trainable(unpruned, network.inputs, macs, layout) if shifted else self._pruned
        self._parameters = {name: p.detach() for name, p in pruned.named_parameters()}
        self._chunk = network.at_once(CHUNK, gradients=True)
        self.device = device

    @property
    def images(self) -> int:
        """Training images that there are."""
        return len(self._data.train)

    def __call__(self, factors: Tensor, rows: NDArray[np.int64], known: bool = False) -> tuple[Tensor, float]:
        """Summed over some training images, float32[units], at the factors given; and how far the outputs lie away.

        That is the total variation between the two networks' chances of classes, from 0 to 1, the mean over the images.
        `known`: the unpruned network's outputs for all training images are computed once and kept, as pays where all
        are looked at; not where statistics shift with every batch.
        """
        masked, slopes_by = self._masked(factors)
        known = known and not self._shifted and self.images * self._network.outputs * 4 <= WHOLE
        total: list[Tensor] = []
        distance = torch.zeros((), device=self.device)
        for chunk in torch.from_numpy(rows).tensor_split(math.ceil(len(rows) / self._chunk)):
            images = self._read(chunk)
            wanted = self._known[chunk.to(self.device)] if known else self._chances(images)
            done = self._pruned.forward(images, masked)
            away = done.outputs.detach().softmax(dim=1) - wanted  # the divergence's derivative by an output
            distance += away.abs().sum()
            found = _given(done.gradients(away, list(masked.values())), masked.values())
            total = [one + other for one, other in zip(total, found, strict=True)] if total else found
        return slopes_by(total), float(distance) / 2 / len(rows)

    def _masked(self, factors: Tensor) -> tuple[dict[str, Tensor], Callable[[list[Tensor]], Tensor]]:
        """Parameters times their factors, and what makes slopes by the factors of gradients by those parameters."""
        if self._network.layout.single:
            parts = (self._weights * factors).split(self._network.layout.sizes)
            groups = self._network.layout.groups
            masked = {
                group.parameter: part.view(group.shape).requires_grad_()
                for group, part in zip(groups, parts, strict=True)
            }
            return masked, lambda found: torch.cat([one.flatten() for one in found]) * self._weights
        factors = factors.detach().requires_grad_()
        spread = self._network.spread(factors)
        products = {name: self._parameters[name] * factor for name, factor in spread.items()}
        leaves = {name: product.detach().requires_grad_() for name, product in products.items()}
        return leaves, lambda found: torch.autograd.grad(list(products.values()), factors, found)[0]

    @cached_property
    def _weights(self) -> Tensor:
        """All units, where each is one weight."""
        return torch.cat([self._parameters[group.parameter].flatten() for group in self._network.layout.groups])

    def _chances(self, images: Tensor) -> Tensor:
        """What the unpruned network gives each class, float32[n, classes]."""
        with torch.no_grad():
            return self._unpruned(images).softmax(dim=1)

    @cached_property
    def _known(self) -> Tensor:
        """The same for all training images, in their order."""
        chunks = torch.arange(self.images).tensor_split(math.ceil(self.images / self._chunk))
        return torch.cat([self._chances(self._read(chunk)) for chunk in chunks])

    def _read(self, rows: Tensor) -> Tensor:
        if self._all is not None:
            return self._all[rows.to(self.device)]
        return self._pruned.placed(self._data.tensor(self._data.train.take(rows.numpy())))

    @cached_property
    def _all(self) -> Tensor | None:
        """All training images as the network reads them, where they are few."""
        if self.images * math.prod(self._data.input_shape) * 4 > WHOLE:
            return None
        return self._pruned.placed(self._data.tensor(self._data.train))


def _given(gradients: Iterable[Tensor | None], of: Iterable[Tensor]) -> list[Tensor]:
    """Zeros by what has no gradient."""
    return [torch.zeros_like(by) if one is None else one for one, by in zip(gradients, of, strict=True)]
