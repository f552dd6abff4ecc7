"""Keep-masks: one bit per unit, packed; what the bits stand for, digests, counts and set operations.

Bit order is that of `numpy.packbits` (the first unit is the highest bit of the first byte); the unused bits of the
last byte are zero, so that equal masks have equal bytes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]  # packed bits, eight to a byte, rows of masks or one of them

UNPACKED = 2**24  # bits that are counted at once


@dataclass(frozen=True)
class Slices:
    """Entries of a parameter that belong to a group's units, `width` places along `dim` for each.

    They lie in a row, from `start` on; `places` names them where they do not, those of one unit after the other.
    """

    parameter: str  # its name in the state dict; a buffer's where it is not pruned but must be as long
    dim: int
    width: int = 1
    start: int = 0
    places: tuple[int, ...] = ()

    def along(self, size: int) -> NDArray[np.int64]:
        """The places of each of a group's `size` units, int64[size, width]."""
        found = np.array(self.places or range(self.start, self.start + size * self.width), dtype=np.int64)
        return found.reshape(size, self.width)


@dataclass(frozen=True)
class Group:
    """The units of one layer, and the entries of parameters that each of them is made of.

    Units with slices own all entries that their slices name, in this layer and in others; an entry in two slices is
    kept where both its units are. The first slice is of the layer's own weights. A group without slices is of single
    weights: its units are the layer's weights, in the order of the flattened tensor.
    """

    layer: str
    size: int  # units
    shape: tuple[int, ...]  # of the layer's weights
    slices: tuple[Slices, ...] = ()
    parameter: str = ""  # the layer's weights in the state dict; `weight` of the layer unless it is given
    turned: int = 0  # groups of a transposed convolution, whose weights have inputs before outputs; 0 for all others
    least: int = 1  # units that physically remain where a mask keeps none: torch has no layer without channels
    kind: Literal["channels", "heads", "branch"] = "channels"  # how they are taken out, see `shrink`

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameter", self.parameter or f"{self.layer}.weight")

    @property
    def weights(self) -> int:
        """Weights of the layer behind each unit."""
        if not self.slices:
            return math.prod(self.shape) // self.size
        own = self.slices[0]
        return own.width * math.prod(self.shape) // self.shape[own.dim]

    def matrix(self, values: NDArray) -> NDArray:
        """One value per weight, [weights], as [outputs, inputs of a group, places of the kernel]."""
        first, second = self.shape[:2]
        if not self.turned:
            return values.reshape(first, second, -1)
        by_group = values.reshape(self.turned, first // self.turned, second, -1).swapaxes(1, 2)
        return by_group.reshape(self.turned * second, first // self.turned, -1)

    def in_order(self, matrix: NDArray) -> NDArray:
        """What is one value per weight as a `matrix`, in the order of the weights again, [weights]."""
        found = np.empty(self.size, dtype=matrix.dtype)
        found[self.matrix(np.arange(self.size)).ravel()] = matrix.ravel()
        return found


@dataclass(frozen=True)
class Layout:
    """Which unit each bit stands for: the units of all `groups`, one after the other in forward order.

    `units` is what they are, as a spec: `weight`, `filter`. `notes` say which of the network's are not among them, and
    why.
    """

    units: str
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for each group: its layer, numbered from the second group of one layer on."""
        layers = [group.layer for group in self.groups]
        before = [layers[:i].count(layer) for i, layer in enumerate(layers)]
        return tuple(f"{layer}#{n + 1}" if n else layer for layer, n in zip(layers, before, strict=True))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Units of each group."""
        return tuple(group.size for group in self.groups)

    @cached_property
    def single(self) -> bool:
        """Whether every unit is one weight."""
        return not any(group.slices for group in self.groups)

    @cached_property
    def total(self) -> int:
        """Number of units, and so of bits."""
        return sum(self.sizes)

    @property
    def width(self) -> int:
        """Bytes of one packed mask."""
        return (self.total + 7) // 8

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each group's units lie in an unpacked mask."""
        stops = np.cumsum(self.sizes).tolist()
        return tuple(slice(stop - size, stop) for stop, size in zip(stops, self.sizes, strict=True))

    def split(self, units: NDArray) -> list[NDArray]:
        """Cut an array [..., units] into views [..., units of one group]."""
        return [units[..., part] for part in self.slices]

    def full(self, n: int = 1) -> Masks:
        """N masks that keep everything: the dense network."""
        bits = np.full((n, self.width), 0xFF, dtype=np.uint8)
        bits[:, -1:] <<= self.width * 8 - self.total
        return Masks(bits, self)


@dataclass(frozen=True)
class Masks:
    """N keep-masks of one layout: `bits` are uint8[n, layout.width], a set bit keeps its unit."""

    bits: Bits
    layout: Layout

    def __post_init__(self) -> None:
        if self.bits.dtype != np.uint8 or self.bits.shape[1:] != (self.layout.width,):
            raise ValueError(
                f"masks of {self.layout.total} units must be uint8[n, {self.layout.width}], "
                f"but got {self.bits.dtype}{list(self.bits.shape)}"
            )
        spare = self.layout.width * 8 - self.layout.total
        if spare and np.any(self.bits[:, -1] & ((1 << spare) - 1)):
            raise ValueError(f"the last {spare} bits of a mask of {self.layout.total} units must be zero")

    @classmethod
    def pack(cls, keep: NDArray[np.bool_], layout: Layout) -> Masks:
        """From bool[n, units]."""
        if keep.shape[1:] != (layout.total,):
            raise ValueError(f"masks of {layout.total} units must be bool[n, {layout.total}], but got {keep.shape}")
        return cls(np.packbits(keep, axis=-1), layout)

    @classmethod
    def join(cls, parts: Iterable[Masks]) -> Masks:
        """One after the other; all of one layout, at least one."""
        parts = list(parts)
        return cls(np.concatenate([part.bits for part in parts]), parts[0].layout)

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, rows: slice | Sequence[int] | NDArray) -> Masks:
        return Masks(self.bits[rows], self.layout)

    def unpack(self, row: int) -> NDArray[np.bool_]:
        """bool[units] of one mask."""
        return np.unpackbits(self.bits[row], count=self.layout.total).view(np.bool_)

    def counts(self) -> NDArray[np.int64]:
        """Kept units, int64[n]."""
        return np.bitwise_count(self.bits).sum(axis=1, dtype=np.int64)

    def layer_counts(self) -> NDArray[np.int64]:
        """Kept units per group, int64[n, groups]."""
        counts = np.empty((len(self), len(self.layout.sizes)), dtype=np.int64)
        size = max(1, UNPACKED // self.layout.total)
        for start in range(0, len(self), size):
            kept = np.unpackbits(self.bits[start : start + size], axis=1, count=self.layout.total)
            for column, part in enumerate(self.layout.split(kept)):
                counts[start : start + size, column] = np.count_nonzero(part, axis=1)
        return counts

    def digests(self) -> list[str]:
        """32 hex digits each (BLAKE2b of the packed bytes): equal exactly where the masks are equal."""
        return [hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).hexdigest() for row in self.bits]

    def __and__(self, other: Masks) -> Masks:
        return Masks(self.bits & other.bits, self.layout)

    def __or__(self, other: Masks) -> Masks:
        return Masks(self.bits | other.bits, self.layout)

    def __sub__(self, other: Masks) -> Masks:
        return Masks(self.bits & ~other.bits, self.layout)

    def within(self, other: Masks) -> NDArray[np.bool_]:
        """Whether each mask keeps nothing that `other` removes, bool[n]."""
        return ~np.any(self.bits & ~other.bits, axis=1)


def flip(bits: Bits, positions: NDArray[np.integer]) -> None:
    """Flip the bits at `positions` of one packed row uint8[bytes], in place; a position named twice flips twice."""
    np.bitwise_xor.at(bits, positions >> 3, (128 >> (positions & 7)).astype(np.uint8))


def bit(bits: Bits, positions: NDArray[np.integer]) -> NDArray[np.bool_]:
    """The bits at `positions` of one packed row, bool[positions]."""
    return (bits[positions >> 3] & (128 >> (positions & 7)).astype(np.uint8)).astype(bool)


def check_masks(masks: object, layout: Layout) -> None:
    """Raise ValueError unless something is Masks of this layout."""
    if not isinstance(masks, Masks) or masks.layout != layout:
        got = f"Masks of {masks.layout.total}" if isinstance(masks, Masks) else f"a {type(masks).__name__}"
        raise ValueError(f"masks must be Masks of the task's {layout.total} units, but got {got}; see Masks.pack")
