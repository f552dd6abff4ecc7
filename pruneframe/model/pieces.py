"""What taking tensors apart does to channels: one is cut at the same places only where all pieces lose the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .atoms import FIXED
from .flow import Flow, Rule, small

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def padding(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """A constant around a tensor: fixed places where a dimension tells channels apart, else more of the same."""
    labels, pads = flow.label(args[0]), list(args[1])
    varying = flow.varying(labels)
    for d, pair in enumerate(zip(pads[::2], pads[1::2], strict=True)):
        dim = labels.dim() - 1 - d
        if dim in varying:
            sides = [0] * (2 * d) + list(pair)
            labels = F.pad(labels, sides, value=FIXED)
        else:
            shape = list(labels.shape)
            shape[dim] = out.shape[dim]
            labels = labels.narrow(dim, 0, 1).expand(shape)
    flow.put(out, labels)


def view(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Another shape; a dimension that tells channels apart and is taken apart is cut into equal pieces."""
    labels = flow.label(args[0])
    if not flow.heads:
        for dim in flow.varying(labels):
            pieces = _pieces(args[0].shape, out.shape, dim)
            if len(pieces) > 1:
                image = dim == 1 and args[0].dim() == 2 and out.dim() > 3  # channels come first
                _balance(flow, labels, dim, pieces, range(1, len(pieces)) if image else range(len(pieces) - 1))
    flow.put(out, labels.reshape(out.shape))


def _pieces(before: Sequence[int], after: Sequence[int], dim: int) -> list[int]:
    """The sizes above 1 that a dimension becomes when it alone is taken apart; itself where it is not."""
    start, rest, pieces = math.prod(before[:dim]), before[dim], []
    for size in after:
        if start > 1:
            if start % size:
                return [before[dim]]
            start //= size
        elif rest > 1 and size > 1:
            if rest % size:
                return [before[dim]]
            rest //= size
            pieces.append(size)
    return pieces or [before[dim]]


def _balance(flow: Flow, labels: Tensor, dim: int, pieces: Sequence[int], axes: Iterable[int]) -> None:
    """Unite, for a dimension seen as several, what differs along some of them alone."""
    seen = labels[small(labels)]
    if seen.shape[dim] > 1:
        seen = seen.unflatten(dim, list(pieces))
        behind = [dim + axis for axis in axes]
        front = [d for d in range(seen.dim()) if d not in behind]
        seen = seen.permute(*front, *behind)
        flow.channels(seen.reshape(math.prod(seen.shape[: len(front)]), -1), 0)


def slicing(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Some places of a dimension: one of several equal pieces, or every so manieth."""
    whole, dim, start, _, step = args + (0, 0, None, 1)[len(args) - 1 :]
    labels, dim = flow.label(whole), dim % whole.dim()
    length, size = out.shape[dim], whole.shape[dim]
    if length != size and dim in flow.varying(labels) and not flow.heads:
        if step == 1 and size % length == 0 and (start or 0) % length == 0:
            _balance(flow, labels, dim, [size // length, length], [0])
        elif size == step * length:
            _balance(flow, labels, dim, [length, step], [1])
        else:
            flow.stay(labels, "a part of them is cut out")
    flow.put(out, torch.ops.aten.slice(labels, *args[1:]))


def select(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """One place of a dimension."""
    labels = flow.label(args[0])
    if args[1] % labels.dim() in flow.varying(labels) and not flow.heads:
        flow.stay(labels, "one of them is taken out")
    flow.put(out, labels.select(args[1], args[2]))


def unbind(flow: Flow, args: Args, kwargs: Kwargs, out: Sequence[Tensor]) -> None:
    """All places of a dimension, one by one."""
    labels, dim = flow.label(args[0]), args[1] if len(args) > 1 else 0
    if dim % labels.dim() in flow.varying(labels) and not flow.heads:
        flow.stay(labels, "they are taken apart one by one")
    for one, found in zip(out, labels.unbind(dim), strict=True):
        flow.put(one, found)


def split(flow: Flow, args: Args, kwargs: Kwargs, out: Sequence[Tensor]) -> None:
    """Pieces of a dimension, by their size or sizes."""
    labels, dim = flow.label(args[0]), args[2] if len(args) > 2 else kwargs.get("dim", 0)
    dim %= labels.dim()
    sizes = [one.shape[dim] for one in out]
    if len(out) > 1 and dim in flow.varying(labels) and not flow.heads:
        if len(set(sizes)) == 1:
            _balance(flow, labels, dim, [len(sizes), sizes[0]], [0])
        else:
            flow.stay(labels, "they are cut into unequal pieces")
    for one, found in zip(out, labels.split(sizes, dim), strict=True):
        flow.put(one, found)


def glu(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """One half of a dimension opens and closes the other."""
    labels, dim = flow.label(args[0]), (args[1] if len(args) > 1 else -1) % args[0].dim()
    _balance(flow, labels, dim, [2, labels.shape[dim] // 2], [0])
    flow.put(out, labels.narrow(dim, 0, out.shape[dim]))


def channel_shuffle(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Inputs [n, channels, ...] whose channels are dealt out from several equal pieces."""
    labels, groups = flow.label(args[0]), args[1]
    _balance(flow, labels, 1, [groups, labels.shape[1] // groups], [0])
    flow.put(out, labels.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2))


def pixel_shuffle(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Inputs [n, channels x r x r, height, width]: those that make one channel go together."""
    labels, square = flow.label(args[0]), args[1] ** 2
    _balance(flow, labels, 1, [labels.shape[1] // square, square], [1])
    flow.put(out, torch.ops.aten.pixel_shuffle(labels, args[1]))


def pixel_unshuffle(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """The other way round: one channel makes several."""
    flow.put(out, torch.ops.aten.pixel_unshuffle(flow.label(args[0]), args[1]))


RULES: dict[str, Rule] = {
    "constant_pad_nd": padding,
    "slice": slicing,
    "select": select,
    "unbind": unbind,
    "glu": glu,
    "channel_shuffle": channel_shuffle,
    "native_channel_shuffle": channel_shuffle,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    **dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "reshape"), view),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "chunk", "unsafe_chunk"), split),
}
