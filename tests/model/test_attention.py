"""Heads of attention: what is found, in however a module is written, and that fewer compute what the masked ones do."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.swin_transformer import ShiftedWindowAttention, ShiftedWindowAttentionV2

from pruneframe import InputError, Masks, Network
from pruneframe.model.attention import Multihead
from pruneframe.model.layers import Census
from pruneframe.model.memory import peak_memory
from pruneframe.model.shrink import proved_network, shrink
from pruneframe.model.state import reweighted

WIDTH, HEADS = 16, 4
SHAPE = (3, 16, 16)


class Fused(nn.Module):
    """Self-attention after one linear layer, with its heads laid out in one of several ways."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.layout = layout
        self.into, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        rows, features = self.into(x), WIDTH // HEADS
        if self.layout == "interleaved":
            q, k, v = rows.reshape(n, tokens, HEADS, 3, features).permute(3, 0, 2, 1, 4)
        elif self.layout in ("chunked", "multiplied", "causal"):
            q, k, v = (part.view(n, tokens, HEADS, features).transpose(1, 2) for part in rows.chunk(3, -1))
        else:
            q, k, v = rows.reshape(n, tokens, 3, HEADS, features).permute(2, 0, 3, 1, 4)
        if self.layout == "multiplied":
            heads = (q @ k.transpose(-2, -1) * features**-0.5).softmax(-1) @ v
        else:
            heads = F.scaled_dot_product_attention(q, k, v, is_causal=self.layout == "causal")
        return self.out(heads.transpose(1, 2).reshape(n, tokens, width))  # type: ignore[no-any-return] # Modules


class Counted(nn.Module):
    """Three linear layers, and a number of heads that is an attribute; keys and values may have fewer."""

    def __init__(self, keys: int) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.features = HEADS, keys, WIDTH // HEADS
        self.q, self.o = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.k, self.v = (nn.Linear(WIDTH, keys * self.features) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (one(x).unflatten(2, (-1, self.features)).transpose(1, 2) for one in (self.q, self.k, self.v))
        each = self.num_heads // self.num_kv_heads
        k, v = k.repeat_interleave(each, 1), v.repeat_interleave(each, 1)
        heads = F.scaled_dot_product_attention(q, k, v)
        return self.o(heads.transpose(1, 2).flatten(2))  # type: ignore[no-any-return] # Modules


class Torch(nn.Module):
    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.batch_first else x.transpose(0, 1)
        found: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return found if self.batch_first else found.transpose(0, 1)


class Windowed(nn.Module):
    """Windows that do not divide the image, rolled."""

    def __init__(self, make: type[ShiftedWindowAttention]) -> None:
        super().__init__()
        self.windows = make(WIDTH, [3, 3], [1, 1], HEADS)

    def forward(self, x: Tensor) -> Tensor:
        return self.windows(x.unflatten(1, (4, 4))).flatten(1, 2)  # type: ignore[no-any-return] # Modules


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 24, 0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)  # type: ignore[no-any-return] # Modules


