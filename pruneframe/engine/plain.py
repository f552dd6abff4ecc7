"""Torch's own forward pass: weights written in place, images as one tensor, channels last."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..mask import Masks
from ..model.cut import Cutter
from ..model.network import Network
from ..model.precision import bfloat16, precision
from ..model.rows import Source, Stream
from ..model.state import State
from .batch_norm import shifted_statistics, statistics
from .trainable import Trainable

SMALL_BATCH = 512  # of a small network, whose layers the kernel runs one after the other
BATCH = 125  # larger batches of CIFAR images fall out of the processor's cache

_formats: WeakKeyDictionary[Network, torch.memory_format] = WeakKeyDictionary()  # of networks that were tried


class Plain:
    """Computes outputs of masked networks on one device: in float32, or, `rounded`, in torch's bfloat16.

    `calibration` are the images behind batch_norm=shifted, [n, ...]; None for frozen.
    """

    def __init__(self, network: Network, device: str = "cpu", calibration: Source | None = None) -> None:
        self.network = network
        self.device = torch.device(device)
        self.batch = network.at_once(BATCH)
        self._format = memory_format(network)
        self._module = copy.deepcopy(network.module).to(self.device).to(memory_format=self._format)
        self._calibration = None if calibration is None else self.place(calibration)
        self._parts: dict[tuple[int, int, bool], Trainable] = {}
        self._loaded: State | None = None
        self._unmasked_statistics: State = {}

    def place(self, images: Source) -> Source:
        """Images on this engine's device and in its memory format; do it once per set of images.

        A stream's come there whenever they are read.
        """
        return images.then(self._placed) if isinstance(images, Stream) else self._placed(images)

    def _placed(self, images: Tensor) -> Tensor:
        return images.to(self.device).contiguous(memory_format=self._format)

    def logits(
        self, masks: Masks, states: Sequence[State], images: Source, rounded: bool = False
    ) -> Iterator[NDArray[np.float32]]:
        """Outputs float32[images, classes] of each candidate in turn; states[i] are the weights under masks[i]."""
        for row, state in enumerate(states):
            with torch.inference_mode(), precision(tf32=False):
                self._apply(masks, row, state)
                with bfloat16(self.device, rounded):  # clones: a network may write into what it is given
                    outputs = torch.cat([self._module(batch.clone()) for batch in images.split(self.batch)])
            yield outputs.float().cpu().numpy()

    def outputs(
        self, mask: Masks, state: State, features: Source, start: int, stop: int, rounded: bool = False
    ) -> Iterator[Tensor]:
        """What one candidate's layers[start:stop] make of the features that enter them, batch by batch.

        Batches stay on the device. All must have been taken before another candidate is computed.
        """
        part = self._part(start, stop, rounded)
        with torch.inference_mode(), precision(tf32=False):
            self._apply(mask, 0, state)
        size = SMALL_BATCH if part.kernel else self.batch
        for batch in features.split(size):
            with torch.inference_mode(), precision(tf32=False):
                yield part(batch if part.kernel else batch.to(self.device, copy=True))

    def _part(self, start: int, stop: int, rounded: bool) -> Trainable:
        key = start, stop, rounded
        if key not in self._parts:
            inputs, macs = self.network.entering(start), self.network.share(start, stop) * self.network.total_macs
            self._parts[key] = Trainable(self._cutter.part(start, stop), inputs, macs, self._format, rounded)
        return self._parts[key]

    @cached_property
    def _cutter(self) -> Cutter:
        """Its parts share the module's parameters, so masks that are written into the module hold in them."""
        return Cutter(self._module, [layer.name for layer in self.network.layers])

    def shifted(self, mask: Masks, state: State) -> State:
        """The running statistics that pruning moves, by buffer name; none where they are frozen."""
        if self._calibration is None:
            return {}
        with torch.inference_mode(), precision(tf32=False):
            self._apply(mask, 0, state)
            own = self._module.state_dict()
            names = [f"{name}.{value}" for name in self.network.norms for value in ("running_mean", "running_var")]
            return {name: own[name].clone() for name in names}

    def masked(self, mask: Masks, state: State) -> State:
        """The state of one masked network, on the CPU: zeros in place, statistics shifted where they are."""
        with torch.inference_mode(), precision(tf32=False):
            self._apply(mask, 0, state)
            return {
                name: tensor.detach().cpu().contiguous().clone() for name, tensor in self._module.state_dict().items()
            }

    def _apply(self, masks: Masks, row: int, state: State) -> None:
        """Make the module the masked network, statistics included."""
        own = self._module.state_dict()
        keep = self.network.keep(masks, row)
        if state is not self._loaded:
            self._load(state, own)
        for name, kept in keep.items():
            torch.mul(state[name].to(self.device), kept.to(self.device), out=own[name])
        if self._calibration is not None:
            self._set_statistics(
                shifted_statistics(
                    self.network,
                    state,
                    self._unmasked_statistics,
                    statistics(self._module, self._calibration),
                )
            )

    def _load(self, state: State, own: State) -> None:
        """Other weights: all tensors are copied, and their unmasked batch statistics measured once."""
        for name, tensor in own.items():
            tensor.copy_(state[name])
        if self._calibration is not None:
            self._unmasked_statistics = statistics(self._module, self._calibration)
        self._loaded = state

    def _set_statistics(self, values: State) -> None:
        own = self._module.state_dict()
        for name, tensor in values.items():
            own[name].copy_(tensor)


def memory_format(network: Network) -> torch.memory_format:
    """Channels last, the faster one, unless the network cannot read it (`view` wants torch's default) or errs in it.

    torch 2.15 does on processors: a convolution of one channel whose output is one pixel wide gives anything at all, at
    some numbers of images and threads. So one channel is never laid out that way, and the others are tried, once.
    """
    if network not in _formats:
        _formats[network] = _tried_format(network)
    return _formats[network]


def _tried_format(network: Network) -> torch.memory_format:
    if len(network.input_shape) != 3:  # there are no channels last but of images
        return torch.contiguous_format
    if any(isinstance(module, nn.Conv2d) and module.in_channels == 1 for module in network.module.modules()):
        return torch.contiguous_format
    device = next(network.module.parameters()).device
    images = network.inputs.random(4).to(device)
    module = copy.deepcopy(network.module)
    with torch.inference_mode(), precision(tf32=False):
        expected = module(images)
        try:
            found = module.to(memory_format=torch.channels_last)(images.contiguous(memory_format=torch.channels_last))
        except RuntimeError:
            return torch.contiguous_format
    spread = float(expected.max() - expected.min())
    agree = torch.allclose(found, expected, rtol=0, atol=1e-4 * spread)
    return torch.channels_last if agree else torch.contiguous_format
