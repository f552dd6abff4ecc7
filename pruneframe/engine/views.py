"""Views: slices, padding, concatenations and other orders are only other ways to walk through a tensor."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .call import Call, Handler, ignored
from .plan import Unsupported
from .steps import shape_of
from .values import Buffer, Value


def sliced(source: Value, index: Any) -> Value:
    """Some channels, rows and columns, as `x[:, 4:, ::2, ::2]`; raises Unsupported for any other part."""
    parts = list(index) if isinstance(index, list | tuple) else [index]
    parts += [slice(None)] * (4 - len(parts))
    usual = all(isinstance(part, slice) for part in parts) and len(parts) == 4 and parts[0] == slice(None)
    if not usual or source.last or source.count or (source.flat and source.shape[1:] != (1, 1)):
        raise Unsupported("it takes a part of a tensor in an unusual way")
    channels, rows, columns = (range(size)[part] for size, part in zip(source.shape, parts[1:], strict=True))
    if min(map(len, (channels, rows, columns))) == 0 or channels.step != 1 or min(rows.step, columns.step) < 1:
        raise Unsupported("it takes a part of a tensor in an unusual way")
    return replace(
        source,
        shape=(len(channels), len(rows), len(columns)),
        channel=source.channel + channels.start,
        start=(source.start[0] + rows.start * source.step[0], source.start[1] + columns.start * source.step[1]),
        step=(source.step[0] * rows.step, source.step[1] * columns.step),
    )


def padded(source: Value, widths: Any) -> Value:
    """Zeros around rows and columns, or channels of zeros before and behind."""
    left, right, above, below, before, behind = (*widths, 0, 0, 0, 0)[:6] if len(widths) <= 6 else (-1,) * 6
    if min(left, right, above, below, before, behind) < 0 or source.count or source.flat or source.last:
        raise Unsupported("it pads a tensor in an unusual way")
    channels, rows, columns = source.shape
    found = replace(
        source,
        shape=(channels, rows + above + below, columns + left + right),
        start=(source.start[0] - above * source.step[0], source.start[1] - left * source.step[1]),
    )
    if not (before or behind):
        return found
    return replace(found, shape=(channels + before + behind, *found.shape[1:]), low=before, count=channels)


def part(call: Call) -> Any:
    """A part of a tensor, or one of several tensors."""
    if isinstance(call.value, list):
        return call.value[call.arguments[1]]
    return sliced(call.source, call.arguments[1])


def chunks(call: Call) -> list[Value]:
    """Equal pieces of the channels."""
    source, count = call.source, call.get(1, "chunks")
    if call.get(2, "dim", 0) not in (1, -3) or source.shape[0] % count:
        raise Unsupported("it cuts a tensor in an unusual way")
    size = source.shape[0] // count
    return [sliced(source, (slice(None), slice(at * size, (at + 1) * size))) for at in range(count)]


def framed(call: Call) -> Value:
    """F.pad with zeros."""
    if call.get(2, "mode", "constant") != "constant" or call.get(3, "value"):
        raise Unsupported("it pads a tensor in an unusual way")
    return _framed(call, call.get(1, "pad"))


def zeros_around(call: Call) -> Value:
    """nn.ZeroPad2d."""
    assert isinstance(call.module, nn.ZeroPad2d)
    return _framed(call, call.module.padding)


def _framed(call: Call, widths: Any) -> Value:
    source = call.source
    found = padded(source, widths)
    (_, rows, columns), (top, left) = source.shape, found.start
    around = (top - source.start[0], left - source.start[1])
    first = around[0] // source.step[0], around[1] // source.step[1]
    last = first[0] + found.shape[1] - 1, first[1] + found.shape[2] - 1
    if source.framed(first, (max(last[0], rows - 1), max(last[1], columns - 1))):
        return found
    return padded(call.steps.copied(source), widths)


def flattened(call: Call) -> Value:
    """One row per image."""
    source = call.source
    if source.count or source.last:
        raise Unsupported("it flattens a tensor in an unusual order")
    return replace(source, flat=True)


def flattened_by(call: Call) -> Value:
    """nn.Flatten, and torch.flatten."""
    if len(shape_of(call.node)) != 1:
        raise Unsupported("it flattens a part of a tensor's dimensions")
    return flattened(call)


def reshaped(call: Call) -> Any:
    """A row per image, or one that becomes a map of one pixel again."""
    if call.value is None:
        return None
    shape, source = shape_of(call.node), call.source
    if len(shape) == 1:
        return flattened(call)
    if shape == source.shape and not source.last:
        return replace(source, flat=False)
    raise Unsupported("it gives a tensor another shape")


def ordered(call: Call) -> Value:
    """Channels last, or first again."""
    source, dims = call.source, call.arguments[1:]
    order = [dim % 4 for dim in (dims[0] if isinstance(dims[0], list) else dims)]
    if source.flat or source.count or order != ([0, 3, 1, 2] if source.last else [0, 2, 3, 1]):
        raise Unsupported("it puts a tensor's dimensions in an unusual order")
    return replace(source, last=not source.last)


def joined(call: Call) -> Any:
    """Tensors behind one another, channel after channel: each is written where it belongs as far as that goes."""
    values = [call.steps.ready(value) for value in call.arguments[0]]
    last, flat = values[0].last, values[0].flat
    axes = (3, -1) if last else (1, -1) if flat else (1, -3)
    alike = all(value.shape[1:] == values[0].shape[1:] and (value.last, value.flat) == (last, flat) for value in values)
    if call.get(1, "dim", 0) not in axes or not alike:
        raise Unsupported("it concatenates something else than channels")
    if len(values) == 1:
        return values[0]
    whole, placed = _begun(values)
    for value in values[placed:]:
        own = value if value.whole and value.buffer.alone else call.steps.copied(value)
        whole.take(own.buffer)
    shape = sum(value.shape[0] for value in values), *values[0].shape[1:]
    return Value(whole, shape, flat=flat, last=last)


def _begun(values: list[Value]) -> tuple[Buffer, int]:
    """A concatenation that consists of the first few tensors, and how many these are; else a new one."""
    root, channels = values[0].root, 0
    for count, value in enumerate(values):
        at = value.buffer.channel + value.channel
        if value.root is not root or at != channels or value.start != (0, 0) or value.step != (1, 1) or value.count:
            break
        channels += value.shape[0]
        if root.parts and channels == root.shape[0]:
            return root, count + 1
    return Buffer((0, *values[0].shape[1:])), 0


MODULES: dict[type[nn.Module], Handler] = {nn.Flatten: flattened_by, nn.ZeroPad2d: zeros_around}
CALLS: dict[Any, Handler] = {
    operator.getitem: part,
    F.pad: framed,
    **dict.fromkeys((torch.flatten, "flatten"), flattened_by),
    **dict.fromkeys(("view", "reshape", torch.reshape), reshaped),
    **dict.fromkeys((torch.permute, "permute"), ordered),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), joined),
    **dict.fromkeys((torch.chunk, "chunk"), chunks),
    **dict.fromkeys(("size", "dim", getattr, torch._assert), ignored),
}
