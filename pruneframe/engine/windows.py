"""Pooling windows along each axis: where they begin and end, and what a sum in them is multiplied with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx

from .values import Pair

DEFAULTS = {"padding", "ceil_mode", "return_indices", "dilation", "count_include_pad", "divisor_override"}


@dataclass(frozen=True)
class Span:
    """Pixels [first, last) of one axis, and the share of each in a mean along it."""

    first: int
    last: int
    share: float


@dataclass(frozen=True)
class Window:
    """The spans of each output row and of each output column."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def halves(self) -> bool:
        """Whether each window is the next 2 x 2 pixels."""
        return all(
            (span.first, span.last) == (2 * at, 2 * at + 2)
            for spans in (self.rows, self.columns)
            for at, span in enumerate(spans)
        )


@dataclass(frozen=True)
class Pool:
    """The settings of a pooling layer, as torch has them."""

    size: Pair
    stride: Pair
    padding: Pair = (0, 0)
    counts_padding: bool = True
    divisor: int | None = None

    def window(self, inputs: Sequence[int], outputs: Sequence[int]) -> Window:
        """Its windows on maps of `inputs` pixels, of which it makes `outputs`; those of padding are left out."""
        rows, columns = (self._spans(axis, inputs[axis], outputs[axis]) for axis in (0, 1))
        return Window(rows, columns)

    def _spans(self, axis: int, inputs: int, outputs: int) -> tuple[Span, ...]:
        found = []
        for at in range(outputs):
            begin = at * self.stride[axis] - self.padding[axis]
            first, last = max(0, begin), min(inputs, begin + self.size[axis])
            counted = min(inputs + self.padding[axis], begin + self.size[axis]) - begin
            if self.divisor is not None:
                share = 1 / self.divisor if axis == 0 else 1.0
            else:
                share = 1 / (counted if self.counts_padding else max(1, last - first))
            found.append(Span(first, last, share))
        return tuple(found)


def adaptive(inputs: Sequence[int], outputs: Sequence[int]) -> Window:
    """The windows of adaptive pooling, which differ in size where the outputs do not divide the inputs."""
    rows, columns = (
        tuple(_adaptive(at * size // count, -(-(at + 1) * size // count)) for at in range(count))
        for size, count in zip(inputs, outputs, strict=True)
    )
    return Window(rows, columns)


def _adaptive(first: int, last: int) -> Span:
    return Span(first, last, 1 / (last - first))


def pair(value: Any) -> Pair:
    """Rows and columns, of one number for both or of two."""
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def defaults(node: fx.Node) -> bool:
    """Whether a pooling function's settings, but for its size and stride, are torch's defaults."""
    plain = {"padding": 0, "ceil_mode": False, "return_indices": False, "dilation": 1, "count_include_pad": True}
    return all(node.kwargs.get(name, value) == value for name, value in plain.items())


def stride_of(node: fx.Node) -> Any:
    """The stride that a pooling function is given; None where it is the window's size."""
    return node.args[2] if len(node.args) > 2 else node.kwargs.get("stride")
