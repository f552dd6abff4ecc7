"""A small network's operations, forwards and backwards, as the kernel reads them: a table of numbers and addresses."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .library import kernel
from .plan import LANES, Unsupported

LOAD, WEIGHTED, NORM, RELU, LARGEST, AVERAGE, ADD, STORE, CLASSES, DISTANCE = range(10)
LISTS = (
    ("starts", "reads", "taps_read"),
    ("back_starts", "back_reads", "back_taps"),
    ("tap_starts", "tap_ins", "tap_outs"),
)
# Mirrors Op in tape.h; all but three are numbers or addresses.
FIELDS = (
    *("kind", "in", "other", "out", "in_channels", "in_pixels", "out_channels", "out_pixels", "taps", "relu"),
    *("back", "other_back", *(name for names in LISTS for name in names)),
    *("weight", "bias", "weight_gradient", "bias_gradient", "mean", "variance", "momentum", "eps", "training"),
    *("saved", "rows", "rows_gradient", "labels", "alpha"),
)
ROW = np.dtype([(name, np.float64 if name in ("momentum", "eps", "alpha") else np.int64) for name in FIELDS])

Shape = tuple[int, int, int]  # channels, rows, columns
List = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]  # where rows begin, and their two columns


class Call(ctypes.Structure):
    """Mirrors Tape in tape.h."""

    _fields_ = [
        ("ops", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("count", "images", "groups", "level")),
        *((name, ctypes.c_void_p) for name in ("values", "gradients", "scratch", "order", "loss")),
    ]


@dataclass(frozen=True)
class Value:
    """A tensor of one image: which one it is, and its shape; flattened, its features are channels of one pixel."""

    number: int
    shape: Shape

    @property
    def pixels(self) -> int:
        """Positions of a channel."""
        return self.shape[1] * self.shape[2]

    @property
    def flat(self) -> Value:
        """The same memory as one row of features."""
        return Value(self.number, (self.shape[0] * self.pixels, 1, 1))


@dataclass(frozen=True, eq=False)
class Window:
    """What an operation reads for each of its output pixels: rows int32[pairs] of output pixel, input pixel and tap."""

    outs: NDArray[np.int32]
    ins: NDArray[np.int32]
    taps: NDArray[np.int32]
    sizes: tuple[int, int, int]  # output pixels, input pixels and taps that there are

    @cached_property
    def lists(self) -> tuple[List, List, List]:
        """By output pixel, by input pixel, by tap, as LISTS has them."""
        outs, ins, taps = self.outs, self.ins, self.taps
        orders = (outs, ins, taps), (ins, outs, taps), (taps, ins, outs)
        by_out, by_in, by_tap = (_listed(*order, rows) for order, rows in zip(orders, self.sizes, strict=True))
        return by_out, by_in, by_tap


@dataclass
class Op:
    """One operation; `module` holds its parameters, and may be none."""

    kind: int
    source: Value
    target: Value
    module: Any = None
    other: Value | None = None
    window: Window | None = None
    relu: bool = False

    @property
    def parameters(self) -> tuple[Tensor | None, Tensor | None]:
        """Weight and bias, or a norm's scale and shift."""
        return (None, None) if self.module is None else (self.module.weight, self.module.bias)


@dataclass(frozen=True)
class Recording:
    """What a module computes of one input: operations in order, and each value's floats per image."""

    ops: tuple[Op, ...]
    sizes: tuple[int, ...]
    first: Value
    result: Value
    shape: tuple[int, ...]  # of the result, as torch has it

    def ending(self, ends: Sequence[Op]) -> Table:
        """With what loads the input before it, and what reads results behind it."""
        return Table((Op(LOAD, self.first, self.first), *self.ops, *ends), self.sizes)


