"""A network's torch.fx graph compiled to the few steps that the sparse kernel runs.

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

LANES = 16  # images in one vector
SUMS, COPY, MAXIMUM, MEAN = 0, 1, 2, 3
NOTHING, RELU, RELU6 = 0, 1, 2
# The columns of a step, all distances in floats; mirrors Step in kernel.cpp.
FIELDS = (
    *("kind", "from_images", "in", "in_plane", "in_row", "in_column", "out", "out_plane", "out_row"),
    *("channels", "rows", "columns", "add", "add_plane", "add_row", "add_column", "add_from", "add_to"),
    *("act", "first", "window_rows", "window_columns", "row_gap", "column_gap"),
)


class Unsupported(Exception):
    """The kernel cannot run this network; says why."""


@dataclass(frozen=True)
class Weights:
    """A layer behind a step of sums: where its weights read, relative to an output pixel's origin."""

    layer: str
    norm: str | None  # the batch norm that is folded in
    first: int  # its first output channel among all
    offsets: NDArray[np.int32]  # [outputs, weights per output]


@dataclass(frozen=True)
class Plan:
    """Steps int64[n, fields], the layers with weights, and the memory that one thread needs, in floats."""

    steps: NDArray[np.int64]
    weights: tuple[Weights, ...]
    arena: int
    image_border: int
    result: int
    classes: int


@dataclass
class _Tensor:
    """A value in memory: channels [low, low + count) of `shape` lie at `origin` and the distances; others are zero."""

    shape: tuple[int, int, int]
    origin: int
    plane: int
    row: int
    column: int
    border: int
    of_images: bool = False
    low: int = 0
    count: int = 0
    flat: bool = False
    buffer: int = -1


@dataclass
class _Pending:
    """A step that is not emitted yet, so that what follows can be attached to it."""

    node: fx.Node
    source: Any
    kind: int
    shape: tuple[int, int, int]
    stride: tuple[int, int]
    origin: int  # of the first window, relative to the source's origin
    layer: str | None = None
    norm: str | None = None
    offsets: NDArray[np.int32] | None = None
    window: tuple[int, int] = (1, 1)
    add: Any = None
    act: int = NOTHING
    flat: bool = False
    tensor: _Tensor | None = None  # where it went, once it is emitted


def compiled(network: Network) -> Plan:
    """The plan of a network; raises Unsupported with the reason where the kernel cannot run it."""
    try:
        traced = fx.symbolic_trace(network.module)
        device = next(network.module.parameters()).device
        with torch.inference_mode():
            ShapeProp(traced).propagate(torch.zeros(1, *network.input_shape, device=device))
    except Exception as error:  # fx raises whatever the traced code raises
        raise Unsupported(f"torch.fx cannot trace it: {error}") from error
    return _Compiler(traced, network.input_shape).plan()


