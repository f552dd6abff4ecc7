"""A module's torch.fx graph recorded as operations that the kernel runs forwards and backwards."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from ..model.inputs import Inputs, Shape
from ..model.trace import measured, shape
from .operations import ADD, AVERAGE, LARGEST, NORM, RELU, WEIGHTED, Op, Recording, Value, Window
from .plan import Unsupported
from .windows import DEFAULTS, defaults, pair, stride_of

PLAIN = (False, (0, 0), None)  # ceil_mode, padding and divisor of an average over whole windows


def recorded(traced: fx.GraphModule, inputs: Inputs | Shape, before: Recording | None = None) -> Recording:
    """The recording of a graph, whose module's parameters it shares; raises Unsupported where there is none.

    `inputs` is one input, or its shape; with `before` it is what another recording gives, and both become one. The
    module is in evaluation mode.
    """
    inputs = Inputs.of(inputs)
    if inputs.vocabulary is not None:
        raise Unsupported("it reads token ids")
    if len(inputs.shape) not in (1, 3):
        raise Unsupported(f"its inputs are {list(inputs.shape)}, neither images nor rows of features")
    return _Recorder(measured(traced, inputs), inputs.shape, before).recording()


@dataclass
class _Recorder:
    traced: fx.GraphModule
    input_shape: Shape
    before: Recording | None
    ops: list[Op] = field(default_factory=list)
    values: dict[fx.Node, Value] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    made: dict[int, Op] = field(default_factory=dict)  # by value

    def recording(self) -> Recording:
        if self.before is not None:
            self.ops, self.sizes = list(self.before.ops), list(self.before.sizes)
        first = self._new(_three(self.input_shape)) if self.before is None else self.before.result
        for node in self.traced.graph.nodes:
            if node.op == "placeholder":
                if self.values:
                    raise Unsupported("it has several inputs")
                self.values[node] = first
            elif node.op == "output":
                result = node.args[0]
                if not isinstance(result, fx.Node) or result not in self.values or not self.ops:
                    raise Unsupported("its output is not one tensor that it computes")
                modules = [op.module for op in self.ops if op.module is not None]
                if len(set(modules)) < len(modules):
                    raise Unsupported("it calls a layer twice")
                start = first if self.before is None else self.before.first
                return Recording(tuple(self.ops), tuple(self.sizes), start, self.values[result], shape(result)[1:])
            elif node.op == "call_module":
                self.values[node] = self._module(node, self.traced.get_submodule(str(node.target)))
            elif node.op in ("call_function", "call_method"):
                self._call(node)
            else:
                raise Unsupported(f"it uses {node.op} {node.target}")
        raise Unsupported("it has no output")

    def _new(self, shape3: tuple[int, int, int]) -> Value:
        self.sizes.append(int(np.prod(shape3)))
        return Value(len(self.sizes) - 1, shape3)

    def _emit(self, node: fx.Node, kind: int, source: Value, **more: Any) -> Value:
        target = self._new(_three(shape(node)[1:]))
        self.ops.append(Op(kind, source, target, **more))
        self.made[target.number] = self.ops[-1]
        return target

    def _value(self, argument: Any) -> Value:
        if not isinstance(argument, fx.Node) or argument not in self.values:
            raise Unsupported("it computes with something else than tensors of its own")
        return self.values[argument]

    def _module(self, node: fx.Node, module: Any) -> Value:
        value, kind = self._value(node.args[0]), type(module)
        if kind is nn.Conv2d:
            return self._convolution(node, module, value)
        if kind is nn.Linear:
            if len(shape(node)) != 2:
                raise Unsupported("it has a linear layer that is not on one row per image")
            return self._emit(node, WEIGHTED, value, module=module, window=_window((1, 1), (1, 1), (1, 1)))
        if kind in (nn.BatchNorm2d, nn.BatchNorm1d):
            if module.running_mean is None or module.momentum is None or len(shape(node)) == 3:
                raise Unsupported("it has a batch norm of an unusual kind")
            return self._emit(node, NORM, value, module=module)
        if kind is nn.ReLU:
            return self._cut_off(node, value, bool(module.inplace))
        if kind is nn.Identity or (isinstance(module, nn.Dropout | nn.Dropout2d) and module.p == 0):
            return value
        if kind is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
            return value.flat
        if kind is nn.MaxPool2d and not module.return_indices:
            return self._pooled(
                node, value, LARGEST, module.kernel_size, module.stride, module.padding, module.dilation
            )
        if kind is nn.AvgPool2d and (module.ceil_mode, pair(module.padding), module.divisor_override) == PLAIN:
            return self._pooled(node, value, AVERAGE, module.kernel_size, module.stride)
        if kind is nn.AdaptiveAvgPool2d and module.output_size in (1, (1, 1)):
            return self._pooled(node, value, AVERAGE, value.shape[1:], None)
        raise Unsupported(f"it has a {kind.__name__}")

    def _call(self, node: fx.Node) -> None:
        target, arguments = node.target, node.args
        if not isinstance(node.meta.get("tensor_meta"), tuple):
            return  # a number, as for a view: the shapes tell what becomes of it
        value = self._value(arguments[0])
        if target in (operator.add, torch.add, "add") and len(arguments) == 2 and not node.kwargs:
            other = self._value(arguments[1])
            if value.shape != other.shape:
                raise Unsupported("it adds tensors of two shapes")
            self.values[node] = self._emit(node, ADD, value, other=other)
        elif target in (operator.iadd, "add_") and len(arguments) == 2 and not node.kwargs:
            other = self._value(arguments[1])
            if value.shape != other.shape or len(arguments[0].users) > 1:  # type: ignore[union-attr] # _value is of nodes
                raise Unsupported("it adds in place")
            self.values[node] = self._emit(node, ADD, value, other=other)
        elif target in (F.relu, torch.relu, "relu", "relu_"):
            in_place = target == "relu_" or bool(node.kwargs.get("inplace")) or len(arguments) > 1
            self.values[node] = self._cut_off(node, value, in_place)
        elif target in (torch.flatten, "flatten", "view", "reshape") and len(shape(node)) == 2:
            self.values[node] = value.flat
        elif target is F.adaptive_avg_pool2d and arguments[1] in (1, (1, 1)):
            self.values[node] = self._pooled(node, value, AVERAGE, value.shape[1:], None)
        elif target is F.max_pool2d and len(arguments) <= 3 and not set(node.kwargs) - {"stride"} - DEFAULTS:
            self.values[node] = self._plainly(node, value, LARGEST)
        elif target is F.avg_pool2d and len(arguments) <= 3 and not set(node.kwargs) - {"stride"} - DEFAULTS:
            self.values[node] = self._plainly(node, value, AVERAGE)
        else:
            raise Unsupported(f"it calls {getattr(target, '__name__', target)}")

    def _plainly(self, node: fx.Node, value: Value, kind: int) -> Value:
        if not defaults(node):
            raise Unsupported("it pools in an unusual way")
        return self._pooled(node, value, kind, node.args[1], stride_of(node))

    def _convolution(self, node: fx.Node, module: Any, value: Value) -> Value:
        if module.groups != 1 or module.padding_mode != "zeros" or isinstance(module.padding, str):
            raise Unsupported("it has a convolution of an unusual kind")
        size, out = pair(module.kernel_size), _three(shape(node)[1:])[1:]
        window = _window(value.shape[1:], out, size, pair(module.stride), pair(module.padding), pair(module.dilation))
        return self._emit(node, WEIGHTED, value, module=module, window=window)

    def _pooled(
        self, node: fx.Node, value: Value, kind: int, size: Any, stride: Any, padding: Any = 0, dilation: Any = 1
    ) -> Value:
        out, steps = _three(shape(node)[1:])[1:], pair(size if stride is None else stride)
        window = _window(value.shape[1:], out, pair(size), steps, pair(padding), pair(dilation))
        return self._emit(node, kind, value, window=window)

    def _cut_off(self, node: fx.Node, value: Value, in_place: bool) -> Value:
        """A ReLU: part of what made its input, where nobody else reads that."""
        before = node.args[0]
        assert isinstance(before, fx.Node)
        alone, made = len(before.users) == 1, self.made.get(value.number)
        if in_place and not alone:
            raise Unsupported("it has a ReLU in place whose input is read elsewhere")
        if alone and made is not None and made.kind in (WEIGHTED, NORM, ADD) and made.target == value:
            made.relu = True
            return value
        return self._emit(node, RELU, value, relu=True)


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, rows and columns; of a row of features, those of one pixel."""
    if len(shape) not in (1, 3):
        raise Unsupported("it computes feature maps that are not [channels, rows, columns]")
    channels, rows, columns = (*shape, 1, 1)[:3]
    return channels, rows, columns


def _window(
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    size: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Window:
    """Which input pixels a window reads for each output pixel, and where in the window; those that there are."""
    y, x, i, j = np.meshgrid(*map(np.arange, (*outputs, *size)), indexing="ij")
    down = y * stride[0] - padding[0] + i * dilation[0]
    right = x * stride[1] - padding[1] + j * dilation[1]
    real = (down >= 0) & (down < inputs[0]) & (right >= 0) & (right < inputs[1])
    columns = (y * outputs[1] + x, down * inputs[1] + right, i * size[1] + j)
    outs, ins, taps = (column[real].astype(np.int32) for column in columns)
    sizes = int(np.prod(outputs)), int(np.prod(inputs)), size[0] * size[1]
    return Window(outs, ins, taps, sizes)
