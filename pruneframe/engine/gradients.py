"""Gradients by a network's own parameters, computed as fast as its size allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..model.network import Network
from .trainable import Trainable

PASSES = 3  # forward passes that an image counts as: the pass, and back, which is two
_PREPARED: WeakKeyDictionary[Network, Trainable] = WeakKeyDictionary()  # which takes as long as some hundred images


class Gradients:
    """By the parameters of these names, while no other tensors take their places; the network is left as it is.

    Batch norm stays in evaluation mode. A small network on a processor is run by the kernel, any other by torch, in
    float32.
    """

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        own, self._network = network.original, network
        if own not in _PREPARED:
            _PREPARED[own] = Trainable(own.module, own.inputs, own.total_macs, torch.preserve_format)
        by = {name: network.parameter(name).detach().requires_grad_() for name in names}
        self._forward, self._by = _PREPARED[own].bound(by), list(by.values())

    def __call__(self, images: Tensor, slopes: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """Of the parameters' shapes; `slopes` makes of the outputs for images [n, ...] the gradients by these."""
        self._network.ran(PASSES * len(images))
        done = self._forward(images)
        found = done.gradients(slopes(done.outputs.detach()), self._by)
        return [torch.zeros_like(one) if own is None else own for own, one in zip(found, self._by, strict=True)]
