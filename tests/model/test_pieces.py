"""What taking tensors apart and putting them together does to channels, and that it is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from followed import Case, case, conv
from torch import Tensor, nn

L = nn.Linear
LAST = "6: d.weight/0 d.bias/0 fc.weight/1"  # a last convolution of six channels
HALVES = "@0,4,1,5,2,6,3,7"  # each of eight channels with the one that lies as far behind the other half's begin
PAIRS = f"4: a.weight/0x2{HALVES} a.bias/0x2{HALVES}"


def apart(take: Callable[[Tensor], Tensor], inputs: int, offered: str, note: str = "") -> Case:
    """A convolution of eight channels, what is done to them, and a convolution that reads so many."""
    found = [offered, LAST] if offered else [LAST]
    run: Callable[[Any, Tensor], Tensor] = lambda m, x: m.d(take(m.a(x)))  # noqa: E731
    return case(run, found, [note] if note else [], a=conv(2, 8), d=conv(inputs, 6), fc=L(6, 3))


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Channels dealt out from so many pieces, as ShuffleNet writes it."""
    n, channels, height, width = x.shape
    x = x.view(n, groups, channels // groups, height, width)
    return x.transpose(1, 2).contiguous().view(n, -1, height, width)


def focused(x: Tensor) -> Tensor:
    """Every second pixel of every second row as a channel of its own."""
    return torch.cat([x[:, :, ::2, ::2], x[:, :, 1::2, ::2], x[:, :, ::2, 1::2], x[:, :, 1::2, 1::2]], 1)


def both(x: Tensor) -> Tensor:
    first, second = x.chunk(2, 1)
    return torch.cat([first, second.relu()], 1)


def multiplied(x: Tensor) -> Tensor:
    first, second = x.split(x.shape[1] // 2, dim=1)
    return first * torch.sigmoid(second)


def unequal(x: Tensor) -> Tensor:
    first, second = x.split([3, 5], 1)
    return torch.cat([second, first], 1)


APART: dict[str, Case] = {
    "chunks": apart(both, 8, f"{PAIRS} d.weight/1x2{HALVES}"),
    "one chunk alone": apart(lambda x: x.chunk(2, 1)[1], 4, f"{PAIRS} d.weight/1"),
    "halves multiplied": apart(multiplied, 4, f"{PAIRS} d.weight/1"),
    "gated linear unit": apart(lambda x: F.glu(x, 1), 4, f"{PAIRS} d.weight/1"),
    "unequal pieces": apart(unequal, 8, "", "8 channels of a stay: they are cut into unequal pieces"),
    "slices of a half": apart(
        lambda x: x[:, : x.shape[1] // 2] * x[:, x.shape[1] // 2 :], 4, f"{PAIRS} d.weight/1"
    ),
    "a slice of another size": apart(lambda x: x[:, 1:], 7, "", "8 channels of a stay: a part of them is cut out"),
    "every second": apart(lambda x: x[:, ::2] + x[:, 1::2], 4, "4: a.weight/0x2 a.bias/0x2 d.weight/1"),
    "one taken out": apart(lambda x: x * x[:, :1], 8, "", "8 channels of a stay: all of them go together"),
    "selected": apart(lambda x: x * x[:, 0].unsqueeze(1), 8, "", "8 channels of a stay: one of them is taken out"),
    "unbound": apart(
        lambda x: torch.stack(x.unbind(1), 1), 8, "", "8 channels of a stay: they are taken apart one by one"
    ),
    "parts of the image": apart(
        lambda x: torch.cat([x[:, :, :3], x[:, :, 3:]], 2) + x.select(2, 0).unsqueeze(2),
        8, "8: a.weight/0 a.bias/0 d.weight/1",
    ),
    "shuffled": apart(nn.ChannelShuffle(2), 8, f"{PAIRS} d.weight/1x2"),
    "shuffled by views": apart(lambda x: shuffled(x, 2), 8, f"{PAIRS} d.weight/1x2"),
    "shuffled from four": apart(
        lambda x: shuffled(x, 4), 8,
        "2: a.weight/0x4@0,2,4,6,1,3,5,7 a.bias/0x4@0,2,4,6,1,3,5,7 d.weight/1x4",
    ),
    "pixels from channels": apart(nn.PixelShuffle(2), 2, "2: a.weight/0x4 a.bias/0x4 d.weight/1"),
    "channels from pixels": apart(nn.PixelUnshuffle(2), 32, "8: a.weight/0 a.bias/0 d.weight/1x4"),
    "channels from every second pixel": apart(
        focused, 32,
        "8: a.weight/0 a.bias/0 d.weight/1x4@" + ",".join(str(i + 8 * j) for i in range(8) for j in range(4)),
    ),
    "channels from pixels by views": apart(
        lambda x: x.unflatten(3, (4, 2)).permute(0, 1, 4, 2, 3).reshape(x.shape[0], -1, 8, 4), 16,
        "8: a.weight/0 a.bias/0 d.weight/1x2",
    ),
    "the larger of two": apart(
        lambda x: x.unflatten(1, (-1, 2)).amax(2), 4, "", "8 channels of a stay: they are averaged or added up"
    ),
    "repeated": apart(
        lambda x: x.repeat(1, 2, 1, 1), 16,
        "8: a.weight/0 a.bias/0 d.weight/1x2@" + ",".join(f"{i},{i + 8}" for i in range(8)),
    ),
    "turned around": apart(lambda x: x.flip(1), 8, "8: a.weight/0 a.bias/0 d.weight/1@7,6,5,4,3,2,1,0"),
    "padded pixels": apart(
        lambda x: F.pad(F.pad(x, (1, 1, 1, 0)), (1, 0, 0, 0), mode="replicate"), 8, "8: a.weight/0 a.bias/0 d.weight/1"
    ),
    "windows": apart(
        lambda x: F.unfold(x, 2, stride=2).unflatten(2, (4, 4)), 32, "",
        "8 channels of a stay: im2col is not known to keep them apart",
    ),
}  # fmt: skip
TOGETHER: dict[str, Case] = {
    "concatenated": case(
        lambda m, x: m.d(torch.cat([m.a(x), m.b(x)], 1)),
        ["4: a.weight/0 a.bias/0 d.weight/1", "5: b.weight/0 b.bias/0 d.weight/1@4", LAST],
        a=conv(2, 4), b=conv(2, 5), d=conv(9, 6), fc=L(6, 3),
    ),
    "concatenated again and again": case(
        lambda m, x: (lambda y, z: torch.cat([y, z, m.c(torch.cat([y, z], 1))], 1))(m.a(x), m.b(m.a(x))),
        [
            "4: a.weight/0 a.bias/0 b.weight/1 c.weight/1 fc.weight/1",
            "3: b.weight/0 b.bias/0 c.weight/1@4 fc.weight/1@4",
            "3: c.weight/0 c.bias/0 fc.weight/1@7",
        ],
        a=conv(2, 4), b=conv(4, 3), c=conv(7, 3), fc=L(10, 3),
    ),
    "added to a concatenation": case(
        lambda m, x: m.d(torch.cat([m.a(x), m.b(x)], 1) + m.c(x)),
        [
            "4: a.weight/0 a.bias/0 c.weight/0 c.bias/0 d.weight/1",
            "5: b.weight/0 b.bias/0 c.weight/0@4 c.bias/0@4 d.weight/1@4",
            LAST,
        ],
        a=conv(2, 4), b=conv(2, 5), c=conv(2, 9), d=conv(9, 6), fc=L(6, 3),
    ),
    "flattened": case(
        lambda m, x: m.a(x).flatten(1), ["4: a.weight/0 a.bias/0 fc.weight/1x64"], a=conv(2, 4), fc=L(256, 3)
    ),
    "flattened and concatenated": case(
        lambda m, x: torch.cat([m.a(x).flatten(1), m.b(x).reshape(x.shape[0], -1)], 1),
        ["4: a.weight/0 a.bias/0 fc.weight/1x64", "3: b.weight/0 b.bias/0 fc.weight/1x64@256"],
        a=conv(2, 4), b=conv(2, 3), fc=L(448, 3),
    ),
    "features made an image": case(
        lambda m, x: m.d(m.a(x.flatten(1)).unflatten(1, (-1, 2, 2))),
        ["3: a.weight/0x4 a.bias/0x4 d.weight/1", LAST],
        a=L(128, 12), d=conv(3, 6), fc=L(6, 3),
    ),
    "shortcut with more channels": case(
        lambda m, x: (lambda y: m.b(y) + F.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))(m.a(x).relu()),
        ["4: a.weight/0 a.bias/0 b.weight/0@2 b.weight/1 b.bias/0@2 fc.weight/1@2"],
        ["4 channels of b stay: they meet something that stays"],
        a=conv(2, 4), b=conv(4, 8, stride=2), fc=L(8, 3),
    ),
}  # fmt: skip
CASES = APART | TOGETHER


@pytest.mark.parametrize("name", CASES)
def test_channels_are_followed_through_pieces(name: str) -> None:
    CASES[name].holds()
