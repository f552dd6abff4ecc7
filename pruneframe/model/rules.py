"""What operations do to channels: layers write and read them, norms and pools keep them apart, products mix them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .atoms import Ids
from .flow import Flow, Rule, small

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def convolution(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """[n, channels, ...]; of a grouped one whole groups go, or the same channel of each, whichever are more."""
    inputs, weight, bias, transposed, groups = args[0], args[1], args[2], args[6], args[8]
    found = flow.weight(weight)
    if found is None:
        return _lost(flow, (inputs, weight, bias), out, "a layer reads them whose weight is computed")
    name, entering = found[0], flow.channels(flow.label(inputs), 1)
    first, second = flow.along(name, 0), flow.along(name, 1)
    if groups == 1:
        written, read = (1, 0) if transposed else (0, 1)
        flow.atoms.unite(flow.along(name, read), entering)
    else:
        written = 1 if transposed and not _whole_groups(groups, len(entering)) else 0
        first, second = _grouped(flow, name, entering, groups, transposed)
    flow.written.add((name, written))
    _write(flow, out, second if transposed else first, bias)


def loses_groups(layer: Convolution) -> bool:
    """Whether a convolution has groups, and loses whole ones."""
    return layer.groups > 1 and _whole_groups(layer.groups, layer.in_channels)


def _whole_groups(groups: int, channels: int) -> bool:
    """Whether so many input channels go group by group, or the same one of each."""
    return groups >= channels // groups


def _grouped(flow: Flow, name: str, entering: Ids, groups: int, transposed: bool) -> tuple[Ids, Ids]:
    """Unite what goes together in a grouped convolution; what it writes, as [channels] of a plain and of a transposed.

    A transposed one's weight is [inputs, outputs of a group, ...].
    """
    first, by_group = flow.along(name, 0), entering.reshape(groups, -1)
    rows = first.reshape(groups, -1)
    if _whole_groups(groups, len(entering)):
        lead = np.broadcast_to(rows[:, :1], rows.shape)
        flow.atoms.unite(rows, lead)
        flow.atoms.unite(np.broadcast_to(rows[:, :1], by_group.shape), by_group)
        outputs = flow.whole(name).shape[1]
        return first, rows[:, 0].repeat(outputs)
    second = flow.along(name, 1)
    flow.atoms.unite(rows, np.broadcast_to(rows[:1], rows.shape))
    read = rows if transposed else np.broadcast_to(second, by_group.shape)
    flow.atoms.unite(read, by_group)
    return first, np.tile(second, groups)


def _write(flow: Flow, out: Tensor, channels: Ids, bias: Tensor | None, dim: int = 1) -> None:
    """Label an output by its channels, and the bias with it."""
    if bias is not None:
        flow.atoms.unite(flow.channels(flow.label(bias), bias.dim() - 1), channels)
    flow.put(out, _spread(channels, out, dim))


def _spread(channels: Ids, out: Tensor, dim: int) -> Tensor:
    """One atom for each place along a dimension as the labels of a whole tensor."""
    shape = [-1 if d == dim % out.dim() else 1 for d in range(out.dim())]
    return torch.from_numpy(channels.astype(np.float64)).reshape(shape).expand(out.shape)


def _lost(flow: Flow, tensors: Iterable[Any], out: Any, why: str) -> None:
    """Keep all that enters; nothing is known of what comes out."""
    for one in tensors:
        if isinstance(one, Tensor):
            flow.stay(flow.label(one), why)
    for one in tree_leaves(out):
        flow.put(one, torch.zeros(one.shape, dtype=torch.float64))


def addmm(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Bias, inputs [n, features] and a weight as [features, outputs]."""
    _product(flow, args[1], args[2], args[0], out)


