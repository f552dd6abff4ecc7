"""A trained torch module seen as prunable layers, and what a mask of some kind of units means for it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from ..errors import InputError
from ..mask import Group, Layout, Masks
from .acceptance import check
from .cut import Cut, Cutter, stages
from .inputs import Inputs, Shape
from .laid import laid_out
from .layers import survey
from .places import Places
from .state import digest
from .trace import behind, trace

PASSED = 2**26  # bytes of the largest layer's outputs for a batch, about
TRAINED = 2**30  # bytes of all that is kept for gradients of a batch, about
FEWEST = 8  # images of a batch, whatever they take
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class UnitKind(Protocol):
    """What a network asks of the kind of its units, a `pruneframe.Units`."""

    @property
    def name(self) -> str:
        """What they are called, as `weight`."""

    @property
    def removable(self) -> bool:
        """Whether units can be taken out physically."""

    def layout(self, network: Network) -> Layout:
        """The units of a network."""


class Network:
    """A module in evaluation mode, its prunable layers in forward order, and what a mask means for its parameters.

    `inputs` is one image, or its shape, such as (channels, height, width); `layout` is that of `units` unless it is
    given, such as one of which some groups were left out. `notes` say what could not be had, and why. Raises
    InputError when there is nothing to prune of the wanted units, and for a module that cannot be pruned as it is.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Inputs | Shape,
        units: UnitKind,
        layout: Layout | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        check(module)
        self.module = module.eval().requires_grad_(False)
        self.inputs = Inputs.of(inputs)
        self.units = units
        found = survey(self.module, self.inputs)
        self.layers, self.outputs, self.total_macs, self._rest = found.layers, found.outputs, found.macs, found.rest
        self.layout = layout or laid_out(lambda: units.layout(self), repr(units), self.module)
        others = (f"{other} cannot be pruned" for other in found.others)
        self.notes = tuple(dict.fromkeys([*notes, *others, *self.layout.notes]))
        if not self.layout.groups:
            kind = (
                "use units=weight" if self.layers and units.removable else "give one with convolutions or Linear layers"
            )
            reasons = "".join(f"; {note}" for note in self.layout.notes)
            raise InputError(f"the network has no prunable {units!r}s; {kind}{reasons}")

    @property
    def input_shape(self) -> Shape:
        """Of one image."""
        return self.inputs.shape

    def parameter(self, name: str) -> nn.Parameter:
        """A parameter by its name in the state dict."""
        return self.module.get_parameter(name)

    @cached_property
    def norms(self) -> dict[str, nn.Module]:
        """The batch-norm layers with running statistics, by name."""
        found = {name: m for name, m in self.module.named_modules() if isinstance(m, NORMS)}
        return {name: m for name, m in found.items() if m.running_mean is not None}

    def at_once(self, most: int, gradients: bool = False) -> int:
        """Images of a batch, at most so many, and fewer where the values of large ones would fill the memory.

        `gradients`: all layers' outputs are kept for them, about three times; else those of one layer count.
        """
        sizes = [4 * layer.outputs * layer.positions for layer in self.layers]
        fit = TRAINED // (3 * sum(sizes)) if gradients else PASSED // max(sizes)
        return min(most, max(FEWEST, fit))

    @cached_property
    def total_params(self) -> int:
        """All parameters of the dense network, biases and batch-norm scales included."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @property
    def original(self) -> Network:
        """The network that this one is a copy of for somebody; its parameters are the same."""
        return self

    def ran(self, passes: float) -> None:
        """Told of so many forward passes of one image by who computes them in the module's place."""

    def narrowed(self, groups: Sequence[Group], notes: Sequence[str] = ()) -> Network:
        """The same network with some of its groups of units alone, and more notes."""
        found = copy.copy(self)
        for derived in ("reach", "places"):
            found.__dict__.pop(derived, None)
        found.layout = replace(self.layout, groups=tuple(groups))
        found.notes = tuple(dict.fromkeys([*self.notes, *notes]))
        return found

    def twin(self, module: nn.Module) -> Network:
        """Another module of the same structure, which is not surveyed again, as a network of the same units."""
        found = copy.copy(self)
        for derived in [name for name in vars(self) if isinstance(getattr(Network, name, None), cached_property)]:
            del found.__dict__[derived]
        found.module = module.eval().requires_grad_(False)
        return found

    @cached_property
    def reach(self) -> float:
        """Share of all parameters that are removed where nothing of the layout is kept."""
        nothing = self.layout.full() - self.layout.full()
        return 1 - int(self.params(nothing)[0]) / self.total_params

    @cached_property
    def _traced(self) -> fx.GraphModule:
        return trace(self.module, self.inputs, "what stands behind a layer is told of")

    def norm_behind(self, layer: str) -> str | None:
        """The name of the batch norm right behind a layer; raises InputError if torch.fx cannot trace the module."""
        name, called = next(behind(self._traced, layer), ("", None))
        return name if isinstance(called, NORMS) else None

    def activation_behind(self, layer: str) -> str | None:
        """The first that follows a layer and its norm: a module's class or a function's name, as `ReLU` or `relu`.

        None where the next thing joins other tensors. Raises InputError if torch.fx cannot trace the module.
        """
        for name, called in behind(self._traced, layer):
            if not isinstance(called, NORMS):
                return name if called is None else type(called).__name__
        return None

    def share(self, start: int, stop: int) -> float:
        """Share of the dense network's multiply-adds that layers[start:stop] cost."""
        return sum(layer.weights * layer.positions for layer in self.layers[start:stop]) / self.total_macs

    @cached_property
    def cutter(self) -> Cutter:
        """Cuts the network into parts; raises InputError if torch.fx cannot trace it."""
        trace(self.module, self.inputs, "parts need")  # a record that computes something else is refused here
        return Cutter(self.module, [layer.name for layer in self.layers])

    @cached_property
    def cuts(self) -> tuple[Cut, ...]:
        """Where the network can be cut into parts; raises InputError if torch.fx cannot trace it."""
        return self.cutter.cuts(self.inputs)

    def entering(self, layer: int) -> Inputs:
        """What one image is where layer `layer` begins; raises InputError where the network cannot be cut there."""
        if layer == 0:
            return self.inputs
        shapes = {cut.layer: cut.shape for cut in self.cuts}
        if layer not in shapes:
            raise InputError(f"the network can be cut before layers {sorted(shapes)}, but got {layer}")
        return Inputs(shapes[layer])

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
        """What one mask keeps, as bool tensors of the shapes of the parameters that it touches, by parameter name."""
        return self.spread(torch.from_numpy(masks.unpack(row)))

    def spread(self, values: Tensor) -> dict[str, Tensor]:
        """One value per unit, [units], as factors of the shapes of the parameters, by name, as `Places` says."""
        return self.places.spread(values)

    @cached_property
    def places(self) -> Places:
        """Where units lie in parameters."""
        named = self.module.named_parameters(remove_duplicate=False)
        return Places(self.layout, {name: tuple(parameter.shape) for name, parameter in named})

    def structure(self, masks: Masks) -> Masks:
        """The masks with units put back where a group lost more than it can: what physically remains.

        torch has no convolution without channels, so a shrunk network keeps one filter there, all of it zero.
        Units that cannot be removed are returned as they are.
        """
        return self._structured(masks)[0]

    def _structured(self, masks: Masks) -> tuple[Masks, NDArray[np.int64]]:
        """The same, and behind it the units kept per group, int64[n, groups]."""
        counts = masks.layer_counts()
        lacking = np.flatnonzero((counts < self._least).any(axis=1)).tolist() if self.units.removable else []
        if not lacking:
            return masks, counts
        bits = masks.bits.copy()
        for row in lacking:
            kept = masks.unpack(row).copy()
            for group, part in zip(self.layout.groups, self.layout.split(kept), strict=True):
                part[np.flatnonzero(~part)[: max(0, group.least - np.count_nonzero(part))]] = True
            bits[row] = np.packbits(kept)
        whole = Masks(bits, self.layout)
        return whole, whole.layer_counts()

    @cached_property
    def _least(self) -> NDArray[np.int64]:
        """Units that each group keeps at least, int64[groups]."""
        return np.array([group.least for group in self.layout.groups])

    def widths(self, masks: Masks) -> NDArray[np.int64]:
        """Output and input channels of each prunable layer when the units are gone, int64[n, layers, 2].

        Both as in the weight's shape: input channels are those of a group, and come first if it is transposed. Units
        that cannot be removed change none.
        """
        rows = {layer.parameter: row for row, layer in enumerate(self.layers)}
        found = np.tile(np.array([layer.shape[:2] for layer in self.layers], dtype=np.int64), (len(masks), 1, 1))
        removed = np.array(self.layout.sizes) - self._structured(masks)[1]
        for column, group in enumerate(self.layout.groups if self.units.removable else ()):
            for part in group.slices:
                if part.parameter in rows:
                    found[:, rows[part.parameter], part.dim] -= removed[:, column] * part.width
        return found

    def layer_weights(self, masks: Masks) -> NDArray[np.int64]:
        """Weights that remain in each prunable layer, int64[n, layers]; of the shrunk network for removable units."""
        if not self.layout.single:
            return self._remaining(masks, tuple(layer.parameter for layer in self.layers))
        names = [layer.name for layer in self.layers]
        found = np.tile([layer.weights for layer in self.layers], (len(masks), 1))
        found[:, [names.index(name) for name in self.layout.names]] = masks.layer_counts()
        return found

    def params(self, masks: Masks) -> NDArray[np.int64]:
        """Parameters that remain, int64[n]: all that a mask does not remove, biases and batch norm included."""
        if self.layout.single:
            return self.total_params - self.layout.total + masks.counts()
        return self._remaining(masks, self._named).sum(axis=1)

    @cached_property
    def _named(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.module.named_parameters())

    def _remaining(self, masks: Masks, names: tuple[str, ...]) -> NDArray[np.int64]:
        """Entries of some parameters that remain, int64[n, names]."""
        real, counts = self._structured(masks)
        if self.places.alike:
            rows = [self.places.remaining_of(tuple(kept), names) for kept in counts.tolist()]
        else:
            rows = [self.places.remaining(torch.from_numpy(real.unpack(row)), names) for row in range(len(masks))]
        return np.array(rows, dtype=np.int64).reshape(len(masks), len(names))

    def macs(self, masks: Masks) -> NDArray[np.int64]:
        """Multiply-adds per image, int64[n]: remaining weights times positions, and those of what cannot be pruned.

        What cannot be pruned by itself may go with units all the same, as attention does with its branch.
        """
        own = sum(layer.weights * layer.positions for layer in self.layers)
        names = tuple(self._rest.keys() & self.places.parameters)
        whole = np.array([self.parameter(name).numel() for name in names], dtype=np.int64)
        each = np.array([self._rest[name] for name in names], dtype=np.int64)
        gone = (whole - self._remaining(masks, names)) * each // whole if names else np.zeros((len(masks), 0), np.int64)
        return self.layer_macs(masks).sum(axis=1) + (self.total_macs - own) - gone.sum(axis=1)

    def layer_macs(self, masks: Masks) -> NDArray[np.int64]:
        """The same for each prunable layer, int64[n, layers]."""
        return self.layer_weights(masks) * np.array([layer.positions for layer in self.layers], dtype=np.int64)


def single_weights(network: Network) -> tuple[Group, ...]:
    """Groups of which every unit is one weight: all weights of every prunable layer."""
    return tuple(layer.group(layer.weights) for layer in network.layers)
