"""A trained torch module seen as prunable layers, with units of two sizes: weights, or filters inside a block."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .cut import Cut, Cutter, stages
from .errors import InputError
from .graph import FilterGroup, filter_groups
from .mask import Layout, Masks, Units

PRUNABLE = (nn.Conv2d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class Layer:
    """A prunable layer; its multiply-adds are (weights) x (positions)."""

    name: str
    weights: int
    positions: int  # output pixels of a convolution, 1 for a linear layer; summed over calls when it runs twice
    convolutional: bool


class Network:
    """A module in evaluation mode, its prunable layers in forward order, and what a mask means for its parameters.

    `input_shape` is that of one image, (channels, height, width). Raises InputError when there is nothing to prune at
    the wanted granularity, when two layers share their weights, or when the module does not run on such an image.
    """

    def __init__(self, module: nn.Module, input_shape: tuple[int, ...], units: Units) -> None:
        self.module = module.eval().requires_grad_(False)
        self.input_shape = input_shape
        self.layers, self.outputs = _layers(self.module, input_shape)
        _check_apart(self.module, self.layers)
        self.groups: tuple[FilterGroup, ...] = ()
        if units == "filter":
            self.groups = filter_groups(self.module, [layer.name for layer in self.layers], input_shape)
            sizes = [(group.layer, self.parameter(f"{group.layer}.weight").shape[0]) for group in self.groups]
        else:
            sizes = [(layer.name, layer.weights) for layer in self.layers]
        if not sizes:
            raise InputError(f"the network has no prunable {units}s; give one with Conv2d or Linear layers")
        names, counts = zip(*sizes, strict=True)
        self.layout = Layout(units, names, counts)

    def parameter(self, name: str) -> nn.Parameter:
        """A parameter by its name in the state dict."""
        return self.module.get_parameter(name)

    @cached_property
    def norms(self) -> dict[str, nn.Module]:
        """The batch-norm layers with running statistics, by name."""
        found = {name: m for name, m in self.module.named_modules() if isinstance(m, NORMS)}
        return {name: m for name, m in found.items() if m.running_mean is not None}

    @cached_property
    def total_params(self) -> int:
        """All parameters of the dense network, biases and batch-norm scales included."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @cached_property
    def total_macs(self) -> int:
        """Multiply-adds of the dense network's prunable layers for one image."""
        return sum(layer.weights * layer.positions for layer in self.layers)

    def share(self, start: int, stop: int) -> float:
        """Share of the dense network's multiply-adds that layers[start:stop] cost."""
        return sum(layer.weights * layer.positions for layer in self.layers[start:stop]) / self.total_macs

    @cached_property
    def cuts(self) -> tuple[Cut, ...]:
        """Where the network can be cut into parts; raises InputError if torch.fx cannot trace it."""
        return Cutter(self.module, [layer.name for layer in self.layers]).cuts(self.input_shape)

    @property
    def stages(self) -> tuple[int, ...]:
        """The cuts at which the resolution changes, as layer numbers; raises InputError as `cuts` does."""
        resolutions = [layer.positions if layer.convolutional else None for layer in self.layers]
        return stages(resolutions, [cut.layer for cut in self.cuts])

    @cached_property
    def digest(self) -> str:
        """32 hex digits over names, shapes and values of all parameters and buffers."""
        return digest(self.module.state_dict())

    def keep(self, masks: Masks, row: int) -> dict[str, Tensor]:
        """What one mask keeps, as bool tensors of the shapes of the parameters that it touches, by parameter name.

        Weights: the weights of every prunable layer. Filters: also the filter's bias, its batch-norm scale and shift,
        and the inputs of the layers that read it.
        """
        return self.spread(torch.from_numpy(masks.unpack(row)))

    def spread(self, units: Tensor) -> dict[str, Tensor]:
        """One value per unit, [units], as factors of the shapes of the parameters that the units are made of, by name.

        A weight that belongs to two filters, as output of one and input of another, has the product of their values.
        """
        parts = units.split(self.layout.sizes)
        if self.layout.units == "weight":
            names = [f"{name}.weight" for name in self.layout.names]
            return {name: part.view(self.parameter(name).shape) for name, part in zip(names, parts, strict=True)}
        spread: dict[str, Tensor] = {}

        def narrow(name: str, values: Tensor, dim: int) -> None:
            shape = self.parameter(name).shape
            view = values.reshape([-1 if i == dim else 1 for i in range(len(shape))])
            spread[name] = spread.get(name, torch.ones(shape, dtype=units.dtype, device=units.device)) * view

        for group, values in zip(self.groups, parts, strict=True):
            for name in group.vectors:
                narrow(name, values, 0)
            for name, repeat in group.readers:
                narrow(name, values.repeat_interleave(repeat), 1)
        return spread

    def structure(self, masks: Masks) -> Masks:
        """The masks with one filter put back where a layer lost all of them: what physically remains.

        torch has no convolution without channels, so a shrunk network keeps one filter there, all of it zero.
        Weights are returned as they are.
        """
        if self.layout.units == "weight":
            return masks
        rows = []
        for row in range(len(masks)):
            kept = masks.unpack(row).copy()
            for part in self.layout.split(kept):
                part[0] |= not part.any()
            rows.append(kept)
        return Masks.pack(np.array(rows, dtype=bool).reshape(len(masks), self.layout.total), self.layout)

    def widths(self, masks: Masks) -> NDArray[np.int64]:
        """Output and input channels of each prunable layer when the filters are gone, int64[n, layers, 2].

        Input channels are those of a group, as in the weight's shape. Weights that are removed change none.
        """
        rows = {layer.name: row for row, layer in enumerate(self.layers)}
        dense = [self.parameter(f"{layer.name}.weight").shape[:2] for layer in self.layers]
        found = np.tile(np.array(dense, dtype=np.int64), (len(masks), 1, 1))
        kept = self.structure(masks).layer_counts()
        for column, group in enumerate(self.groups):
            for name in group.vectors:
                if name.removesuffix(".weight") in rows:
                    found[:, rows[name.removesuffix(".weight")], 0] = kept[:, column]
            for name, repeat in group.readers:
                found[:, rows[name.removesuffix(".weight")], 1] = kept[:, column] * repeat
        return found

    def layer_weights(self, masks: Masks) -> NDArray[np.int64]:
        """Weights that remain in each prunable layer, int64[n, layers]; of the shrunk network for filters."""
        if self.layout.units == "weight":
            return masks.layer_counts()
        return self._remaining(masks, [f"{layer.name}.weight" for layer in self.layers])

    def _remaining(self, masks: Masks, names: list[str]) -> NDArray[np.int64]:
        real = self.structure(masks)
        counts = np.empty((len(masks), len(names)), dtype=np.int64)
        for row in range(len(masks)):
            keep = self.keep(real, row)
            counts[row] = [int(keep[name].sum()) if name in keep else self.parameter(name).numel() for name in names]
        return counts

    def params(self, masks: Masks) -> NDArray[np.int64]:
        """Parameters that remain, int64[n]: all that a mask does not remove, biases and batch norm included."""
        if self.layout.units == "weight":
            return self.total_params - self.layout.total + masks.counts()
        names = [name for name, _ in self.module.named_parameters()]
        return self._remaining(masks, names).sum(axis=1)

    def macs(self, masks: Masks) -> NDArray[np.int64]:
        """Multiply-adds per image, int64[n]: remaining weights times output positions."""
        return self.layer_macs(masks).sum(axis=1)

    def layer_macs(self, masks: Masks) -> NDArray[np.int64]:
        """The same for each prunable layer, int64[n, layers]."""
        return self.layer_weights(masks) * np.array([layer.positions for layer in self.layers], dtype=np.int64)


