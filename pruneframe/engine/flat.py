"""All weights of a module in one row of floats, so that a mask is applied to all of them at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..model.network import Network
from ..model.state import State

ALIGNMENT = 64  # floats: every tensor begins at a multiple of 256 bytes, as torch's own do on a GPU


class Flat:
    """Where the float32 parameters and buffers of a module lie in a row of `size` floats, in its memory format."""

    def __init__(self, module: nn.Module) -> None:
        self.size = 0
        self._places: dict[str, tuple[torch.Size, tuple[int, ...], int]] = {}  # shape, strides, start
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.dtype == torch.float32:
                self._places[name] = tensor.shape, torch.empty_like(tensor).stride(), self.size
                self.size += -(-tensor.numel() // ALIGNMENT) * ALIGNMENT

    def views(self, rows: Tensor) -> State:
        """The tensors that rows [..., size] stand for, each [..., *shape], by name; they share the rows' memory."""
        lead, steps, first = rows.shape[:-1], rows.stride()[:-1], rows.storage_offset()
        return {
            name: rows.as_strided((*lead, *shape), (*steps, *strides), first + start)
            for name, (shape, strides, start) in self._places.items()
        }

    def row(self, state: State) -> Tensor:
        """A state as one row, float32[size] on the CPU."""
        row = torch.zeros(self.size)
        for name, view in self.views(row).items():
            view.copy_(state[name])
        return row

    def needs(self, network: Network) -> Tensor:
        """The units that each float of a row needs to be kept, int64[1 or 2, size]; units.total stands for none."""
        levels = [torch.full((self.size,), network.layout.total)]
        seen: Counter[str] = Counter()
        for name, units in _needs(network):
            if seen[name] == len(levels):
                levels.append(levels[0].new_full((self.size,), network.layout.total))
            self.views(levels[seen[name]])[name].copy_(units)
            seen[name] += 1
        return torch.stack(levels)


def _needs(network: Network) -> Iterator[tuple[str, Tensor]]:
    """Parameters with the unit that each entry needs; one that needs two, as a filter and its input, comes twice."""
    none = network.layout.total
    for group, own in zip(network.layout.groups, network.layout.slices, strict=True):
        units = torch.arange(own.start, own.stop)
        if not group.slices:
            yield group.parameter, units.reshape(group.shape)
        for part in network.places.slices(group):
            shape = network.parameter(part.parameter).shape
            along = torch.full((shape[part.dim],), none)
            along[torch.from_numpy(part.along(group.size))] = units[:, None]
            view = along.reshape([-1 if i == part.dim else 1 for i in range(len(shape))])
            yield part.parameter, view.expand(shape)
