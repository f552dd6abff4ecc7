"""Where a compiled network's values lie in the kernel's memory, and the steps as the kernel reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .plan import (
    ARENA,
    CENTRE,
    COPY,
    FIELDS,
    IMAGES,
    LANES,
    SLOTS,
    SPAN,
    SUMS,
    TILE,
    WIDE,
    Plan,
    Planes,
    Unsupported,
    Weights,
)
from .rooms import Stay, placed
from .steps import Step
from .values import Buffer, Value

SHAPE = 2, 8  # rows and columns of the usual tile
SETS = 16  # rows of a first cache; planes are no multiple of so many vectors apart


def planes(buffer: Buffer, wide: bool) -> Planes:
    """A buffer's own layout: zeros between two rows serve both, and so do those between two planes."""
    pixel = SLOTS * LANES if wide else LANES
    (channels, rows, columns), (above, left, below, right) = buffer.shape, buffer.border
    row = columns + max(left, right)
    plane = (rows + max(above, below)) * row
    # Else the same pixel of all channels would lie in a few sets of the cache.
    spare = SETS // 2 if plane % SETS == 0 else 0
    lead = spare + max(above, below) * row + max(left, right)
    plane += spare
    return Planes((channels * plane + lead) * pixel, lead * pixel, plane * pixel, row * pixel, pixel)