@dataclass
class _Compiler:
    traced: fx.GraphModule
    input_shape: tuple[int, ...]
    values: dict[fx.Node, Any] = field(default_factory=dict)
    steps: list[tuple[dict[str, int], _Tensor, Any, Any]] = field(default_factory=list)
    weights: list[Weights] = field(default_factory=list)
    outputs: int = 0
    buffers: list[tuple[int, int, int]] = field(default_factory=list)  # rows, columns, border of each
    result: _Tensor | None = None

    def plan(self) -> Plan:
        convolutions = [m for m in self.traced.modules() if isinstance(m, nn.Conv2d)]
        self.border = max((max(_pair(m.padding)) for m in convolutions if not isinstance(m.padding, str)), default=0)
        for node in self.traced.graph.nodes:
            self._visit(node)
        assert self.result is not None
        origins, arena = self._allocate()
        steps = [self._row(fields, target, source, add, origins) for fields, target, source, add in self.steps]
        classes = self.result.shape[0]
        table = np.array(steps, dtype=np.int64)
        return Plan(table, tuple(self.weights), arena, self.border, origins[self.result.buffer], classes)

    def _visit(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self.values[node] = self._images()
        elif node.op == "output":
            self.result = self._ready(self.values[node.args[0]])  # type: ignore[index]
            if self.result.shape[1:] != (1, 1) or self.result.of_images:
                raise Unsupported("its output is not one row per image")
        elif node.op == "call_module":
            self.values[node] = self._module(node, self.traced.get_submodule(str(node.target)))
        elif node.op in ("call_function", "call_method"):
            self.values[node] = self._call(node)
        else:
            raise Unsupported(f"it uses {node.op} {node.target}")

    def _images(self) -> _Tensor:
        if len(self.input_shape) != 3:
            raise Unsupported(f"its images have {len(self.input_shape)} dimensions")
        channels, rows, columns = self.input_shape
        return _laid_out((channels, rows, columns), self.border, of_images=True)

    # What each kind of node becomes.

    def _module(self, node: fx.Node, module: nn.Module) -> Any:
        value = self.values[node.args[0]]  # type: ignore[index]
        if isinstance(module, nn.Conv2d):
            return self._convolution(node, module, self._ready(value))
        if isinstance(module, nn.Linear):
            return self._linear(node, module, self._ready(value))
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
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
        if target is operator.getitem and isinstance(value, _Tensor | _Pending):
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

    def _convolution(self, node: fx.Node, module: nn.Conv2d, source: _Tensor) -> _Pending:
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
        within = (c * source.plane + i * down * source.row + j * right * source.column).ravel()
        group = np.arange(outputs) // (outputs // module.groups) * per_group * source.plane
        offsets = group[:, None] + within[None, :]
        origin = -up * source.row - left * source.column
        stride = (_pair(module.stride)[0] * source.row, _pair(module.stride)[1] * source.column)
        return self._sums(node, source, offsets, _shape3(node), stride, origin)

    def _linear(self, node: fx.Node, module: nn.Linear, source: _Tensor) -> _Pending:
        channels, rows, columns = source.shape
        if len(_shape(node)) != 1 or module.in_features != channels * rows * columns or source.low or source.count:
            raise Unsupported("it has a linear layer that is not on one row per image")
        c, y, x = np.meshgrid(np.arange(channels), np.arange(rows), np.arange(columns), indexing="ij")
        offsets = (c * source.plane + y * source.row + x * source.column).ravel()
        return self._sums(
            node, source, np.tile(offsets, (module.out_features, 1)), (module.out_features, 1, 1), (0, 0), 0
        )

    def _sums(
        self,
        node: fx.Node,
        source: _Tensor,
        offsets: NDArray[np.integer],
        shape: tuple[int, int, int],
        stride: tuple[int, int],
        origin: int,
    ) -> _Pending:
        if offsets.max(initial=0) >= 2**31:
            raise Unsupported("its activations are too large")
        return _Pending(
            node, source, SUMS, shape, stride, origin, layer=str(node.target), offsets=offsets.astype(np.int32)
        )

    def _norm(self, node: fx.Node, value: Any) -> _Pending:
        if not self._open(node, value) or value.kind != SUMS or value.norm or value.add is not None or value.act:
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
            if self._open(node, value) and value.act == NOTHING and value.add is None and residual is not value:
                ready = self._ready(residual)
                if ready.of_images:
                    break
                return replace(value, add=ready, node=node)
        first, second = self._ready(one), self._ready(other)
        if second.of_images or first.count:
            raise Unsupported("it adds its images, or a padded tensor to another one")
        return replace(self._copied(node, first), add=second)

    def _copied(self, node: fx.Node, source: _Tensor) -> _Pending:
        if source.count:
            raise Unsupported("it computes with a tensor whose channels are padded")
        return _Pending(node, source, COPY, source.shape, (source.row, source.column), 0, flat=source.flat)

    def _pooled(self, node: fx.Node, value: Any, kind: int, size: Any, stride: Any, plain: bool) -> _Pending:
        source = self._ready(value)
        if not plain or source.flat or source.count:
            raise Unsupported("it pools in an unusual way")
        (height, width), (down, right) = _pair(size), _pair(size if stride is None else stride)
        steps = (down * source.row, right * source.column)
        return _Pending(node, source, kind, _shape3(node), steps, 0, window=(height, width))

    def _averaged(self, node: fx.Node, value: Any, size: Any) -> _Pending:
        if _pair(size) != (1, 1):
            raise Unsupported("it pools adaptively to more than one position")
        rows, columns = self._ready(value).shape[1:]
        return self._pooled(node, value, MEAN, (rows, columns), (rows, columns), True)

    def _flattened(self, value: Any) -> _Tensor:
        ready = self._ready(value)
        if ready.count:
            raise Unsupported("it flattens a tensor whose channels are padded")
        return replace(ready, flat=True)

    def _sliced(self, source: _Tensor, index: Any) -> _Tensor:
        if not isinstance(index, tuple) or len(index) != 4 or source.of_images or source.flat:
            raise Unsupported("it takes a part of a tensor in an unusual way")
        if any(part != slice(None) for part in index[:2]) or not all(_steps_only(part) for part in index[2:]):
            raise Unsupported("it takes a part of a tensor in an unusual way")
        down, right = (part.step or 1 for part in index[2:])
        channels, rows, columns = source.shape
        shape = (channels, -(-rows // down), -(-columns // right))
        return replace(source, shape=shape, row=source.row * down, column=source.column * right)

    def _padded(self, source: _Tensor, widths: Any) -> _Tensor:
        if len(widths) != 6 or any(widths[:4]) or source.count or min(widths) < 0 or source.of_images:
            raise Unsupported("it pads a tensor in an unusual way")
        channels, rows, columns = source.shape
        shape = (channels + widths[4] + widths[5], rows, columns)
        return replace(source, shape=shape, low=widths[4], count=channels)

    # How steps come into being.

    def _open(self, node: fx.Node, value: Any) -> bool:
        """Whether something may be attached to a pending step: nobody else reads what it has so far."""
        open_step = isinstance(value, _Pending) and value.tensor is None
        return open_step and len(value.node.users) == 1 and value.node in node.all_input_nodes

    def _ready(self, value: Any) -> _Tensor:
        """A value in memory; a pending step is emitted when it is first wanted."""
        if value is None:
            raise Unsupported("it computes with something that is not a tensor")
        if isinstance(value, _Tensor):
            return value
        if value.tensor is None:
            value.tensor = self._emit(value)
        return value.tensor

    def _emit(self, step: _Pending) -> _Tensor:
        channels, rows, columns = step.shape
        border = 0 if (rows, columns) == (1, 1) else self.border
        target = _laid_out(step.shape, border, buffer=len(self.buffers))
        self.buffers.append((rows, columns, border))
        source: _Tensor = step.source
        fields = {
            "kind": step.kind,
            "from_images": int(source.of_images),
            "in": source.origin + step.origin,
            "in_plane": source.plane,
            "in_row": step.stride[0],
            "in_column": step.stride[1],
            "channels": channels,
            "rows": rows,
            "columns": columns,
            "act": step.act,
            "window_rows": step.window[0],
            "window_columns": step.window[1],
            "row_gap": source.row,
            "column_gap": source.column,
        }
        if step.kind == SUMS:
            assert step.layer is not None
            assert step.offsets is not None
            if any(known.layer == step.layer for known in self.weights):
                raise Unsupported(f"it calls {step.layer} twice")
            fields["first"] = self.outputs
            self.weights.append(Weights(step.layer, step.norm, self.outputs, step.offsets))
            self.outputs += channels
        self.steps.append((fields, target, source, step.add))
        return replace(target, flat=step.flat or len(_shape(step.node)) == 1)

    def _allocate(self) -> tuple[dict[int, int], int]:
        """Where each buffer lies: one that nobody reads any more is taken over by the next of the same planes."""
        last = {target.buffer: number for number, (_, target, _, _) in enumerate(self.steps)}
        for number, (_, _, source, add) in enumerate(self.steps):
            for tensor in (source, add):
                if tensor is not None and not tensor.of_images:
                    last[tensor.buffer] = number
        assert self.result is not None
        last[self.result.buffer] = len(self.steps)
        rooms: list[tuple[tuple[int, int, int], int]] = []  # planes, channels
        room_of: dict[int, int] = {}
        for number, (_, target, _, _) in enumerate(self.steps):
            taken = {room_of[b] for b in room_of if last[b] >= number}
            planes, channels = self.buffers[target.buffer], target.shape[0]
            free = [r for r, (kind, _) in enumerate(rooms) if kind == planes and r not in taken]
            room = free[0] if free else len(rooms)
            if not free:
                rooms.append((planes, 0))
            rooms[room] = (planes, max(rooms[room][1], channels))
            room_of[target.buffer] = room
        sizes = [count * (rows + 2 * b) * (columns + 2 * b) * LANES for (rows, columns, b), count in rooms]
        starts = np.cumsum([0, *sizes]).tolist()
        return {buffer: starts[room] for buffer, room in room_of.items()}, starts[-1]

    def _row(
        self, fields: dict[str, int], target: _Tensor, source: _Tensor, add: _Tensor | None, origins: dict[int, int]
    ) -> list[int]:
        row = dict.fromkeys(FIELDS, 0) | fields | {"add": -1}
        if not source.of_images:
            row["in"] += origins[source.buffer]
        row |= {"out": origins[target.buffer] + target.origin, "out_plane": target.plane, "out_row": target.row}
        if add is not None:
            row |= {"add": origins[add.buffer] + add.origin, "add_plane": add.plane, "add_row": add.row}
            row |= {"add_column": add.column, "add_from": add.low, "add_to": add.low + (add.count or add.shape[0])}
        return [row[name] for name in FIELDS]


_DEFAULTS = {"padding", "ceil_mode", "return_indices", "dilation", "count_include_pad", "divisor_override"}


def _defaults(node: fx.Node) -> bool:
    """Whether a pooling function's settings, but for its size and stride, are torch's defaults."""
    plain = {"padding": 0, "ceil_mode": False, "return_indices": False, "dilation": 1, "count_include_pad": True}
    return all(node.kwargs.get(name, value) == value for name, value in plain.items())


def _second(node: fx.Node) -> Any:
    return node.args[2] if len(node.args) > 2 else node.kwargs.get("stride")


def _laid_out(shape: tuple[int, int, int], border: int, of_images: bool = False, buffer: int = -1) -> _Tensor:
    rows, columns = shape[1] + 2 * border, shape[2] + 2 * border
    row, plane = columns * LANES, rows * columns * LANES
    return _Tensor(shape, border * (row + LANES), plane, row, LANES, border, of_images, buffer=buffer)


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
