"""The plan that the sparse kernel runs: a network as a few steps over tensors at fixed places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LANES = 16  # images in one vector, a group
TILE = 16  # sums at most that the kernel computes at once
SLOTS = 8  # groups that linear layers take at once
# Bytes of inputs that a run of weights reads for a tile, of a first cache of 48 KiB or more. A few are not worth
# a run of their own, even where it reads more; many leave room for sums that wait for another run.
CACHE, FEW, CACHE_OF_FEW, MANY, CACHE_OF_MANY = 40 * 1024, 12, 80 * 1024, 48, 34 * 1024
SUMS, COPY, MAXIMUM, MEAN, CENTRE = 0, 1, 2, 3, 4
ARENA, IMAGES, WIDE = 0, 1, 2  # where a tensor lies: see kernel.cpp
# The columns of a step, all distances in floats; mirrors Step in kernel.cpp.
FIELDS = (
    *("kind", "tail", "in_space", "in", "in_plane", "in_row", "in_column"),
    *("out_space", "out", "out_plane", "out_row", "out_column", "channels", "rows", "columns", "lead", "gap"),
    *("add_space", "add", "add_plane", "add_row", "add_column", "add_from", "add_to", "times"),
    *("act", "bend", "pool", "block", "row_spans", "column_spans", "row_gap", "column_gap", "epsilon"),
)
# Where a pooling window begins and ends along an axis, and what it multiplies a sum with; mirrors Span in kernel.cpp.
SPAN = np.dtype([("first", np.int32), ("last", np.int32), ("share", np.float32)])


class Unsupported(Exception):
    """The kernel cannot run this network; says why."""


@dataclass(frozen=True)
class Weights:
    """What a step of sums multiplies, and where its weights read: origins[output] + offsets[weight of the output].

    Weights and biases are parameters by name; None stands for ones, and for zeros. What comes of them and of the batch
    norm is multiplied with a factor, and then something is added.
    """

    weight: str | None  # of the state dict
    bias: str | None
    norm: str | None  # the batch norm that is folded in, by its module
    factor: float
    shift: float
    first: int  # its first output among those of all layers
    origins: NDArray[np.int32]  # [outputs]
    offsets: NDArray[np.int32]  # [weights per output]
    taps: int  # weights of an output that read the same input channel
    window: int  # bytes of an input channel that a tile of outputs reads

    @property
    def layer(self) -> str:
        """The module that holds the weights; of ones, the norm."""
        return (self.norm or "") if self.weight is None else self.weight.rpartition(".")[0]

    @property
    def outputs(self) -> int:
        """Output channels or features."""
        return len(self.origins)

    def run(self, kept: int) -> int:
        """Weights of an output to be taken in one go, kept or not, where so many of the layer are kept."""
        usual = self._run(CACHE)
        left = kept * usual / (self.outputs * len(self.offsets))
        if left < FEW:
            return self._run(CACHE_OF_FEW)
        return self._run(CACHE_OF_MANY) if left >= MANY else usual

    def _run(self, cache: int) -> int:
        channels = len(self.offsets) // self.taps
        runs = -(-channels * self.window // cache)
        return -(-channels // runs) * self.taps


@dataclass(frozen=True)
class Planes:
    """How the images lie, all in floats: where the first pixel is, from there to other channels, rows and columns."""

    size: int
    origin: int
    plane: int
    row: int
    column: int


@dataclass(frozen=True)
class Plan:
    """A compiled network.

    Steps with tail 0 run for each group of images, in order; those with tail 1 after them, for SLOTS groups at once.
    """

    steps: NDArray[np.int64]  # [steps, fields]
    spans: NDArray[np.void]  # of all pooling windows
    weights: tuple[Weights | None, ...]  # of each step; None where there are none
    reads: tuple[tuple[int | None, int | None], ...]  # buffers of each step's input and addition; None: not the arena's
    writes: tuple[int | None, ...]
    arena: int  # floats that the steps need for a group
    partial: int  # the last of them, where sums wait for their other weights
    wide: int  # floats for what linear layers read and write, per candidate
    images: Planes
    result: int  # where the outputs are, among the wide tensors
    classes: int

    @property
    def outputs(self) -> int:
        """Outputs of all layers together."""
        return sum(weights.outputs for weights in self.weights if weights is not None)

    def column(self, name: str) -> NDArray[np.int64]:
        """One field of all steps."""
        return self.steps[:, FIELDS.index(name)]
