"""Where a compiled network's values lie in the kernel's memory, and the steps as the kernel reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .plan import ARENA, FIELDS, IMAGES, LANES, NOTHING, SLOTS, WIDE, Weights


@dataclass
class Value:
    """A tensor in memory: channels [low, low + count) of `shape` lie at `origin` and the distances; others are zero.

    A count of 0 stands for all channels. `origin` counts from where the buffer begins.
    """

    shape: tuple[int, int, int]
    origin: int
    plane: int
    row: int
    column: int
    space: int
    low: int = 0
    count: int = 0
    flat: bool = False
    buffer: int = -1

    @property
    def in_arena(self) -> int | None:
        """Its buffer, if that lies in the arena."""
        return self.buffer if self.space == ARENA else None


def laid_out(shape: tuple[int, int, int], border: int, space: int, buffer: int = -1) -> Value:
    """A tensor in a buffer of its own, with a border around each plane."""
    pixel = SLOTS * LANES if space == WIDE else LANES
    rows, columns = shape[1] + 2 * border, shape[2] + 2 * border
    row, plane = columns * pixel, rows * columns * pixel
    return Value(shape, border * (row + pixel), plane, row, pixel, space, buffer=buffer)


@dataclass(frozen=True)
class Step:
    """What the kernel does to `source`, and adds `add` to; the result goes to `target`."""

    kind: int
    source: Value
    target: Value
    shape: tuple[int, int, int]  # of the result, after pooling by twos
    stride: tuple[int, int]
    origin: int  # of the first window, relative to the source's origin
    window: tuple[int, int] = (1, 1)
    add: Value | None = None
    act: int = NOTHING
    pool: bool = False  # whether only the largest of each 2 x 2 is written
    tail: bool = False
    weights: Weights | None = None

    @property
    def operands(self) -> list[Value]:
        """What it reads."""
        return [self.source] if self.add is None else [self.source, self.add]

    def replaces(self, last: dict[int, int], number: int) -> bool:
        """Whether it can write where what it adds lies, pixel by pixel, as nobody reads that later."""
        if self.add is None or self.add.buffer == self.source.buffer or last.get(self.add.buffer) != number:
            return False
        return bool(replace(self.add, buffer=self.target.buffer) == self.target)


@dataclass(frozen=True)
class Memory:
    """Where each buffer begins, and the sizes of the arena and of what linear layers read and write."""

    origins: dict[int, int]
    arena: int
    wide: int

    @classmethod
    def of(cls, steps: Sequence[Step], reuse: bool) -> Memory:
        """Room for what the steps write; `reuse`: a sum takes the place of what is added to it where it can."""
        arena, size = _arena(steps, reuse)
        wide, wide_size = _wide(steps)
        return cls(arena | wide, size, wide_size)

    def table(self, steps: Sequence[Step]) -> NDArray[np.int64]:
        """The steps for the kernel, int64[steps, fields]."""
        return np.array([self._row(step) for step in steps], dtype=np.int64)

    def _row(self, step: Step) -> list[int]:
        source, target, add = step.source, step.target, step.add
        channels, rows, columns = (size << (step.pool and axis > 0) for axis, size in enumerate(step.shape))
        values = {
            "kind": step.kind,
            "tail": int(step.tail),
            "in_space": source.space,
            "in": source.origin + step.origin + self.origins.get(source.buffer, 0),
            "in_plane": source.plane,
            "in_row": step.stride[0],
            "in_column": _between_slots(source) if step.tail else step.stride[1],
            "out_space": target.space,
            "out": target.origin + self.origins[target.buffer],
            "out_plane": target.plane,
            "out_row": target.row,
            "out_column": LANES if step.tail else target.column,
            "channels": channels,
            "rows": rows,
            "columns": columns,
            "add": -1,
            "act": step.act,
            "pool": int(step.pool),
            "window_rows": step.window[0],
            "window_columns": step.window[1],
            "row_gap": source.row,
            "column_gap": source.column,
        }
        if add is not None:
            values |= {
                "add_space": add.space,
                "add": add.origin + self.origins[add.buffer],
                "add_plane": add.plane,
                "add_row": add.row,
                "add_column": LANES if step.tail else add.column,
                "add_from": add.low,
                "add_to": add.low + (add.count or add.shape[0]),
            }
        return [values.get(name, 0) for name in FIELDS]


def _between_slots(source: Value) -> int:
    """Distance of the same feature in two neighbouring groups of images."""
    return source.shape[0] * source.plane if source.space == IMAGES else LANES


def _arena(steps: Sequence[Step], reuse: bool) -> tuple[dict[int, int], int]:
    """Where each buffer of the arena lies, and the arena's size.

    A room that nobody reads any more is taken over by the next buffer with the same planes.
    """
    last = _last_readers(steps)
    rooms: list[tuple[tuple[int, int, int], int]] = []  # planes, channels
    room_of: dict[int, int] = {}
    for number, step in enumerate(steps):
        target = step.target
        if target.space != ARENA:
            continue
        if reuse and step.replaces(last, number):
            assert step.add is not None
            room_of[target.buffer] = room_of[step.add.buffer]
            continue
        taken = {room_of[buffer] for buffer in room_of if last[buffer] >= number}
        planes = target.plane, target.row, target.origin
        free = [room for room, (kind, _) in enumerate(rooms) if kind == planes and room not in taken]
        room = free[0] if free else len(rooms)
        if not free:
            rooms.append((planes, 0))
        rooms[room] = (planes, max(rooms[room][1], target.shape[0]))
        room_of[target.buffer] = room
    starts = np.cumsum([0, *(channels * planes[0] for planes, channels in rooms)]).tolist()
    return {buffer: starts[room] for buffer, room in room_of.items()}, starts[-1]


def _last_readers(steps: Sequence[Step]) -> dict[int, int]:
    """The last step that reads each buffer of the arena; the one that writes it where none does."""
    values = ((number, value) for number, step in enumerate(steps) for value in (step.target, *step.operands))
    return {value.buffer: number for number, value in values if value.space == ARENA}


def _wide(steps: Sequence[Step]) -> tuple[dict[int, int], int]:
    """Where each value that linear layers read or write lies, one after the other, and the size of them all."""
    origins, size = {}, 0
    for step in steps:
        if step.target.space == WIDE:
            origins[step.target.buffer] = size
            size += step.target.shape[0] * step.target.plane
    return origins, size