@dataclass
class Memory:
    """The place of each buffer, and which steps run behind the last feature map.

    `reuse`: a step takes the place of what it reads where it can.
    """

    steps: Sequence[tuple[Step, Value]]
    images: Buffer
    reuse: bool
    tail: set[int] = field(init=False)
    lies: dict[Buffer, Planes] = field(default_factory=dict)
    starts: dict[Buffer, int] = field(default_factory=dict)
    arena: int = 0
    wide: int = 0

    def __post_init__(self) -> None:
        self._readers: dict[Buffer, list[int]] = {}
        self._writers: dict[Buffer, list[int]] = {}
        for number, (step, target) in enumerate(self.steps):
            self._writers.setdefault(target.root, []).append(number)
            for value in step.operands:
                self._readers.setdefault(value.root, []).append(number)
        self.tail = self._behind()
        for root in (self.images, *self._writers):
            self.lies[root] = planes(root, self.space(root) == WIDE)
        self._place()

    def space(self, root: Buffer) -> int:
        """Where a buffer lies: among the wide tensors if it is read behind the last feature map alone."""
        if root.images:
            return IMAGES
        return WIDE if self.tail.issuperset(self._readers.get(root, ())) else ARENA

    def _behind(self) -> set[int]:
        """Steps on rows of features that nothing else waits for."""
        single = (number for number, (step, _) in enumerate(self.steps) if step.computed[1:] == (1, 1))
        found = {number for number in single if self._may_go_last(self.steps[number][0])}
        while True:
            self.tail = found
            kept = {number for number in found if self._goes_last(number)}
            if kept == found:
                return found
            found = kept

    def _may_go_last(self, step: Step) -> bool:
        """Whether a step on one pixel can run for all slots at once; where statistics are wanted, no norm does."""
        fits = step.kind in (SUMS, COPY, CENTRE) and step.inside
        return fits and (self.reuse or step.layer is None or step.layer.norm is None)

    def _goes_last(self, number: int) -> bool:
        step, target = self.steps[number]
        operands = all(self.space(value.root) != ARENA for value in step.operands)
        return operands and self.space(target.root) == WIDE and self.tail.issuperset(self._writers[target.root])

    def _place(self) -> None:
        """Give every buffer its place."""
        guests: dict[Buffer, Buffer] = {}  # whose place a buffer takes over
        if self.reuse:
            for number, (step, target) in enumerate(self.steps):
                for value in step.operands:
                    if self._replaces(number, step, target, value):
                        guests[target.root] = guests.get(value.root, value.root)
                        break
        spans: dict[Buffer, list[int]] = {}
        for root, writers in self._writers.items():
            if self.space(root) == ARENA:
                spans.setdefault(guests.get(root, root), []).extend([*writers, *self._readers.get(root, ())])
            else:
                self.starts[root] = self.wide
                self.wide += self.lies[root].size
        starts, self.arena = placed([Stay(self.lies[r].size, min(s), max(s)) for r, s in spans.items()])
        hosts = dict(zip(spans, starts, strict=True))
        self.starts |= hosts | {root: hosts[host] for root, host in guests.items()}

    def _replaces(self, number: int, step: Step, target: Value, value: Value) -> bool:
        """Whether a step can write where something lies that it reads, pixel by pixel, as nobody reads that later."""
        one, other = value.root, target.root
        if not (one.alone and other.alone and value.whole) or self.space(one) != ARENA or self.space(other) != ARENA:
            return False
        if max(self._readers[one]) != number or self.lies[one] != self.lies[other] or one.shape != other.shape:
            return False
        return step.pointwise or (value is step.add and step.source.root is not one)

    def plan(self, result: Value) -> Plan:
        """The plan of all steps."""
        if result.shape[1:] != (1, 1) or self.space(result.root) != WIDE or not result.flat:
            raise Unsupported("its output is not one row per image")
        spans, rows, weights, outputs = _Spans(), [], [], 0
        for number, (step, target) in enumerate(self.steps):
            rows.append(self._row(number, step, target, spans))
            weights.append(self._weights(step, outputs))
            outputs += step.shape[0] if step.layer is not None else 0
        partial = TILE * LANES * max(step.shape[0] for step, _ in self.steps)
        numbers = {root: number for number, root in enumerate(self._writers) if self.space(root) == ARENA}
        return Plan(
            np.array([[row.get(name, 0) for name in FIELDS] for row in rows], dtype=np.int64),
            spans.table(),
            tuple(weights),
            tuple(
                (numbers.get(s.source.root), None if s.add is None else numbers.get(s.add.root)) for s, _ in self.steps
            ),
            tuple(numbers.get(target.root) for _, target in self.steps),
            self.arena + partial,
            self.arena,
            self.wide,
            self.lies[self.images],
            self._at(result),
            result.shape[0],
        )

    def _at(self, value: Value) -> int:
        """Where a tensor's first pixel is."""
        lies, channel = self.lies[value.root], value.buffer.channel + value.channel
        (top, left), start = value.start, self.starts.get(value.root, 0)
        return start + lies.origin + channel * lies.plane + top * lies.row + left * lies.column

    def _row(self, number: int, step: Step, target: Value, spans: _Spans) -> dict[str, int]:
        source, tail = step.source, number in self.tail
        lies, out = self.lies[source.root], self.lies[target.root]
        row, column = source.step[0] * lies.row, source.step[1] * lies.column
        bordered = any(target.root.border)
        values = {
            "kind": step.kind,
            "tail": int(tail),
            "in_space": self.space(source.root),
            "in": self._at(source) - step.pad[0] * row - step.pad[1] * column,
            "in_plane": lies.plane,
            "in_row": step.stride[0] * row,
            "in_column": self._between_slots(source) if tail else step.stride[1] * column,
            "out_space": self.space(target.root),
            "out": self._at(target),
            "out_plane": out.plane,
            "out_row": out.row,
            "out_column": LANES if tail else out.column,
            "channels": step.shape[0],
            "rows": step.computed[1],
            "columns": step.computed[2],
            "lead": out.origin if bordered else 0,
            "gap": out.row - target.shape[2] * out.column,
            "add": -1,
            "act": step.act.number,
            "bend": _bits(step.act.bend),
            "pool": int(step.pool),
            "block": step.shape[0] // (step.layer.groups if step.layer is not None else 1),
            "row_gap": row,
            "column_gap": column,
            "epsilon": _bits(step.epsilon),
        }
        if step.window is not None:
            values |= {"row_spans": spans.of(step.window.rows), "column_spans": spans.of(step.window.columns)}
        return values if step.add is None else values | self._addition(step, step.add, tail)

    def _addition(self, step: Step, add: Value, tail: bool) -> dict[str, int]:
        """Where what is added lies; what has one channel, row or column is the same for all."""
        lies, computed = self.lies[add.root], step.computed
        spread = [1 if size == all_ else 0 for size, all_ in zip(add.shape, computed, strict=True)]
        return {
            "add_space": self.space(add.root),
            "add": self._at(add),
            "add_plane": lies.plane * spread[0],
            "add_row": lies.row * add.step[0] * spread[1],
            "add_column": self._between_slots(add) if tail else lies.column * add.step[1] * spread[2],
            "add_from": add.low,
            "add_to": add.low + (add.count or computed[0]),
            "times": int(step.times),
        }

    def _between_slots(self, value: Value) -> int:
        """Distance of the same feature in two neighbouring groups of images."""
        return self.lies[value.root].size if value.root.images else LANES

    def _weights(self, step: Step, first: int) -> Weights | None:
        layer = step.layer
        if layer is None:
            return None
        lies, (outputs, inputs, height, width) = self.lies[step.source.root], layer.shape
        down, right = (gap * every for gap, every in zip(layer.dilation, step.source.step, strict=True))
        c, i, j = np.meshgrid(np.arange(inputs), np.arange(height), np.arange(width), indexing="ij")
        offsets = (c * lies.plane + i * down * lies.row + j * right * lies.column).ravel()
        origins = np.arange(outputs) // (outputs // layer.groups) * inputs * lies.plane
        if origins.max(initial=0) + offsets.max(initial=0) >= 2**31:
            raise Unsupported("its activations are too large")
        if step.shape[1:] == (1, 1):
            read, taps = SLOTS, 1
        else:
            sizes = zip(SHAPE, step.stride, layer.shape[2:], layer.dilation, strict=True)
            read = int(np.prod([(tile - 1) * stride + (size - 1) * gap + 1 for tile, stride, size, gap in sizes]))
            taps = height * width
        return Weights(
            *(layer.weight, layer.bias, layer.norm, layer.factor, layer.shift, first),
            *(origins.astype(np.int32), offsets.astype(np.int32), taps, read * LANES * 4),
        )


class _Spans:
    """The spans of all windows, equal ones once."""

    def __init__(self) -> None:
        self._starts: dict[tuple, int] = {}
        self._rows: list[tuple[int, int, float]] = []

    def of(self, spans: tuple) -> int:
        """Where some begin."""
        if spans not in self._starts:
            self._starts[spans] = len(self._rows)
            self._rows += [(span.first, span.last, span.share) for span in spans]
        return self._starts[spans]

    def table(self) -> NDArray[np.void]:
        """All of them."""
        return np.array(self._rows, dtype=SPAN)


def _bits(number: float) -> int:
    """A float32 as the integer of the same bits."""
    return int(np.float32(number).view(np.int32))


def _number(numbers: dict[Buffer, int], value: Value | None) -> int | None:
    """Of a tensor's buffer; None where there is no tensor, or none in the arena."""
    return None if value is None else numbers.get(value.root)
