"""Attention without some of its heads: modules that compute what torch's, torchvision's and others' do with fewer.

Their parameters have the names of those that they stand for, the rows of the queries, keys and values of all heads one
after the other; how many heads there are, those tell.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, TypeGuard, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..mask import Group
from .trace import Opaque

if TYPE_CHECKING:
    from torchvision.models.swin_transformer import ShiftedWindowAttention

# How modules call their number of heads, and the features of all heads together.
HEADS = ("num_heads", "n_heads", "n_head", "nhead", "heads", "num_attention_heads", "num_kv_heads", "n_kv_heads")
COUNTS = (*HEADS, "attn_dim", "inner_dim", "all_head_size")
FORBIDDEN = -100.0  # what Liu et al. add to scores between windows that meet only because the image was rolled


def attend(queries: Tensor, keys: Tensor, values: Tensor, added: Tensor | None = None, scale: float = 1.0) -> Tensor:
    """Values [n, heads, tokens, features] by softmax of scores, of one head at least."""
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=added, scale=scale)


def merged(heads: Tensor) -> Tensor:
    """[n, heads, tokens, features] as [n, tokens, heads x features]."""
    return heads.transpose(1, 2).flatten(2)


def projected(heads: Tensor, number: int, projection: nn.Linear) -> Tensor:
    """[n, number, tokens, features] as [n, tokens, channels] by a linear layer; without heads that is its bias alone.

    A tensor without entries is what other programs than torch cannot compute with.
    """
    if number:
        found: Tensor = projection(merged(heads))
        return found
    nothing = heads.new_zeros(heads.shape[0], heads.shape[2], projection.out_features)
    return nothing if projection.bias is None else nothing + projection.bias


class Multihead(nn.Module, Opaque):
    """`nn.MultiheadAttention` with `features` of each head fixed."""

    _qkv_same_embed_dim = False  # encoder layers of torch's that ask do not go their own way then

    def __init__(self, whole: nn.MultiheadAttention) -> None:
        super().__init__()
        if not whole._qkv_same_embed_dim or whole.bias_k is not None or whole.add_zero_attn:
            raise InputError("heads must have keys and values as wide as queries, and none that are added")
        self.features = whole.head_dim
        self.batch_first = whole.batch_first
        self.in_proj_weight, self.in_proj_bias, self.out_proj = whole.in_proj_weight, whole.in_proj_bias, whole.out_proj

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `nn.MultiheadAttention.forward`, for batches."""
        given = (query, key, value) if self.batch_first else tuple(x.transpose(0, 1) for x in (query, key, value))
        weights = self.in_proj_weight.chunk(3)
        biases = self.in_proj_bias.chunk(3) if self.in_proj_bias is not None else (None, None, None)
        number = len(weights[0]) // self.features
        parts = [F.linear(x, w, b) for x, w, b in zip(given, weights, biases, strict=True)]
        q, k, v = (x.reshape(*x.shape[:2], number, self.features).transpose(1, 2) for x in parts)
        added = self._added(attn_mask, key_padding_mask, number, q)
        out = projected(attend(q, k, v, added, self.features**-0.5) if number else q, number, self.out_proj)
        out = out if self.batch_first else out.transpose(0, 1)
        if not need_weights:
            return out, None
        scores = q @ k.transpose(-2, -1) * self.features**-0.5
        shares = (scores if added is None else scores + added).softmax(-1)
        return out, shares.mean(1) if average_attn_weights else shares

    def _added(self, mask: Tensor | None, padding: Tensor | None, number: int, queries: Tensor) -> Tensor | None:
        """What both masks, True or minus infinity where nothing is seen, add to the scores."""
        found = None
        if mask is not None:
            if mask.dim() == 3 and len(mask) != len(queries):
                raise InputError("masks of attention must be the same for all heads")
            found = _as_scores(mask if mask.dim() == 2 else mask[:, None], queries)
        if padding is not None:
            shown = _as_scores(padding[:, None, None], queries)
            found = shown if found is None else found + shown
        return found


def _as_scores(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, float("-inf"))


