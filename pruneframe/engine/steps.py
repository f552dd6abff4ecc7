"""The steps of a plan as they come into being: each waits, so that what follows can be attached to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import fx, nn

from ..model.trace import shape
from .memory import Step, Value, laid_out
from .plan import ARENA, LANES, NOTHING, SUMS, WIDE, Unsupported, Weights


@dataclass
class Pending:
    """A step that is not emitted yet, so that what follows can be attached to it."""

    node: fx.Node
    source: Value
    kind: int
    shape: tuple[int, int, int]
    stride: tuple[int, int]
    origin: int  # of the first window, relative to the source's origin
    layer: str | None = None
    norm: str | None = None
    origins: NDArray[np.integer] | None = None
    offsets: NDArray[np.integer] | None = None
    taps: int = 1  # weights of an output that read the same input channel
    tile: int = 0  # pixels of an input channel that a tile of outputs reads
    window: tuple[int, int] = (1, 1)
    add: Value | None = None
    act: int = NOTHING
    pool: bool = False  # whether only the largest of each 2 x 2 is written
    flat: bool = False
    value: Value | None = None  # where it went, once it is emitted


@dataclass
class Steps:
    """Those that are emitted so far, in order; `border` is the padding around every feature map."""

    border: int = 0
    done: list[Step] = field(default_factory=list)
    outputs: int = 0  # of all layers so far

    def open(self, node: fx.Node, value: Any) -> bool:
        """Whether something may be attached to a pending step: nobody else reads what it has so far."""
        open_step = isinstance(value, Pending) and value.value is None
        return open_step and len(value.node.users) == 1 and value.node in node.all_input_nodes

    def ready(self, value: Any) -> Value:
        """A value in memory; a pending step is emitted when it is first wanted."""
        if value is None:
            raise Unsupported("it computes with something that is not a tensor")
        if isinstance(value, Value):
            return value
        if value.value is None:
            value.value = self._emit(value)
        return value.value

    def _emit(self, step: Pending) -> Value:
        flat = step.flat or len(shape_of(step.node)) == 1
        wide = flat or is_flattened(step.node)
        border = 0 if wide else self.border
        target = laid_out(step.shape, border, WIDE if wide else ARENA, buffer=len(self.done))
        weights = None
        if step.kind == SUMS:
            weights = self._weights(step)
            self.outputs += weights.outputs
        operands = [value for value in (step.source, step.add) if value is not None]
        tail = flat and step.shape[1:] == (1, 1) and all(value.space != ARENA for value in operands)
        of_tail = {known.target.buffer for known in self.done if known.tail}
        if not tail and any(value.buffer in of_tail for value in operands):
            raise Unsupported("it mixes feature maps with what comes after the last one")
        taken = (step.source, target, step.shape, step.stride, step.origin, step.window)
        self.done.append(Step(step.kind, *taken, step.add, step.act, step.pool, tail, weights))
        return replace(target, flat=flat)

    def _weights(self, step: Pending) -> Weights:
        assert step.layer is not None
        assert step.origins is not None
        assert step.offsets is not None
        if any(known.weights is not None and known.weights.layer == step.layer for known in self.done):
            raise Unsupported(f"it calls {step.layer} twice")
        origins, offsets = step.origins.astype(np.int32), step.offsets.astype(np.int32)
        window = step.tile * LANES * 4
        return Weights(step.layer, step.norm, self.outputs, origins, offsets, step.taps, window)

    def adds(self, node: fx.Node, value: Any) -> bool:
        """Whether something may be added to a pending step."""
        return self.open(node, value) and value.act == NOTHING and value.add is None and not value.pool


def is_flattened(node: fx.Node) -> bool:
    """Whether whoever reads a tensor reads it as one row per image."""
    users = [user for user in node.users if user.meta.get("tensor_meta") is not None or user.op == "output"]
    return bool(users) and all(
        user.op != "output" and (len(shape_of(user)) == 1 or (_passes(user) and is_flattened(user))) for user in users
    )


def _passes(node: fx.Node) -> bool:
    """Whether a node hands on what it gets."""
    owner = node.graph.owning_module
    if node.op != "call_module" or owner is None:
        return False
    return isinstance(owner.get_submodule(str(node.target)), nn.Identity | nn.Dropout | nn.Dropout2d)


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """The shape of one image's part of what a node computes."""
    return shape(node)[1:]


def shape3(node: fx.Node) -> tuple[int, int, int]:
    found = shape_of(node)
    if len(found) != 3:
        raise Unsupported("it computes feature maps that are not [channels, rows, columns]")
    return found[0], found[1], found[2]
