"""Places: where the units of a layout lie in parameters, and what one value for each unit is there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ..mask import Group, Layout, Slices

Shape = tuple[int, ...]
Along = dict[str, dict[int, Tensor]]  # by parameter and dimension


class Places:
    """The entries of parameters, whose `shapes` are given by name, that a layout's units are made of.

    Slices of anything else, as of buffers, hold no weights that could be pruned.
    """

    def __init__(self, layout: Layout, shapes: dict[str, Shape]) -> None:
        self._layout = layout
        self._shapes = shapes
        self._parts = [
            [(part.parameter, part.dim, torch.from_numpy(part.along(group.size))) for part in self.slices(group)]
            for group in layout.groups
        ]

    def slices(self, group: Group) -> Iterator[Slices]:
        """The slices of a group that are of parameters."""
        return (part for part in group.slices if part.parameter in self._shapes)

    @property
    def parameters(self) -> frozenset[str]:
        """The parameters that slices are of."""
        return frozenset(name for parts in self._parts for name, _, _ in parts)

    def spread(self, values: Tensor) -> dict[str, Tensor]:
        """One value per unit, [units], as factors of the shapes of the parameters that the units are made of, by name.

        An entry that belongs to two units, as output of one filter and input of another, has the product of theirs.
        """
        found = self._whole(values)
        for name, dims in self._along(values).items():
            shape = self._shapes[name]
            factor = found.get(name, values.new_ones(shape))
            for dim, along in dims.items():
                factor = factor * along.reshape([-1 if i == dim else 1 for i in range(len(shape))])
            found[name] = factor
        return found

    def remaining(self, kept: Tensor, names: Iterable[str]) -> list[int]:
        """How many entries of some parameters remain where units are kept, bool[units]."""
        whole, along = self._whole(kept), self._along(kept)
        found = []
        for name in names:
            if name in whole:
                found.append(int(self.spread(kept)[name].sum()))
                continue
            dims = along.get(name, {})
            untouched = math.prod(self._shapes[name]) // math.prod(len(one) for one in dims.values())
            found.append(untouched * math.prod(int(one.sum()) for one in dims.values()))
        return found

    def _whole(self, values: Tensor) -> dict[str, Tensor]:
        """The factors of single weights, of whole parameters."""
        own = zip(self._layout.groups, values.split(self._layout.sizes), strict=True)
        return {group.parameter: part.view(group.shape) for group, part in own if not group.slices}

    def _along(self, values: Tensor) -> Along:
        """The factors of places along dimensions, each as long as the dimension."""
        found: Along = {}
        for parts, own in zip(self._parts, values.split(self._layout.sizes), strict=True):
            for name, dim, places in parts:
                dims = found.setdefault(name, {})
                if dim not in dims:
                    dims[dim] = own.new_ones((*self._shapes[name], 1)[dim])  # a parameter may be a single number
                dims[dim][places] = dims[dim][places] * own[:, None]
        return found