def digest(state: dict[str, Tensor]) -> str:
    """32 hex digits over names, shapes and values of a state dict."""
    total = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(state.items()):
        total.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def _check_apart(module: nn.Module, layers: Sequence[Layer]) -> None:
    """Raise InputError where two layers share their weights: a mask of one would prune the other."""
    owners: dict[nn.Parameter, str] = {}
    for layer in layers:
        other = owners.setdefault(module.get_parameter(f"{layer.name}.weight"), layer.name)
        if other != layer.name:
            raise InputError(f"layers must not share weights, but {other} and {layer.name} do; give each its own")


def _layers(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[tuple[Layer, ...], int]:
    """Run one blank image: the layers in the order of their calls, with the positions they compute, and the outputs."""
    positions: dict[str, int] = {}

    def note(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(layer: nn.Module, inputs: object, output: Tensor) -> None:
            size = math.prod(output.shape[2:]) if isinstance(layer, nn.Conv2d) else math.prod(output.shape[1:-1])
            positions[name] = positions.get(name, 0) + size

        return hook

    hooks = [m.register_forward_hook(note(name)) for name, m in module.named_modules() if isinstance(m, PRUNABLE)]
    try:
        with torch.inference_mode():
            out = module(torch.zeros(1, *input_shape, device=next(module.parameters()).device))
    except Exception as error:  # a network may fail in any way
        reason = str(error).splitlines()[0] if str(error) else "it has no parameters"
        raise InputError(f"the network must run on one image of shape {input_shape}, but: {reason}") from error
    finally:
        for hook in hooks:
            hook.remove()
    if out.dim() != 2:
        raise InputError(f"the network must give one row of outputs per image, but gives {list(out.shape)}")
    layers = []
    for name, n in positions.items():
        convolutional = isinstance(module.get_submodule(name), nn.Conv2d)
        layers.append(Layer(name, module.get_parameter(f"{name}.weight").numel(), n, convolutional))
    return tuple(layers), int(out.shape[1])
