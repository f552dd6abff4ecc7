"""DeiT-Tiny: a small vision transformer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS, DEPTH, PATCH, SIDE = 192, 3, 12, 16, 224
EPSILON = 1e-6  # of layer norm


class Patches(nn.Module):
    """Squares of an image as tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, PATCH, PATCH)

    def forward(self, images: Tensor) -> Tensor:
        """[n, 3, h, w] to [n, tokens, width]."""
        return self.proj(images).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with one linear layer for queries, keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.features = WIDTH // HEADS  # of each head
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [n, tokens, width] to the same."""
        rows = self.qkv(x).reshape(x.shape[0], x.shape[1], 3, self.num_heads, self.features)
        queries, keys, values = rows.permute(2, 0, 3, 1, 4).unbind(0)
        found = F.scaled_dot_product_attention(queries, keys, values)
        return self.proj(found.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers, four times as wide between them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [n, tokens, width] to the same."""
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """Attention and an MLP, each behind a layer norm and around a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, EPSILON)
        self.attn = Attention()
        self.norm2 = nn.LayerNorm(WIDTH, EPSILON)
        self.mlp = Mlp()

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [n, tokens, width] to the same."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class DeiTTiny(nn.Module):
    """Touvron et al., "Training data-efficient image transformers & distillation through attention", ICML 2021.

    5,717,416 parameters, patches of 16 pixels, without the token for distillation; names are those of the published
    weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = Patches()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, (SIDE // PATCH) ** 2 + 1, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH, EPSILON)
        self.head = nn.Linear(WIDTH, 1000)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 1000] of images float32[n, 3, 224, 224]."""
        tokens = self.patch_embed(images)
        tokens = torch.cat([self.cls_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        return self.head(self.norm(self.blocks(tokens + self.pos_embed))[:, 0])
