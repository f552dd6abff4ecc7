"""What is computed pixel by pixel: activations, additions, products, and what evaluation leaves as it is."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from . import curves
from .call import Call, Handler, Stored, passed, switched_off
from .layers import scaled, scaled_by
from .plan import COPY, Unsupported
from .steps import Pending, Step
from .values import Value


def activated(call: Call) -> Pending:
    """An activation as a module."""
    return _bent(call, curves.of_module(call.module))


def activated_by(call: Call) -> Pending:
    """An activation as a function or a method."""
    return _bent(call, curves.of_call(call.node.target, call.arguments[1:], call.named))


def _bent(call: Call, curve: curves.Curve) -> Pending:
    value = call.value
    if call.steps.open(call.node, value) and value.step.act == curves.NOTHING:
        return value.with_(call.node, act=curve)
    source = call.source
    return Pending(call.node, Step(COPY, source, source.shape, act=curve), source.flat, source.last)


def added(call: Call) -> Any:
    """The sum of two tensors, or of one and a number."""
    one, other = call.arguments[0], call.get(1, "other")
    if call.get(2, "alpha", 1) != 1:
        raise Unsupported("it adds a multiple")
    for value, number in ((one, other), (other, one)):
        if isinstance(number, int | float):
            return scaled(call, value, 1.0, number)
    for value, residual in ((one, other), (other, one)):
        if call.steps.adds(call.node, value) and residual is not value:
            ready = call.steps.ready(residual)
            if _alike(ready, value) and _spreads(ready, value.step.shape):
                return value.with_(call.node, add=ready)
    return _joined(call, one, other, times=False)


def multiplied(call: Call) -> Any:
    """The product of two tensors, or of one and a number or a parameter."""
    one, other = call.arguments[0], call.get(1, "other")
    for value, factor in ((one, other), (other, one)):
        if isinstance(factor, int | float):
            return scaled(call, value, float(factor), 0.0)
        if isinstance(factor, Stored):
            return scaled_by(call, call.steps.ready(value), factor)
    return _joined(call, one, other, times=True)


def subtracted(call: Call) -> Any:
    """A tensor less a number."""
    number = call.get(1, "other")
    if not isinstance(number, int | float) or call.get(2, "alpha", 1) != 1:
        raise Unsupported("it subtracts a tensor")
    return scaled(call, call.value, 1.0, -number)


def divided(call: Call) -> Any:
    """A tensor divided by a number."""
    number = call.get(1, "other")
    if not isinstance(number, int | float) or call.get(2, "rounding_mode") is not None:
        raise Unsupported("it divides by a tensor")
    return scaled(call, call.value, 1.0 / number, 0.0)


def _joined(call: Call, one: Any, other: Any, times: bool) -> Pending:
    first, second = call.steps.ready(one), call.steps.ready(other)
    if first.shape[0] * first.shape[1] * first.shape[2] < second.shape[0] * second.shape[1] * second.shape[2]:
        first, second = second, first
    if first.count and not second.count and not times:
        first, second = second, first
    if first.count or (times and second.count) or not _spreads(second, first.shape) or not _alike(second, first):
        raise Unsupported("it joins padded tensors, or tensors of two shapes")
    return Pending(call.node, Step(COPY, first, first.shape, add=second, times=times), first.flat, first.last)


def _spreads(value: Value, shape: tuple[int, int, int]) -> bool:
    """Whether a tensor can be added to one of some shape, each of its sizes equal or 1."""
    return all(size in (1, whole) for size, whole in zip(value.shape, shape, strict=True))


def _alike(one: Value, other: Value | Pending) -> bool:
    """Whether torch sees both in the same order."""
    return (one.flat, one.last) == (other.flat, other.last)


MODULES: dict[type[nn.Module], Handler] = {
    **{target: activated for target in curves.KNOWN if isinstance(target, type)},
    **dict.fromkeys((nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d), passed),
}
CALLS: dict[Any, Handler] = {
    **{target: activated_by for target in curves.KNOWN if not isinstance(target, type)},
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), added),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_"), multiplied),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), subtracted),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div, "div", "div_"), divided),
    **dict.fromkeys((F.dropout, F.dropout2d), switched_off(2)),
    **dict.fromkeys(("contiguous", "clone", torch.clone), passed),
}
try:
    from torchvision.ops import stochastic_depth
except ImportError:  # a network of torchvision's comes with it
    pass
else:
    CALLS[stochastic_depth] = switched_off(3)
