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

from ..errors import InputError
from ..model.network import Network
from ..model.trace import trace
from .memory import Memory, Value, laid_out
from .plan import (
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
)
from .steps import Pending, Steps, shape3, shape_of
from .views import padded, sliced
from .windows import DEFAULTS, defaults, pair, stride_of

SHAPE = 2, 8  # rows and columns of the usual tile


def compiled(network: Network, fused: bool = True) -> Plan:
    """The plan of a network; raises Unsupported with the reason where the kernel cannot run it.

    `fused` makes 2 x 2 pooling part of the convolution before it and has sums take the place of what is added to them:
    less memory to go through, but then a layer's own output is nowhere to be seen.
    """
    try:
        traced = trace(network.module, network.inputs, "it needs")
    except InputError as error:
        raise Unsupported(str(error)) from error
    if network.inputs.vocabulary is not None:
        raise Unsupported("it reads token ids")
    return _Compiler(traced, network.input_shape, fused).plan()


@dataclass
class _Compiler:
    traced: fx.GraphModule
    input_shape: tuple[int, ...]
    fused: bool
    values: dict[fx.Node, Any] = field(default_factory=dict)
    steps: Steps = field(default_factory=Steps)
    result: Value | None = None

    def plan(self) -> Plan:
        convolutions = [m for m in self.traced.modules() if isinstance(m, nn.Conv2d)]
        self.steps.border = max(
            (max(pair(m.padding)) for m in convolutions if not isinstance(m.padding, str)), default=0
        )
        for node in self.traced.graph.nodes:
            self._visit(node)
        assert self.result is not None
        memory = Memory.of(self.steps.done, reuse=self.fused)
        partial = TILE * LANES * max(step.target.shape[0] for step in self.steps.done)
        reads = ((step.source.in_arena, step.add.in_arena if step.add else None) for step in self.steps.done)
        return Plan(
            memory.table(self.steps.done),
            tuple(step.weights for step in self.steps.done),
            tuple(reads),
            tuple(step.target.in_arena for step in self.steps.done),
            memory.arena + partial,
            memory.arena,
            memory.wide,
            self.steps.border,
            memory.origins[self.result.buffer] + self.result.origin,
            self.result.shape[0],
        )

    def _visit(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self.values[node] = self._images()
        elif node.op == "output":
            self.result = self.steps.ready(self.values[node.args[0]])  # type: ignore[index]
            if self.result.shape[1:] != (1, 1) or self.result.space != WIDE:
                raise Unsupported("its output is not one row per image")
        elif node.op == "call_module":
            self.values[node] = self._module(node, self.traced.get_submodule(str(node.target)))
        elif node.op in ("call_function", "call_method"):
            self.values[node] = self._call(node)
        else:
            raise Unsupported(f"it uses {node.op} {node.target}")

    def _images(self) -> Value:
        if len(self.input_shape) not in (1, 3):
            raise Unsupported(f"its inputs are {list(self.input_shape)}, neither images nor rows of features")
        channels, rows, columns = (*self.input_shape, 1, 1)[:3]  # a row of features is an image of one pixel
        return replace(laid_out((channels, rows, columns), self.steps.border, IMAGES), flat=len(self.input_shape) == 1)

    # What each kind of node becomes.

    def _module(self, node: fx.Node, module: nn.Module) -> Any:
        value = self.values[node.args[0]]  # type: ignore[index]
        if isinstance(module, nn.Conv2d):
            return self._convolution(node, module, self.steps.ready(value))
        if isinstance(module, nn.Linear):
            return self._linear(node, module, self.steps.ready(value))
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
            plain = not module.ceil_mode and pair(module.dilation) == (1, 1) and pair(module.padding) == (0, 0)
            return self._pooled(node, value, MAXIMUM, module.kernel_size, module.stride, plain)
        if isinstance(module, nn.AvgPool2d):
            plain = not module.ceil_mode and pair(module.padding) == (0, 0) and module.divisor_override is None
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
        if target in ("view", "reshape") and len(shape_of(node)) == 1:
            return self._flattened(value)
        if target is F.adaptive_avg_pool2d:
            return self._averaged(node, value, arguments[1])
        if target is F.max_pool2d and len(arguments) <= 3 and not set(node.kwargs) - {"stride"} - DEFAULTS:
            return self._pooled(node, value, MAXIMUM, arguments[1], stride_of(node), defaults(node))
        if target is F.avg_pool2d and len(arguments) <= 3 and not set(node.kwargs) - {"stride"} - DEFAULTS:
            return self._pooled(node, value, MEAN, arguments[1], stride_of(node), defaults(node))
        if target is operator.getitem and isinstance(value, Value | Pending):
            return sliced(self.steps.ready(value), arguments[1])
        if (
            target is F.pad
            and list(arguments[2:]) in ([], ["constant"], ["constant", 0])
            and not node.kwargs.get("value")
        ):
            return padded(self.steps.ready(value), arguments[1])
        if value is not None and target in ("size", getattr):
            return None  # a number for a view, whose result the shapes tell
        if value is None and target in (operator.getitem, operator.mul, operator.floordiv):
            return None
        raise Unsupported(f"it calls {getattr(target, '__name__', target)}")

    def _convolution(self, node: fx.Node, module: nn.Conv2d, source: Value) -> Pending:
        if (
            module.padding_mode != "zeros"
            or isinstance(module.padding, str)
            or source.flat
            or source.low
            or source.count
        ):
            raise Unsupported("it has a convolution of an unusual kind")
        outputs, per_group, height, width = module.weight.shape
        up, left = pair(module.padding)
        down, right = pair(module.dilation)
        c, i, j = np.meshgrid(np.arange(per_group), np.arange(height), np.arange(width), indexing="ij")
        offsets = (c * source.plane + i * down * source.row + j * right * source.column).ravel()
        origins = np.arange(outputs) // (outputs // module.groups) * per_group * source.plane
        steps_down, steps_right = pair(module.stride)
        read_rows = (SHAPE[0] - 1) * steps_down + (height - 1) * down + 1
        read_columns = (SHAPE[1] - 1) * steps_right + (width - 1) * right + 1
        return self._sums(
            node,
            source,
            origins,
            offsets,
            (height * width, read_rows * read_columns),
            shape3(node),
            (steps_down * source.row, steps_right * source.column),
            -up * source.row - left * source.column,
        )

    def _linear(self, node: fx.Node, module: nn.Linear, source: Value) -> Pending:
        channels, rows, columns = source.shape
        if len(shape_of(node)) != 1 or module.in_features != channels * rows * columns or source.low or source.count:
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
        reads: tuple[int, int],  # taps and tile of Pending
        shape: tuple[int, int, int],
        stride: tuple[int, int],
        origin: int,
    ) -> Pending:
        if origins.max(initial=0) + offsets.max(initial=0) >= 2**31:
            raise Unsupported("its activations are too large")
        return Pending(
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

    def _norm(self, node: fx.Node, value: Any) -> Pending:
        if not self.steps.open(node, value) or value.kind != SUMS or value.norm or not self.steps.adds(node, value):
            raise Unsupported("it has a batch norm that does not follow a convolution or linear layer")
        return replace(value, norm=str(node.target), node=node)

    def _activated(self, node: fx.Node, value: Any, act: int) -> Pending:
        if self.steps.open(node, value) and value.act == NOTHING:
            return replace(value, act=act, node=node)
        return replace(self._copied(node, self.steps.ready(value)), act=act)

    def _added(self, node: fx.Node, one: Any, other: Any) -> Pending:
        if one is None or other is None:
            raise Unsupported("it adds something that is not a tensor")
        for value, residual in ((one, other), (other, one)):
            if self.steps.adds(node, value) and residual is not value:
                ready = self.steps.ready(residual)
                if ready.space == IMAGES or ready.shape != value.shape:
                    break
                return replace(value, add=ready, node=node)
        first, second = self.steps.ready(one), self.steps.ready(other)
        if second.space == IMAGES or first.count or first.shape != second.shape:
            raise Unsupported("it adds its images, a padded tensor to another one, or tensors of two shapes")
        return replace(self._copied(node, first), add=second)

    def _copied(self, node: fx.Node, source: Value) -> Pending:
        if source.count:
            raise Unsupported("it computes with a tensor whose channels are padded")
        return Pending(node, source, COPY, source.shape, (source.row, source.column), 0, flat=source.flat)

    def _pooled(self, node: fx.Node, value: Any, kind: int, size: Any, stride: Any, plain: bool) -> Pending:
        (height, width), (down, right) = pair(size), pair(size if stride is None else stride)
        halves = self.fused and kind == MAXIMUM and plain and (height, width) == (down, right) == (2, 2)
        if halves and self.steps.open(node, value) and self._halves(value):
            return replace(value, pool=True, shape=shape3(node), node=node)
        source = self.steps.ready(value)
        if not plain or source.flat or source.count:
            raise Unsupported("it pools in an unusual way")
        steps = (down * source.row, right * source.column)
        return Pending(node, source, kind, shape3(node), steps, 0, window=(height, width))

    def _halves(self, value: Pending) -> bool:
        """Whether a pending step can write the largest of each 2 x 2 alone."""
        even = value.shape[1] % 2 == value.shape[2] % 2 == 0
        return value.kind == SUMS and even and not value.pool and not value.flat

    def _averaged(self, node: fx.Node, value: Any, size: Any) -> Pending:
        if pair(size) != (1, 1):
            raise Unsupported("it pools adaptively to more than one position")
        rows, columns = self.steps.ready(value).shape[1:]
        return self._pooled(node, value, MEAN, (rows, columns), (rows, columns), True)

    def _flattened(self, value: Any) -> Value:
        ready = self.steps.ready(value)
        if ready.count:
            raise Unsupported("it flattens a tensor whose channels are padded")
        return replace(ready, flat=True)
