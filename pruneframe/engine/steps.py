"""The steps of a plan as they come into being: each waits, so that what follows can be attached to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import fx

from ..model.trace import shape
from .curves import NOTHING, Curve
from .plan import CENTRE, COPY, SUMS, Unsupported
from .values import Buffer, Pair, Shape3, Value
from .windows import Window


@dataclass(frozen=True)
class Layer:
    """What a step of sums multiplies: [outputs, inputs of a group, height, width]; see Weights for the rest."""

    shape: tuple[int, int, int, int]
    groups: int = 1
    dilation: Pair = (1, 1)
    weight: str | None = None
    bias: str | None = None
    norm: str | None = None
    factor: float = 1.0
    shift: float = 0.0

    @property
    def names(self) -> set[str]:
        """What it reads of the network."""
        return {name for name in (self.weight, self.norm) if name is not None}


@dataclass(frozen=True)
class Step:
    """What the kernel does to `source`, and adds `add` to or multiplies with it; the result goes to `target`."""

    kind: int
    source: Value
    shape: Shape3  # of the result, after pooling by twos
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)  # how far the first window reaches beyond the source's first pixel
    layer: Layer | None = None  # of sums
    window: Window | None = None  # of pooling
    add: Value | None = None
    times: bool = False  # `add` is multiplied with
    act: Curve = NOTHING
    pool: bool = False  # whether only the largest of each 2 x 2 is written
    epsilon: float = 0.0  # beside a variance

    @property
    def operands(self) -> list[Value]:
        """What it reads."""
        return [self.source] if self.add is None else [self.source, self.add]

    @property
    def computed(self) -> Shape3:
        """The shape of what it computes, before pooling by twos."""
        channels, rows, columns = self.shape
        return (channels, rows << self.pool, columns << self.pool)

    @property
    def reads(self) -> tuple[Pair, Pair]:
        """The first and the last pixel that it reads of the source, which may lie outside."""
        if self.layer is None or self.kind != SUMS:
            return (0, 0), (self.source.shape[1] - 1, self.source.shape[2] - 1)
        ends = zip(self.computed[1:], self.stride, self.pad, self.layer.shape[2:], self.layer.dilation, strict=True)
        rows, columns = ((n - 1) * stride - pad + (size - 1) * dilation for n, stride, pad, size, dilation in ends)
        return (-self.pad[0], -self.pad[1]), (rows, columns)

    @property
    def inside(self) -> bool:
        """Whether it reads no border."""
        (top, left), (bottom, right) = self.reads
        sizes = self.source.buffer.shape[1:]
        return min(top, left) >= 0 and bottom < sizes[0] and right < sizes[1] and self.source.start == (0, 0)

    @property
    def pointwise(self) -> bool:
        """Whether each of its outputs comes of the same pixels of what it reads, and of no others."""
        if self.kind == SUMS and self.layer is not None:
            return self.layer.shape[1:] == (1, 1, 1) and self.stride == (1, 1) and not self.pool
        return self.kind in (COPY, CENTRE)


@dataclass
class Pending:
    """A step that is not emitted yet, so that what follows can be attached to it."""

    node: fx.Node
    step: Step
    flat: bool = False
    last: bool = False
    value: Value | None = None  # where it went, once it is emitted

    def with_(self, node: fx.Node, **changes: Any) -> Pending:
        """The same with more attached, as a node has it."""
        return replace(self, node=node, step=replace(self.step, **changes))


@dataclass
class Steps:
    """Those that are emitted so far, in order, with what they write."""

    done: list[tuple[Step, Value]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def open(self, node: fx.Node, value: Any) -> bool:
        """Whether something may be attached to a pending step: nobody else reads what it has so far."""
        open_step = isinstance(value, Pending) and value.value is None
        return open_step and readers(value.node) == 1 and value.node in node.all_input_nodes

    def sums(self, node: fx.Node, value: Any) -> bool:
        """Whether it is a pending step of sums to which nothing is attached but a batch norm."""
        return self.adds(node, value) and value.step.kind == SUMS

    def adds(self, node: fx.Node, value: Any) -> bool:
        """Whether something may be added to a pending step."""
        return self.open(node, value) and value.step.act == NOTHING and value.step.add is None and not value.step.pool

    def ready(self, value: Any) -> Value:
        """A value in memory; a pending step is emitted when it is first wanted."""
        if isinstance(value, Value):
            return value
        if not isinstance(value, Pending):
            raise Unsupported("it computes with something that is not a tensor")
        if value.value is None:
            value.value = self._emit(value)
        return value.value

    def copied(self, value: Value) -> Value:
        """The same tensor in a buffer of its own."""
        if value.count:
            raise Unsupported("it computes with a tensor whose channels are padded")
        return self._written(Step(COPY, value, value.shape), value.flat, value.last)

    def _emit(self, pending: Pending) -> Value:
        step = pending.step
        if step.source.count:
            raise Unsupported("it computes with a tensor whose channels are padded")
        if not step.source.framed(*step.reads):
            step = replace(step, source=self.copied(step.source))
        if step.layer is not None:
            twice = step.layer.names & self.names
            if twice:
                raise Unsupported(f"it calls {min(twice).removesuffix('.weight')} twice")
            self.names |= step.layer.names
        return self._written(step, pending.flat, pending.last)

    def _written(self, step: Step, flat: bool, last: bool) -> Value:
        step.source.reach(*step.reads)
        if step.add is not None:
            step.add.reach((0, 0), (step.add.shape[1] - 1, step.add.shape[2] - 1))
        target = Value(Buffer(step.shape), step.shape)
        self.done.append((step, target))
        return replace(target, flat=flat, last=last)


def readers(node: fx.Node) -> int:
    """How many nodes compute with a node's tensor, and do not only look at its shape."""
    return sum(user.op == "output" or bool(shape(user)) for user in node.users)


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """The shape of one image's part of what a node computes."""
    return shape(node)[1:]


def shape3(node: fx.Node) -> Shape3:
    """The same as [channels, rows, columns]; a row of features has one pixel."""
    found = shape_of(node)
    if len(found) == 1:
        return found[0], 1, 1
    if len(found) != 3:
        raise Unsupported("it computes feature maps that are not [channels, rows, columns]")
    return found[0], found[1], found[2]
