"""Layers with weights, and norms, as steps of the kernel.

A linear layer is a convolution whose windows are its whole input, a norm that follows no layer one of single ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .call import Call, Handler, Stored
from .plan import CENTRE, SUMS, Unsupported
from .steps import Layer, Pending, Step, shape3
from .values import Pair, Value
from .windows import pair


def convolution(call: Call) -> Pending:
    """nn.Conv2d."""
    module, source = call.module, call.source
    assert isinstance(module, nn.Conv2d)
    if module.padding_mode != "zeros" or source.flat or source.last:
        raise Unsupported("it has a convolution of an unusual kind")
    outputs, inputs, height, width = module.weight.shape
    name, dilation = str(call.node.target), pair(module.dilation)
    layer = Layer((outputs, inputs, height, width), module.groups, dilation, f"{name}.weight", _bias(name, module.bias))
    pad = _same((height, width), dilation) if module.padding == "same" else _padding(module.padding)
    return Pending(call.node, Step(SUMS, source, shape3(call.node), pair(module.stride), pad, layer))


def _padding(padding: Any) -> Pair:
    return (0, 0) if padding == "valid" else pair(padding)


def _same(size: Pair, dilation: Pair) -> Pair:
    """How far the first window reaches out: where the padding is odd, torch has one more behind."""
    return (size[0] - 1) * dilation[0] // 2, (size[1] - 1) * dilation[1] // 2


def linear(call: Call) -> Pending:
    """nn.Linear on one row per image, or on the channels of each pixel."""
    module, source, name = call.module, call.source, str(call.node.target)
    assert isinstance(module, nn.Linear)
    channels, rows, columns = source.shape
    if source.last:
        layer = Layer((module.out_features, channels, 1, 1), weight=f"{name}.weight", bias=_bias(name, module.bias))
        shape = module.out_features, rows, columns
        return Pending(call.node, Step(SUMS, source, shape, layer=layer), last=True)
    if not source.flat or module.in_features != channels * rows * columns:
        raise Unsupported("it has a linear layer that is not on one row per image")
    layer = Layer((module.out_features, *source.shape), weight=f"{name}.weight", bias=_bias(name, module.bias))
    return Pending(call.node, Step(SUMS, source, (module.out_features, 1, 1), layer=layer), flat=True)


def _bias(name: str, bias: torch.Tensor | None) -> str | None:
    return None if bias is None else f"{name}.bias"


def batch_norm(call: Call) -> Pending:
    """nn.BatchNorm2d or nn.BatchNorm1d."""
    if call.module.running_mean is None:
        raise Unsupported("it has a batch norm without running statistics")
    return _normed(call, str(call.node.target))


def batch_norm_of(call: Call) -> Pending:
    """F.batch_norm with what a norm of the network holds, as some libraries call it."""
    mean, training = call.get(1, "running_mean"), call.get(5, "training", False)
    if not isinstance(mean, Stored) or training:
        raise Unsupported("it has a batch norm without running statistics")
    return _normed(call, mean.name.rpartition(".")[0])


def _normed(call: Call, norm: str) -> Pending:
    value = call.value
    if call.steps.sums(call.node, value) and value.step.layer.norm is None:
        layer = value.step.layer
        if layer.factor == 1 and layer.shift == 0:
            return value.with_(call.node, layer=replace(layer, norm=norm))
    return _each_channel(call, call.source, Layer((0, 1, 1, 1), norm=norm))


def _each_channel(call: Call, source: Value, layer: Layer) -> Pending:
    """What scales and shifts each channel, by a step of its own."""
    channels = source.shape[0]
    if source.flat and source.shape[1:] != (1, 1):
        raise Unsupported("it scales each of its features")
    own = replace(layer, shape=(channels, 1, 1, 1), groups=channels)
    return Pending(call.node, Step(SUMS, source, source.shape, layer=own), source.flat, source.last)


def scaled(call: Call, source: Any, factor: float, shift: float) -> Pending:
    """A tensor times a number, plus another one."""
    if call.steps.sums(call.node, source):
        layer = source.step.layer
        own = replace(layer, factor=layer.factor * factor, shift=layer.shift * factor + shift)
        return source.with_(call.node, layer=own)
    return _each_channel(call, call.steps.ready(source), Layer((0, 1, 1, 1), factor=factor, shift=shift))


def scaled_by(call: Call, source: Value, scale: Stored) -> Pending:
    """A tensor times a parameter with one number per channel, as layer scale."""
    channels = source.shape[0]
    single = (channels,) if source.last or source.flat else (channels, 1, 1)
    if scale.shape not in (single, (1, *single)):
        raise Unsupported(f"it multiplies with {scale.name}, which is not one number per channel")
    return _each_channel(call, source, Layer((0, 1, 1, 1), weight=scale.name))


def layer_norm(call: Call) -> Pending:
    """nn.LayerNorm over the channels of each pixel, or over a row of features."""
    module, name = call.module, str(call.node.target)
    assert isinstance(module, nn.LayerNorm)
    weight = None if module.weight is None else f"{name}.weight"
    return _centred(call, module.normalized_shape, weight, _bias(name, module.bias), module.eps)


def layer_norm_of(call: Call) -> Pending:
    """F.layer_norm."""
    stored = call.get(2, "weight"), call.get(3, "bias")
    weight, bias = (part.name if isinstance(part, Stored) else None for part in stored)
    return _centred(call, call.get(1, "normalized_shape"), weight, bias, call.get(4, "eps", 1e-5))


def _centred(call: Call, shape: Any, weight: str | None, bias: str | None, epsilon: float) -> Pending:
    source = call.source
    if not (source.last or (source.flat and source.shape[1:] == (1, 1))) or tuple(shape) != source.shape[:1]:
        raise Unsupported("it has a layer norm that is not over channels")
    centred = Step(CENTRE, source, source.shape, epsilon=epsilon)
    pending = Pending(call.node, centred, source.flat, source.last)
    if weight is None and bias is None:
        return pending
    return _each_channel(call, call.steps.ready(pending), Layer((0, 1, 1, 1), weight=weight, bias=bias))


MODULES: dict[type[nn.Module], Handler] = {
    nn.Conv2d: convolution,
    nn.Linear: linear,
    nn.BatchNorm2d: batch_norm,
    nn.BatchNorm1d: batch_norm,
    nn.LayerNorm: layer_norm,
}
CALLS: dict[Any, Handler] = {F.batch_norm: batch_norm_of, F.layer_norm: layer_norm_of}
