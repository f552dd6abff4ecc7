"""Places: where the units of a layout lie in parameters, and what one value for each unit is there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ..mask import Group, Layout, Slices

REMEMBERED = 4096  # counts of kept units whose remains are known

Shape = tuple[int, ...]
Counts = tuple[int, ...]  # units kept of each group
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

    @cached_property
    def alike(self) -> bool:
        """Whether how many units of each group are kept says how much remains: no two own the same places."""
        seen: dict[tuple[str, int], set[int]] = {}
        for parts, group in zip(self._parts, self._layout.groups, strict=True):
            if not group.slices:
                return False
            for name, dim, places in parts:
                own, taken = places.ravel().tolist(), seen.setdefault((name, dim), set())
                if len(set(own)) < len(own) or not taken.isdisjoint(own):
                    return False
                taken.update(own)
        return True

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

    @cached_property
    def remaining_of(self) -> Callable[[Counts, tuple[str, ...]], list[int]]:
        """The same by how many units of each group are kept, where units are `alike`; counted once."""
        return lru_cache(REMEMBERED)(self._remaining_of)

    def _remaining_of(self, counts: Counts, names: tuple[str, ...]) -> list[int]:
        kept = [torch.arange(size) < count for size, count in zip(self._layout.sizes, counts, strict=True)]
        return self.remaining(torch.cat(kept), names)

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