def mm(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """The same without a bias."""
    _product(flow, args[0], args[1], None, out)


def linear(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Inputs [..., features] and a weight [outputs, features], where torch does not take it apart."""
    _product(flow, args[0], args[1].t(), args[2] if len(args) > 2 else None, out)


def _product(flow: Flow, inputs: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> None:
    found = flow.weight(weight)
    if found is None:
        return _lost(flow, (inputs, weight, bias), out, "two activations are multiplied")
    name, read, written, start = found
    places = slice(start, start + out.shape[-1]) if written == 0 else slice(None)
    flow.atoms.unite(flow.along(name, read), flow.channels(flow.label(inputs), inputs.dim() - 1))
    flow.written.add((name, written))
    _write(flow, out, flow.along(name, written)[places], bias, dim=-1)


def bmm(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Products of activations [matrices, n, m], and what they are added to: of heads, one matrix is one unit's."""
    _matrices(flow, args[-2:], 0, out, args[:-2])


def attention(flow: Flow, args: Args, kwargs: Kwargs, out: Any) -> None:
    """Queries, keys and values [n, heads, tokens, features] in one step, and what is added to their scores."""
    added = [one for one in tree_leaves((args[3:], kwargs)) if isinstance(one, Tensor)]
    _matrices(flow, args[:3], 1, out, [one for one in added if one.dim() == 4 and one.shape[1] == args[0].shape[1]])


def _matrices(flow: Flow, operands: Sequence[Tensor], dim: int, out: Any, added: Sequence[Tensor] = ()) -> None:
    results = [one for one in tree_leaves(out) if isinstance(one, Tensor)]
    if not flow.heads:
        return _lost(flow, (*operands, *added), results, "attention multiplies them")
    found = [flow.channels(flow.label(one), dim) for one in (*operands, *added)]
    for one in found[1:]:
        few, many = sorted((found[0], one), key=len)
        flow.atoms.unite(few.repeat(len(many) // len(few)), many)  # fewer heads of keys and values than of queries
    flow.heads_seen.append(found[0])
    for result in results:
        if result.dim() > dim and result.shape[dim] == len(found[0]):
            flow.put(result, _spread(found[0], result, dim))


def batch_norm(flow: Flow, args: Args, kwargs: Kwargs, out: Any) -> None:
    """Every channel on its own: inputs [n, channels, ...], then scale and shift [channels]."""
    channels = flow.channels(flow.label(args[0]), 1)
    _scaled(flow, channels, args[1:3] if args[1] is not None else args[3:5], out)


def group_norm(flow: Flow, args: Args, kwargs: Kwargs, out: Any) -> None:
    """All channels of a group together; inputs, scale, shift, n, channels, positions, groups."""
    channels = flow.channels(flow.label(args[0]), 1)
    rows = channels.reshape(args[6], -1)
    if args[6] == 1:
        flow.stay(flow.label(args[0]), "a norm averages over them")
    elif args[1] is None:
        flow.stay(flow.label(args[0]), "a norm over groups without a scale has nothing that says how many there are")
    flow.atoms.unite(rows, np.broadcast_to(rows[:, :1], rows.shape))
    _scaled(flow, channels, args[1:3], out)


def _scaled(flow: Flow, channels: Ids, parameters: Sequence[Tensor | None], out: Any) -> None:
    for one in parameters:
        if one is not None:
            flow.atoms.unite(flow.channels(flow.label(one), 0), channels)
    result, *others = tree_leaves(out)
    flow.put(result, _spread(channels, result, 1))
    for one in others:
        flow.put(one, torch.zeros(one.shape, dtype=torch.float64))


def layer_norm(flow: Flow, args: Args, kwargs: Kwargs, out: Any) -> None:
    """Over the last dimensions, which must not tell channels apart."""
    dims = range(args[0].dim() - len(args[1]), args[0].dim())
    _mixed(flow, args[0], dims, out, "a layer norm averages over them")


def softmax(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Along one dimension, which must not tell channels apart."""
    _mixed(flow, args[0], [args[1] % args[0].dim()], out, "a softmax is taken over them")


def _mixed(flow: Flow, inputs: Tensor, dims: Iterable[int], out: Any, why: str) -> None:
    if flow.varying(flow.label(inputs)) & set(dims):
        flow.stay(flow.label(inputs), why)  # and with them what they meet, for the same reason
    flow.put(tree_leaves(out)[0], flow.label(inputs))


def reduction(flow: Flow, args: Args, kwargs: Kwargs, out: Any) -> None:
    """Mean, sum, extreme or variance along some dimensions, all of them where none are named."""
    _reduced(flow, args[0], args[1] if len(args) > 1 else kwargs.get("dim"), out)


def vector_norm(flow: Flow, args: Args, kwargs: Kwargs, out: Any) -> None:
    """The same of a norm, whose order stands before the dimensions."""
    _reduced(flow, args[0], args[2] if len(args) > 2 else kwargs.get("dim"), out)


def _reduced(flow: Flow, inputs: Tensor, named: Any, out: Any) -> None:
    named = [named] if isinstance(named, int) else named
    dims = {d % inputs.dim() for d in named} if named else set(range(inputs.dim()))
    labels = flow.label(inputs)
    if flow.varying(labels) & dims:
        return _lost(flow, (inputs,), out, "they are averaged or added up")
    for d in dims:
        labels = labels.narrow(d, 0, 1)
    for one in tree_leaves(out):
        flow.put(one, labels.reshape(one.shape))


def pooling(spatial: int) -> Rule:
    """Over the last dimensions of a tensor, so many; every channel on its own."""

    def rule(flow: Flow, args: Args, kwargs: Kwargs, out: Any) -> None:
        labels = flow.label(args[0])
        seen = labels[small(labels)]
        lead = seen.shape[:-spatial]
        channels = flow.channels(seen.reshape(math.prod(lead), -1), 0)
        found = torch.from_numpy(channels.astype(np.float64)).reshape(*lead, *[1] * spatial)
        for one in tree_leaves(out):
            flow.put(one, found.expand(one.shape))

    return rule


def embedding(flow: Flow, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Rows of a table [tokens, features]."""
    found = flow.weight(args[0])
    if found is None:
        return _lost(flow, (), out, "")
    flow.written.add((found[0], 1))
    flow.put(out, _spread(flow.along(found[0], 1), out, -1))


RULES: dict[str, Rule] = {
    "convolution": convolution,
    "addmm": addmm,
    "mm": mm,
    "linear": linear,
    "bmm": bmm,
    "baddbmm": bmm,
    "embedding": embedding,
    "native_group_norm": group_norm,
    "native_layer_norm": layer_norm,
    "linalg_vector_norm": vector_norm,
    "norm": vector_norm,
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax"), softmax),
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_cudnn_attention",
        ),
        attention,
    ),
    **dict.fromkeys(
        (
            "native_batch_norm",
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_no_training",
            "_batch_norm_no_update",
            "cudnn_batch_norm",
        ),
        batch_norm,
    ),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min"), reduction),
    **dict.fromkeys(("var", "var_mean", "std", "std_mean"), reduction),
    **dict.fromkeys(("upsample_nearest1d", "upsample_linear1d", "_upsample_nearest_exact1d"), pooling(1)),
    **dict.fromkeys(
        ("max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d"), pooling(2)
    ),
    **dict.fromkeys(
        ("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "_upsample_nearest_exact2d"), pooling(2)
    ),
    **dict.fromkeys(
        ("max_pool3d_with_indices", "avg_pool3d", "_adaptive_avg_pool3d", "adaptive_max_pool3d"), pooling(3)
    ),
    **dict.fromkeys(("upsample_nearest3d", "upsample_trilinear3d", "_upsample_nearest_exact3d"), pooling(3)),
}
