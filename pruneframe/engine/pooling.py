"""Pooling as steps of the kernel; windows that reach into padding are cut off there."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .call import Call, Handler
from .plan import MAXIMUM, MEAN, SUMS, Unsupported
from .steps import Pending, Step, shape3, shape_of
from .windows import Pool, Window, adaptive, pair


def largest(call: Call) -> Pending:
    """nn.MaxPool2d."""
    module = call.module
    assert isinstance(module, nn.MaxPool2d)
    return _largest(call, module.kernel_size, module.stride, module.padding, module.dilation)


def largest_by(call: Call) -> Pending:
    """F.max_pool2d."""
    settings = (call.get(2, "stride"), call.get(3, "padding", 0), call.get(4, "dilation", 1))
    return _largest(call, call.get(1, "kernel_size"), *settings)


def _largest(call: Call, size: Any, stride: Any, padding: Any, dilation: Any) -> Pending:
    if pair(dilation) != (1, 1):
        raise Unsupported("it pools with gaps between the pixels of a window")
    return _pooled(call, MAXIMUM, _pool(size, stride, padding))


def averaged(call: Call) -> Pending:
    """nn.AvgPool2d."""
    module = call.module
    assert isinstance(module, nn.AvgPool2d)
    settings = module.count_include_pad, module.divisor_override
    return _pooled(call, MEAN, _pool(module.kernel_size, module.stride, module.padding, *settings))


def averaged_by(call: Call) -> Pending:
    """F.avg_pool2d."""
    settings = call.get(5, "count_include_pad", True), call.get(6, "divisor_override")
    pool = _pool(call.get(1, "kernel_size"), call.get(2, "stride"), call.get(3, "padding", 0), *settings)
    return _pooled(call, MEAN, pool)


def _pool(size: Any, stride: Any, padding: Any, counts_padding: bool = True, divisor: int | None = None) -> Pool:
    return Pool(pair(size), pair(stride or size), pair(padding), counts_padding, divisor)


def _pooled(call: Call, kind: int, pool: Pool) -> Pending:
    inputs = _map(call)
    return _step(call, kind, pool.window(inputs, shape3(call.node)[1:]))


def adaptively(kind: int) -> Handler:
    """Adaptive pooling, as a module or as a function."""

    def handle(call: Call) -> Pending:
        return _step(call, kind, adaptive(_map(call), shape3(call.node)[1:]))

    return handle


def mean(call: Call) -> Any:
    """The mean over rows and columns."""
    dims = call.get(1, "dim")
    last = sorted(dim % 4 for dim in dims) if isinstance(dims, list | tuple) else []
    axes = [1, 2] if call.source.last else [2, 3]
    if last != axes or call.source.flat or call.named.get("dtype") is not None:
        raise Unsupported("it takes a mean over something else than rows and columns")
    pending = _step(call, MEAN, adaptive(call.source.shape[1:], (1, 1)))
    pending.flat, pending.last = len(shape_of(call.node)) == 1, call.source.last and bool(call.get(2, "keepdim", False))
    return pending


def _map(call: Call) -> tuple[int, int]:
    """Rows and columns of what is pooled."""
    shape = call.value.step.shape if isinstance(call.value, Pending) else call.source.shape
    if call.value.flat or call.value.last:
        raise Unsupported("it pools in an unusual way")
    return shape[1], shape[2]


def _step(call: Call, kind: int, window: Window) -> Pending:
    value = call.value
    if call.fused and kind == MAXIMUM and window.halves and call.steps.open(call.node, value) and _halves(value):
        return value.with_(call.node, pool=True, shape=shape3(call.node))
    source = call.source
    shape = source.shape[0], len(window.rows), len(window.columns)
    return Pending(call.node, Step(kind, source, shape, window=window))


def _halves(value: Pending) -> bool:
    """Whether a pending step can write the largest of each 2 x 2 alone."""
    step = value.step
    even = step.shape[1] % 2 == step.shape[2] % 2 == 0
    return step.kind == SUMS and even and not step.pool and step.act.monotone


MODULES: dict[type[nn.Module], Handler] = {
    nn.MaxPool2d: largest,
    nn.AvgPool2d: averaged,
    nn.AdaptiveAvgPool2d: adaptively(MEAN),
    nn.AdaptiveMaxPool2d: adaptively(MAXIMUM),
}
CALLS: dict[Any, Handler] = {
    F.max_pool2d: largest_by,
    torch.max_pool2d: largest_by,
    F.avg_pool2d: averaged_by,
    F.adaptive_avg_pool2d: adaptively(MEAN),
    F.adaptive_max_pool2d: adaptively(MAXIMUM),
    "mean": mean,
    torch.mean: mean,
}