class Fused(nn.Module):
    """One linear layer for queries, keys and values, scaled products, and one linear layer behind: self-attention.

    `order` says how the first one's rows lie: what they are for (q), their head (h) and their feature (f).
    """

    def __init__(self, whole: nn.Module, into: str, out: str, heads: int, order: str, causal: bool) -> None:
        super().__init__()
        self.num_heads, self.order, self.causal = heads, order, causal
        self.features = len(whole.get_parameter(f"{into}.weight")) // 3 // heads
        self._into, self._out = into, out
        for name, child in whole.named_children():
            self.add_module(name, child)

    def forward(self, x: Tensor, **others: object) -> Tensor:
        """Tokens [n, tokens, channels] to the same; whatever else the module takes must not be given."""
        if any(value is not None and value is not False for value in others.values()):
            raise InputError(f"heads must be computed of tokens alone, but {', '.join(others)} are given")
        into, out = self.get_submodule(self._into), cast(nn.Linear, self.get_submodule(self._out))
        sizes = {"q": 3, "h": self.num_heads, "f": self.features}
        apart = into(x).reshape(x.shape[0], x.shape[1], *(sizes[axis] for axis in self.order))
        apart = apart.permute(*(2 + self.order.index(axis) for axis in "qh"), 0, 1, 2 + self.order.index("f"))
        q, k, v = (apart[which].transpose(0, 1) for which in range(3))
        if self.num_heads:
            q = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, scale=self.features**-0.5)
        return projected(q, self.num_heads, out)