class Table:
    """The table of operations, and the memory that their values take."""

    def __init__(self, ops: Sequence[Op], sizes: Sequence[int]) -> None:
        library = kernel()
        if library is None:
            raise Unsupported("the kernel is not built")
        self.library = library
        self.processor = ctypes.c_int64(library.pruneframe_processor())
        self.ops = ops
        self._places = np.concatenate([[0], np.cumsum(sizes)]) * LANES
        self._rows = np.zeros(len(ops), dtype=ROW)
        for row, op in zip(self._rows, ops, strict=True):
            self._fill(row, op)
        self._normed = np.array([row for row, op in enumerate(ops) if op.kind == NORM], dtype=int)
        self._norms = [ops[row] for row in self._normed]
        channels = [2 * op.source.shape[0] for op in self._norms]
        self._saved = sum(channels)  # floats that norms keep of a pass, behind the values
        self._rows["saved"][self._normed] = 4 * np.concatenate([[0], np.cumsum(channels[:-1])]) if channels else 0
        widths = [
            (op.source.shape[0] + 3) * (op.target.shape[0] + 3) * op.window.sizes[2]
            for op in ops
            if op.kind == WEIGHTED and op.window is not None
        ]
        self._scratch = torch.empty(max(widths, default=0))
        self._backs: dict[tuple[bool, ...], tuple[list[int], list[int]]] = {}

    def _fill(self, row: Any, op: Op) -> None:
        """What does not change from call to call."""
        row["kind"], row["relu"] = op.kind, op.relu
        row["in"], row["out"] = self._places[op.source.number], self._places[op.target.number]
        row["other"] = -1 if op.other is None else self._places[op.other.number]
        row["in_channels"], row["in_pixels"] = op.source.shape[0], op.source.pixels
        row["out_channels"], row["out_pixels"] = op.target.shape[0], op.target.pixels
        if op.kind == NORM:
            row["momentum"], row["eps"] = op.module.momentum, op.module.eps
        if op.window is None:
            return
        row["taps"] = op.window.sizes[2]
        for names, parts in zip(LISTS, op.window.lists, strict=True):
            for name, part in zip(names, parts, strict=True):
                row[name] = part.ctypes.data

    @property
    def parameters(self) -> list[Tensor | None]:
        """Weight and bias of every operation, as they are now."""
        found: list[Tensor | None] = [None] * (2 * len(self.ops))
        for row, op in enumerate(self.ops):
            if op.module is not None:
                found[2 * row : 2 * row + 2] = op.parameters
        return found

    @property
    def training(self) -> list[Any]:
        """The norms that take the batch's own statistics now, and move the running ones."""
        return [op.module for op in self._norms if op.module.training]

    def floats(self, n: int) -> int:
        """Of the values of so many images."""
        return -(-n // LANES) * int(self._places[-1]) + self._saved

    def rows(self, parameters: Sequence[Tensor | None], values: Tensor) -> NDArray:
        """A table for one pass with these weights and biases, contiguous, and values in this memory."""
        rows = self._rows.copy()
        rows["weight"], rows["bias"] = addresses(parameters[::2]), addresses(parameters[1::2])
        if self._norms:
            norms = [op.module for op in self._norms]
            rows["training"][self._normed] = [norm.training for norm in norms]
            rows["mean"][self._normed] = [norm.running_mean.data_ptr() for norm in norms]
            rows["variance"][self._normed] = [norm.running_var.data_ptr() for norm in norms]
            rows["saved"][self._normed] += values.data_ptr() + 4 * (len(values) - self._saved)
        return rows

    def ask(self, rows: NDArray, gradients: Sequence[Tensor | None], wanted: tuple[bool, ...]) -> None:
        """Have a pass back write these gradients, by weights and biases; `wanted` says of the input and of each."""
        if wanted not in self._backs:
            self._backs[wanted] = self._needed(wanted)
        rows["back"], rows["other_back"] = self._backs[wanted]
        rows["weight_gradient"], rows["bias_gradient"] = addresses(gradients[::2]), addresses(gradients[1::2])

    def call(self, rows: NDArray, n: int, values: Tensor, gradients: Tensor | None) -> Call:
        """What the kernel is told of a pass of so many images."""
        level = int(self._places[-1])
        memory = addresses([values, gradients, self._scratch])
        return Call(rows.ctypes.data, len(rows), n, -(-n // LANES), level, *memory, None, None)

    def _needed(self, wanted: tuple[bool, ...]) -> tuple[list[int], list[int]]:
        """For each operation: whether its inputs' gradients are wanted (1), and there are some already (2)."""
        needed = {self.ops[0].target.number} if wanted[0] else set()
        for row, op in enumerate(self.ops[1:], 1):
            sources = {op.source.number} | (set() if op.other is None else {op.other.number})
            if any(wanted[1 + 2 * row : 3 + 2 * row]) or needed & sources:
                needed.add(op.target.number)
        written: set[int] = set()

        def of(value: Value | None) -> int:
            if value is None or value.number not in needed:
                return 0
            before = value.number in written
            written.add(value.number)
            return 2 if before else 1

        found = [(of(op.source), of(op.other)) for op in reversed(self.ops[1:])]
        backs, others = zip(*reversed(found), strict=True)
        return [0, *backs], [0, *others]


def addresses(tensors: Sequence[Tensor | None]) -> list[int]:
    """Where tensors begin; 0 for none."""
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def _listed(keys: NDArray, one: NDArray, other: NDArray, rows: int) -> List:
    """Two columns in the order of their rows, 0 to `rows`, and where each row begins."""
    order = np.argsort(keys, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=rows))]).astype(np.int32)
    return starts, np.ascontiguousarray(one[order]), np.ascontiguousarray(other[order])