class Tokens(nn.Module):
    """Patches, attention beside a shortcut, and a classifier."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, WIDTH, 4, stride=4), nn.LayerNorm(WIDTH)
        self.attention, self.fc = attention, nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.attention(self.norm(x))
        return self.fc(x.mean(1))  # type: ignore[no-any-return] # Modules


ATTENTION = {
    **{name: lambda name=name: Fused(name) for name in ("stacked", "interleaved", "chunked", "multiplied", "causal")},
    "counted": lambda: Counted(HEADS),
    "grouped queries": lambda: Counted(2),
    "torch": lambda: Torch(True),
    "torch, tokens first": lambda: Torch(False),
    "encoder layer": Encoder,
    "windows": lambda: Windowed(ShiftedWindowAttention),
    "windows of version 2": lambda: Windowed(ShiftedWindowAttentionV2),
}
FEWER = {"grouped queries": 2}  # units where they are not heads of queries
UNTRACED = ("chunked", "multiplied", "causal", "counted", "grouped queries")  # torch.fx cannot follow their code
LAST_STAYS = ("counted", "grouped queries")


def network_of(name: str) -> Network:
    torch.manual_seed(0)
    module = Tokens(ATTENTION[name]())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return proved_network(tiny.network(module, SHAPE, "head"))


@pytest.mark.parametrize("name", ATTENTION)
def test_heads_are_found_and_fewer_compute_what_the_masked_ones_do(name: str) -> None:
    network = network_of(name)
    [group] = network.layout.groups
    assert (group.size, group.kind) == (FEWER.get(name, HEADS), "heads")
    assert group.least == (name in LAST_STAYS)
    assert not network.notes
    images = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    masks = Masks.pack(
        np.array([[bit >> i & 1 for i in range(group.size)] for bit in (0, 1, 2, 3)]) > 0, network.layout
    )
    for row in range(len(masks)):
        real = network.structure(masks[[row]])
        kept = network.keep(real, 0)
        state = {key: value * kept[key] if key in kept else value for key, value in network.module.state_dict().items()}
        small = shrink(network, masks[[row]], state)
        with torch.inference_mode():
            assert torch.allclose(small(images), reweighted(network.module, state)(images), atol=1e-4)
        assert sum(parameter.numel() for parameter in small.parameters()) == network.params(masks[[row]])[0]
        with torch.no_grad(), Census(small.named_parameters()) as census:
            small(images[:1])
        counted = sum(census.macs.values())
        slack = 0 if name != "windows of version 2" else 512 * 2 * 25  # its bias is not computed without any head
        assert 0 <= network.macs(masks[[row]])[0] - counted <= slack
        if name not in UNTRACED:
            assert peak_memory(small, SHAPE) <= peak_memory(network.module, SHAPE)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("given", ["nothing", "padding", "mask", "added", "both", "weights of each head"])
def test_attention_with_all_heads_is_torchs(batch_first: bool, given: str) -> None:
    torch.manual_seed(0)
    whole = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first).eval()
    nn.init.normal_(whole.in_proj_bias)
    query, key = torch.randn(3, 3, WIDTH), torch.randn(3, 3, WIDTH)
    padding = torch.tensor([[False, False, True]] * 3)
    above = torch.ones(3, 3, dtype=torch.bool).triu(1)
    options = {
        "padding": {"key_padding_mask": padding},
        "mask": {"attn_mask": above},
        "added": {"attn_mask": torch.randn(3, 3)},
        "both": {"key_padding_mask": padding, "attn_mask": above},
        "weights of each head": {"average_attn_weights": False},
    }.get(given, {})
    expected, found = whole(query, key, key, **options), Multihead(whole)(query, key, key, **options)
    for one, other in zip(expected, found, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_heads_whose_average_weights_nobody_reads_may_go_and_those_of_read_ones_stay() -> None:
    class Read(Torch):
        def forward(self, x: Tensor) -> Tensor:
            found, weights = self.attention(x, x, x)  # weights averaged over heads
            return found + weights.sum(-1, keepdim=True) if self.reads else found  # type: ignore[no-any-return]

    for reads in (False, True):
        module = Read(True)
        module.reads = reads  # type: ignore[assignment] # no parameter
        if reads:
            with pytest.raises(InputError, match=r"channels of attention\.attention\.in_proj stay"):
                tiny.network(Tokens(module), SHAPE, "head")
        else:
            assert proved_network(tiny.network(Tokens(module), SHAPE, "head")).layout.sizes == (HEADS,)


def test_heads_with_keys_of_another_width_stay() -> None:
    class Foreign(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.narrow, self.attention = nn.Linear(WIDTH, 8), nn.MultiheadAttention(WIDTH, HEADS, kdim=8, vdim=8)

        def forward(self, x: Tensor) -> Tensor:
            small = self.narrow(x)
            return self.attention(x, small, small)[0]  # type: ignore[no-any-return] # Modules

    with pytest.raises(InputError, match="heads must have keys and values as wide as queries"):
        proved_network(tiny.network(Tokens(Foreign()), SHAPE, "head"))