class Windows(nn.Module, Opaque):
    """torchvision's attention in shifted windows with a relative position bias.

    Liu et al., "Swin Transformer", ICCV 2021, and for `cosine` scores "Swin Transformer V2", CVPR 2022.
    """

    def __init__(self, whole: ShiftedWindowAttention, features: int) -> None:
        super().__init__()
        self.features, self.cosine = features, hasattr(whole, "logit_scale")
        self.whole = [whole]  # in a list, so that its parameters are not ours twice
        self._modules, self._parameters, self._buffers = whole._modules, whole._parameters, whole._buffers

    def forward(self, x: Tensor) -> Tensor:
        """Channels last, [n, height, width, channels], to the same."""
        whole = self.whole[0]
        whole.num_heads = whole.qkv.out_features // 3 // self.features
        rows, columns = x.shape[1:3]
        size = whole.window_size
        x = F.pad(x, (0, 0, 0, -columns % size[1], 0, -rows % size[0]))
        n, height, width, _ = x.shape
        shift = [0 if size[i] >= x.shape[1 + i] else whole.shift_size[i] for i in range(2)]
        x = torch.roll(x, (-shift[0], -shift[1]), (1, 2))
        heads = self._attended(_windows(x, size), self._added(height, width, shift, x))
        out = projected(heads, whole.num_heads, whole.proj)
        out = out.reshape(n, height // size[0], width // size[1], size[0], size[1], -1)
        out = torch.roll(out.transpose(2, 3).reshape(n, height, width, -1), (shift[0], shift[1]), (1, 2))
        return out[:, :rows, :columns]

    def _attended(self, x: Tensor, added: Tensor) -> Tensor:
        """Windows [windows, tokens, channels] as [windows, heads, tokens, features]."""
        whole = self.whole[0]
        bias = whole.qkv.bias
        if self.cosine and bias is not None:
            a, b = len(bias) // 3, 2 * len(bias) // 3
            bias = torch.cat([bias[:a], torch.zeros_like(bias[a:b]), bias[b:]])
        rows = F.linear(x, whole.qkv.weight, bias).reshape(*x.shape[:2], 3, whole.num_heads, self.features)
        q, k, v = rows.permute(2, 0, 3, 1, 4)
        if whole.num_heads == 0:
            return q
        if self.cosine:
            longest = whole.logit_scale.clamp(max=math.log(100.0)).exp()
            return attend(F.normalize(q, dim=-1) * longest, F.normalize(k, dim=-1), v, added)
        return attend(q, k, v, added, self.features**-0.5)

    def _added(self, height: int, width: int, shift: Sequence[int], x: Tensor) -> Tensor:
        """Position bias, and what keeps windows apart that were not neighbours, [windows, heads, tokens, tokens]."""
        whole = self.whole[0]
        size = whole.window_size
        if whole.num_heads == 0:
            return x.new_zeros(())
        regions = [_regions(n, size[i], shift[i], x) for i, n in enumerate((height, width))]
        apart = (regions[0][:, None] * 3 + regions[1])[None, :, :, None]
        of_tokens = _windows(apart, size)[:, :, 0]
        forbidden = (of_tokens[:, None] != of_tokens[:, :, None]).to(x.dtype) * FORBIDDEN
        bias: Tensor = whole.get_relative_position_bias()
        return (bias + forbidden[:, None]).repeat(len(x), 1, 1, 1)


def _in_windows(module: nn.Module) -> TypeGuard[ShiftedWindowAttention]:
    """Whether it is torchvision's; that is imported by who made it or by nobody, since it takes longer than torch."""
    swin = sys.modules.get("torchvision.models.swin_transformer")
    return swin is not None and isinstance(module, swin.ShiftedWindowAttention)


def _windows(x: Tensor, size: Sequence[int]) -> Tensor:
    """[n, height, width, channels] cut into [n x windows, tokens, channels]."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height // size[0], size[0], width // size[1], size[1], channels)
    return x.transpose(2, 3).reshape(-1, size[0] * size[1], channels)


def _regions(length: int, size: int, shift: int, like: Tensor) -> Tensor:
    """Along a rolled dimension, which places were together before: 0, 1 or 2."""
    places = torch.arange(length, device=like.device)
    return (places >= length - size).long() + (places >= length - shift).long() if shift else torch.zeros_like(places)


def without_heads(module: nn.Module, group: Group, kept: int) -> None:
    """Make the module of a group's heads one that computes with so many, in place; its parameters are not cut here.

    One whose own code takes its number of heads from an attribute gets another number; the others are replaced.
    """
    path, features = where(group), _features(group)
    whole = module.get_submodule(path)
    if isinstance(whole, nn.MultiheadAttention):
        small: nn.Module = Multihead(whole)
    elif _in_windows(whole):
        small = Windows(whole, features)
    else:
        fused = _fused(whole, path, group)
        small = whole if fused is None else fused
        for part in small.modules():
            for name in COUNTS:
                number = getattr(part, name, None)
                if isinstance(number, int) and number % group.size == 0:
                    setattr(part, name, number // group.size * kept)
    parent, _, leaf = path.rpartition(".")
    setattr(module.get_submodule(parent), leaf, small)


def where(group: Group) -> str:
    """The module that holds all parameters of a group of heads."""
    owners = [part.parameter.split(".")[:-1] for part in group.slices]
    shared = takewhile(lambda names: len(set(names)) == 1, zip(*owners, strict=False))
    return ".".join(names[0] for names in shared)


def _features(group: Group) -> int:
    """Of one head: its rows of the keys' weights, or a third of those of a weight for queries, keys and values."""
    rows = [part.width for part in group.slices if part.dim == 0 and part.parameter.endswith("weight")]
    return min((width for width in rows[1:] if width > 1), default=rows[0] // 3)


def _fused(whole: nn.Module, path: str, group: Group) -> Fused | None:
    """What computes the same as a module of one linear layer before its heads and one behind; None if it does not."""
    start = len(path) + 1 if path else 0
    weights = [part for part in group.slices if part.parameter.endswith(".weight")]
    into, out = ({part.parameter[start:].rpartition(".")[0] for part in weights if part.dim == dim} for dim in (0, 1))
    if len(into) != 1 or len(out) != 1:
        return None
    names = into.pop(), out.pop()
    orders = [(order, causal) for order in ("qhf", "hqf", "hfq") for causal in (False, True)]
    candidates = [Fused(whole, *names, group.size, order, causal).eval() for order, causal in orders]
    width = whole.get_parameter(f"{names[0]}.weight").shape[1]
    tokens = torch.randn(2, 5, width, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            expected = whole(tokens)
            return next((one for one in candidates if torch.allclose(expected, one(tokens), atol=1e-4)), None)
    except Exception:  # a module that wants other arguments may fail in any way
        return None
