"""A network's torch.fx graph compiled to a plan for the sparse kernel.

Convolutions and linear layers become weighted sums with batch norm folded in and additions and ReLU attached; pooling
becomes a window. Slices and channel padding, as in option-A shortcuts, are only other ways to walk through a tensor.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from ..network import Network
from .memory import Memory, Step, Value, laid_out
from .plan import (
    ARENA,
    COPY,
    IMAGES,
    LANES,
    MAXIMUM,
    MEAN,
    NOTHING,
    RELU,
    RELU6,
    SLOTS,
    SUMS,
    TILE,
    WIDE,
    Plan,
    Unsupported,
    Weights,
)

SHAPE = 2, 8  # rows and columns of the usual tile


@dataclass
class _Pending:
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


def compiled(network: Network, fused: bool = True) -> Plan:
    """The plan of a network; raises Unsupported with the reason where the kernel cannot run it.

    `fused` makes 2 x 2 pooling part of the convolution before it and has sums take the place of what is added to them:
    less memory to go through, but then a layer's own output is nowhere to be seen.
    """
    try:
        traced = fx.symbolic_trace(network.module)
        device = next(network.module.parameters()).device
        with torch.inference_mode():
            ShapeProp(traced).propagate(torch.zeros(1, *network.input_shape, device=device))
    except Exception as error:  # fx raises whatever the traced code raises
        raise Unsupported(f"torch.fx cannot trace it: {error}") from error
    return _Compiler(traced, network.input_shape, fused).plan()


@dataclass
class _Compiler:
    traced: fx.GraphModule
    input_shape: tuple[int, ...]
    fused: bool
    values: dict[fx.Node, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: int = 0
    result: Value | None = None

    def plan(self) -> Plan:
        convolutions = [m for m in self.traced.modules() if isinstance(m, nn.Conv2d)]
        self.border = max((max(_pair(m.padding)) for m in convolutions if not isinstance(m.padding, str)), default=0)
        for node in self.traced.graph.nodes:
            self._visit(node)
        assert self.result is not None
        memory = Memory.of(self.steps, reuse=self.fused)
        partial = TILE * LANES * max(step.target.shape[0] for step in self.steps)
        reads = ((step.source.in_arena, step.add.in_arena if step.add else None) for step in self.steps)
        return Plan(
            memory.table(self.steps),
            tuple(step.weights for step in self.steps),
            tuple(reads),
            tuple(step.target.in_arena for step in self.steps),
            memory.arena + partial,
            memory.arena,
            memory.wide,
            self.border,
            memory.origins[self.result.buffer] + self.result.origin,
            self.result.shape[0],
        )

    def _visit(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self.values[node] = self._images()
        elif node.op == "output":
            self.result = self._ready(self.values[node.args[0]])  # type: ignore[index]
            if self.result.shape[1:] != (1, 1) or self.result.space != WIDE:
                raise Unsupported("its output is not one row per image")
        elif node.op == "call_module":
            self.values[node] = self._module(node, self.traced.get_submodule(str(node.target)))
        elif node.op in ("call_function", "call_method"):
            self.values[node] = self._call(node)
        else:
            raise Unsupported(f"it uses {node.op} {node.target}")

    def _images(self) -> Value:
        if len(self.input_shape) != 3:
            raise Unsupported(f"its images have {len(self.input_shape)} dimensions")
        channels, rows, columns = self.input_shape
        return laid_out((channels, rows, columns), self.border, IMAGES)

    # What each kind of node becomes.

    def _module(self, node: fx.Node, module: nn.Module) -> Any:
        value = self.values[node.args[0]]  # type: ignore[index]
        if isinstance(module, nn.Conv2d):
            return self._convolution(node, module, self._ready(value))
        if isinstance(module, nn.Linear):
            return self._linear(node, module, self._ready(value))
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            if module.running_mean is None:
                raise Unsupported("it has a batch norm without running statistics")
            return self._norm(node, value)
        if isinstance(module, nn.ReLU | nn.ReLU6):
            return self._activated(node, value, RELU6 if isinstance(module, nn.ReLU6) else RELU)
        if isinstance(module, nn.Identity | nn.Dropout | nn.Dropout2d):
            return value
        if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            return self._flattened(value)
        if isinstance(module, nn.MaxPool2d):
            plain = not module.ceil_mode and _pair(module.dilation) == (1, 1) and _pair(module.padding) == (0, 0)
            return self._pooled(node, value, MAXIMUM, module.kernel_size, module.stride, plain)
        if isinstance(module, nn.AvgPool2d):
            plain = not module.ceil_mode and _pair(module.padding) == (0, 0) and module.divisor_override is None
            return self._pooled(node, value, MEAN, module.kernel_size, module.stride, plain)
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return self._averaged(node, value, module.output_size)
        raise Unsupported(f"it has a {type(module).__name__}")

    def _call(self, node: fx.Node) -> Any:
        target, arguments = node.target, node.args
        value = self.values.get(arguments[0]) if isinstance(arguments[0], fx.Node) else None
        if (
            target in (operator.add, torch.add, operator.iadd, "add", "add_")
            and len(arguments) == 2
            and not node.kwargs
        ):
            return self._added(node, value, self.values.get(arguments[1]))  # type: ignore[arg-type] # None when it is a number
        if target in (F.relu, torch.relu, "relu", "relu_"):
            return self._activated(node, value, RELU)
        if target is F.relu6:
            return self._activated(node, value, RELU6)
        if target in (torch.flatten, "flatten") and list(arguments[1:]) == [1] and not node.kwargs:
            return self._flattened(value)
        if target in ("view", "reshape") and len(_shape(node)) == 1:
            return self._flattened(value)
        if target is F.adaptive_avg_pool2d:
            return self._averaged(node, value, arguments[1])
        if target is F.max_pool2d and len(arguments) <= 3 and not set(node.kwargs) - {"stride"} - _DEFAULTS:
            return self._pooled(node, value, MAXIMUM, arguments[1], _second(node), _defaults(node))
        if target is F.avg_pool2d and len(arguments) <= 3 and not set(node.kwargs) - {"stride"} - _DEFAULTS:
            return self._pooled(node, value, MEAN, arguments[1], _second(node), _defaults(node))
        if target is operator.getitem and isinstance(value, Value | _Pending):
            return self._sliced(self._ready(value), arguments[1])
        if (
            target is F.pad
            and list(arguments[2:]) in ([], ["constant"], ["constant", 0])
            and not node.kwargs.get("value")
        ):
            return self._padded(self._ready(value), arguments[1])
        if value is not None and target in ("size", getattr):
            return None  # a number for a view, whose result the shapes tell
        if value is None and target in (operator.getitem, operator.mul, operator.floordiv):
            return None
        raise Unsupported(f"it calls {getattr(target, '__name__', target)}")

    def _convolution(self, node: fx.Node, module: nn.Conv2d, source: Value) -> _Pending:
        if (
            module.padding_mode != "zeros"
            or isinstance(module.padding, str)
            or source.flat
            or source.low
            or source.count
        ):
            raise Unsupported("it has a convolution of an unusual kind")
        outputs, per_group, height, width = module.weight.shape
        up, left = _pair(module.padding)
        down, right = _pair(module.dilation)
        c, i, j = np.meshgrid(np.arange(per_group), np.arange(height), np.arange(width), indexing="ij")
        offsets = (c * source.plane + i * down * source.row + j * right * source.column).ravel()
        origins = np.arange(outputs) // (outputs // module.groups) * per_group * source.plane
        steps_down, steps_right = _pair(module.stride)
        read_rows = (SHAPE[0] - 1) * steps_down + (height - 1) * down + 1
        read_columns = (SHAPE[1] - 1) * steps_right + (width - 1) * right + 1
        return self._sums(
            node,
            source,
            origins,
            offsets,
            (height * width, read_rows * read_columns),
            _shape3(node),
            (steps_down * source.row, steps_right * source.column),
            -up * source.row - left * source.column,
        )

    def _linear(self, node: fx.Node, module: nn.Linear, source: Value) -> _Pending:
        channels, rows, columns = source.shape
        if len(_shape(node)) != 1 or module.in_features != channels * rows * columns or source.low or source.count:
            raise Unsupported("it has a linear layer that is not on one row per image")
        c, y, x = np.meshgrid(np.arange(channels), np.arange(rows), np.arange(columns), indexing="ij")
        offsets = (c * source.plane + y * source.row + x * source.column).ravel()
        outputs = module.out_features
        origins = np.zeros(outputs, dtype=np.int64)
        return self._sums(node, source, origins, offsets, (1, SLOTS), (outputs, 1, 1), (0, 0), 0)

    def _sums(
        self,
        node: fx.Node,
        source: Value,
        origins: NDArray[np.integer],
        offsets: NDArray[np.integer],
        reads: tuple[int, int],  # taps and tile of _Pending
        shape: tuple[int, int, int],
        stride: tuple[int, int],
        origin: int,
    ) -> _Pending:
        if origins.max(initial=0) + offsets.max(initial=0) >= 2**31:
            raise Unsupported("its activations are too large")
        return _Pending(
            node,
            source,
            SUMS,
            shape,
            stride,
            origin,
            str(node.target),
            origins=origins,
            offsets=offsets,
            taps=reads[0],
            tile=reads[1],
        )

    def _norm(self, node: fx.Node, value: Any) -> _Pending:
        if not self._open(node, value) or value.kind != SUMS or value.norm or not self._adds(node, value):
            raise Unsupported("it has a batch norm that does not follow a convolution or linear layer")
        return replace(value, norm=str(node.target), node=node)

    def _activated(self, node: fx.Node, value: Any, act: int) -> _Pending:
        if self._open(node, value) and value.act == NOTHING:
            return replace(value, act=act, node=node)
        return replace(self._copied(node, self._ready(value)), act=act)

    def _added(self, node: fx.Node, one: Any, other: Any) -> _Pending:
        if one is None or other is None:
            raise Unsupported("it adds something that is not a tensor")
        for value, residual in ((one, other), (other, one)):
            if self._adds(node, value) and residual is not value:
                ready = self._ready(residual)
                if ready.space == IMAGES or ready.shape != value.shape:
                    break
                return replace(value, add=ready, node=node)
        first, second = self._ready(one), self._ready(other)
        if second.space == IMAGES or first.count or first.shape != second.shape:
            raise Unsupported("it adds its images, a padded tensor to another one, or tensors of two shapes")
        return replace(self._copied(node, first), add=second)

    def _adds(self, node: fx.Node, value: Any) -> bool:
        """Whether something may be added to a pending step."""
        return self._open(node, value) and value.act == NOTHING and value.add is None and not value.pool

    def _copied(self, node: fx.Node, source: Value) -> _Pending:
        if source.count:
            raise Unsupported("it computes with a tensor whose channels are padded")
        return _Pending(node, source, COPY, source.shape, (source.row, source.column), 0, flat=source.flat)

    def _pooled(self, node: fx.Node, value: Any, kind: int, size: Any, stride: Any, plain: bool) -> _Pending:
        (height, width), (down, right) = _pair(size), _pair(size if stride is None else stride)
        halves = self.fused and kind == MAXIMUM and plain and (height, width) == (down, right) == (2, 2)
        if halves and self._open(node, value) and self._halves(value):
            return replace(value, pool=True, shape=_shape3(node), node=node)
        source = self._ready(value)
        if not plain or source.flat or source.count:
            raise Unsupported("it pools in an unusual way")
        steps = (down * source.row, right * source.column)
        return _Pending(node, source, kind, _shape3(node), steps, 0, window=(height, width))

    def _halves(self, value: _Pending) -> bool:
        """Whether a pending step can write the largest of each 2 x 2 alone."""
        even = value.shape[1] % 2 == value.shape[2] % 2 == 0
        return value.kind == SUMS and even and not value.pool and not value.flat

    def _averaged(self, node: fx.Node, value: Any, size: Any) -> _Pending:
        if _pair(size) != (1, 1):
            raise Unsupported("it pools adaptively to more than one position")
        rows, columns = self._ready(value).shape[1:]
        return self._pooled(node, value, MEAN, (rows, columns), (rows, columns), True)

    def _flattened(self, value: Any) -> Value:
        ready = self._ready(value)
        if ready.count:
            raise Unsupported("it flattens a tensor whose channels are padded")
        return replace(ready, flat=True)

    def _sliced(self, source: Value, index: Any) -> Value:
        if not isinstance(index, tuple) or len(index) != 4 or source.space == IMAGES or source.flat:
            raise Unsupported("it takes a part of a tensor in an unusual way")
        if any(part != slice(None) for part in index[:2]) or not all(_steps_only(part) for part in index[2:]):
            raise Unsupported("it takes a part of a tensor in an unusual way")
        down, right = (part.step or 1 for part in index[2:])
        channels, rows, columns = source.shape
        shape = (channels, -(-rows // down), -(-columns // right))
        return replace(source, shape=shape, row=source.row * down, column=source.column * right)

    def _padded(self, source: Value, widths: Any) -> Value:
        if len(widths) != 6 or any(widths[:4]) or source.count or min(widths) < 0 or source.space == IMAGES:
            raise Unsupported("it pads a tensor in an unusual way")
        channels, rows, columns = source.shape
        shape = (channels + widths[4] + widths[5], rows, columns)
        return replace(source, shape=shape, low=widths[4], count=channels)

    # How steps come into being.

    def _open(self, node: fx.Node, value: Any) -> bool:
        """Whether something may be attached to a pending step: nobody else reads what it has so far."""
        open_step = isinstance(value, _Pending) and value.value is None
        return open_step and len(value.node.users) == 1 and value.node in node.all_input_nodes

    def _ready(self, value: Any) -> Value:
        """A value in memory; a pending step is emitted when it is first wanted."""
        if value is None:
            raise Unsupported("it computes with something that is not a tensor")
        if isinstance(value, Value):
            return value
        if value.value is None:
            value.value = self._emit(value)
        return value.value

    def _emit(self, step: _Pending) -> Value:
        flat = step.flat or len(_shape(step.node)) == 1
        wide = flat or _is_flattened(step.node)
        border = 0 if wide else self.border
        target = laid_out(step.shape, border, WIDE if wide else ARENA, buffer=len(self.steps))
        weights = None
        if step.kind == SUMS:
            weights = self._weights(step)
            self.outputs += weights.outputs
        operands = [value for value in (step.source, step.add) if value is not None]
        tail = flat and step.shape[1:] == (1, 1) and all(value.space != ARENA for value in operands)
        of_tail = {known.target.buffer for known in self.steps if known.tail}
        if not tail and any(value.buffer in of_tail for value in operands):
            raise Unsupported("it mixes feature maps with what comes after the last one")
        taken = (step.source, target, step.shape, step.stride, step.origin, step.window)
        self.steps.append(Step(step.kind, *taken, step.add, step.act, step.pool, tail, weights))
        return replace(target, flat=flat)

    def _weights(self, step: _Pending) -> Weights:
        assert step.layer is not None
        assert step.origins is not None
        assert step.offsets is not None
        if any(known.weights is not None and known.weights.layer == step.layer for known in self.steps):
            raise Unsupported(f"it calls {step.layer} twice")
        origins, offsets = step.origins.astype(np.int32), step.offsets.astype(np.int32)
        window = step.tile * LANES * 4
        return Weights(step.layer, step.norm, self.outputs, origins, offsets, step.taps, window)


def _is_flattened(node: fx.Node) -> bool:
    """Whether whoever reads a tensor reads it as one row per image."""
    users = [user for user in node.users if user.meta.get("tensor_meta") is not None or user.op == "output"]
    return bool(users) and all(
        user.op != "output" and (len(_shape(user)) == 1 or (_passes(user) and _is_flattened(user))) for user in users
    )


def _passes(node: fx.Node) -> bool:
    """Whether a node hands on what it gets."""
    owner = node.graph.owning_module
    if node.op != "call_module" or owner is None:
        return False
    return isinstance(owner.get_submodule(str(node.target)), nn.Identity | nn.Dropout | nn.Dropout2d)


_DEFAULTS = {"padding", "ceil_mode", "return_indices", "dilation", "count_include_pad", "divisor_override"}


def _defaults(node: fx.Node) -> bool:
    """Whether a pooling function's settings, but for its size and stride, are torch's defaults."""
    plain = {"padding": 0, "ceil_mode": False, "return_indices": False, "dilation": 1, "count_include_pad": True}
    return all(node.kwargs.get(name, value) == value for name, value in plain.items())


def _second(node: fx.Node) -> Any:
    return node.args[2] if len(node.args) > 2 else node.kwargs.get("stride")


def _shape(node: fx.Node) -> tuple[int, ...]:
    """The shape of one image's part of what a node computes."""
    meta = node.meta.get("tensor_meta")
    return tuple(getattr(meta, "shape", ()))[1:]


def _shape3(node: fx.Node) -> tuple[int, int, int]:
    shape = _shape(node)
    if len(shape) != 3:
        raise Unsupported("it computes feature maps that are not [channels, rows, columns]")
    return shape[0], shape[1], shape[2]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _steps_only(part: Any) -> bool:
    return isinstance(part, slice) and part.start is None and part.stop is None
