"""Channels followed through sums, broadcasts, aliases and what nobody knows, and that what is offered is true."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from followed import Case, case, check, conv, followed, parameter, told
from torch import Tensor, nn

from pruneframe.model.flow import Flow

L = nn.Linear
LAST = "6: d.weight/0 d.bias/0 fc.weight/1"  # a last convolution of six channels
RESIDUAL = "4: a.weight/0 a.bias/0 b.weight/0 b.weight/1 b.bias/0 fc.weight/1"


def in_place(self: Any, x: Tensor) -> Tensor:
    """Writes through aliases: what is read in the end was never named."""
    x = self.a(x)
    y = x.view(x.shape)
    F.relu_(y)
    y += self.b(x)
    x.mul_(2.0)
    y[:, :, ::2].add_(1.0)
    return x


def put_together(self: Any, x: Tensor) -> Tensor:
    """Rows of one layer written into what another one computed."""
    y = torch.empty_like(self.a(x))
    y.copy_(self.a(x))
    y[:, :, ::2] = self.b(x)[:, :, ::2]
    return self.d(y)


def gated(self: Any, x: Tensor) -> Tensor:
    y = self.a(x)
    return self.d(torch.sigmoid(self.g(y)) * y)


def scaled(self: Any, x: Tensor) -> Tensor:
    y = self.a(x)
    return y + self.g * self.b(y)


def placed(self: Any, x: Tensor) -> Tensor:
    """Tokens behind one that is learned, all with what is learned of their places."""
    tokens = self.a(x).flatten(2).transpose(1, 2)
    return F.relu(self.b(torch.cat([self.k.expand(x.shape[0], -1, -1), tokens], 1) + self.p))[:, 0]


CASES: dict[str, Case] = {
    "added": case(lambda m, x: m.a(x) + m.b(m.a(x)), [RESIDUAL], a=conv(2, 4), b=conv(4, 4), fc=L(4, 3)),
    "the larger of two": case(
        lambda m, x: torch.max(m.a(x), m.b(x)), ["4: a.weight/0 a.bias/0 b.weight/0 b.bias/0 fc.weight/1"],
        a=conv(2, 4), b=conv(2, 4), fc=L(4, 3),
    ),
    "one or the other": case(
        lambda m, x: torch.where(m.a(x) > 0, m.b(x), -1.0),
        ["4: a.weight/0 a.bias/0 b.weight/0 b.bias/0 fc.weight/1"],
        a=conv(2, 4), b=conv(2, 4), fc=L(4, 3),
    ),
    "added to the images": case(
        lambda m, x: m.d(m.a(x) + x), [LAST], ["2 channels of a stay: they meet something that stays"],
        a=conv(2, 2), d=conv(2, 6), fc=L(6, 3),
    ),
    "in place": case(in_place, [RESIDUAL], a=conv(2, 4), b=conv(4, 4), fc=L(4, 3)),
    "put together": case(
        put_together, ["4: a.weight/0 a.bias/0 b.weight/0 b.bias/0 d.weight/1", LAST],
        a=conv(2, 4), b=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "a gate for all channels": case(
        gated, ["4: a.weight/0 a.bias/0 g.weight/1 d.weight/1", LAST],
        ["1 channels of g stay: one of them is there for several others"],
        a=conv(2, 4), g=conv(4, 1), d=conv(4, 6), fc=L(6, 3),
    ),
    "every product of two": case(
        lambda m, x: m.d((m.a(x)[:, :, None] * m.b(x)[:, None]).flatten(1, 2)), [LAST],
        ["9 channels of a and 1 more stay: one of them is there for several others"],
        a=conv(2, 4), b=conv(2, 5), d=conv(20, 6), fc=L(6, 3),
    ),
    "scales of channels": case(
        scaled, ["4: a.weight/0 g/1 a.bias/0 b.weight/0 b.weight/1 b.bias/0 fc.weight/1"],
        a=conv(2, 4), b=conv(4, 4), g=parameter(1, 4, 1, 1), fc=L(4, 3),
    ),
    "one scale": case(scaled, [RESIDUAL], a=conv(2, 4), b=conv(4, 4), g=parameter(1), fc=L(4, 3)),
    "one scale without a shape": case(scaled, [RESIDUAL], a=conv(2, 4), b=conv(4, 4), g=parameter(), fc=L(4, 3)),
    "scales of pixels": case(
        scaled, [], ["4 channels of a stay: the network (Sketch) reads or holds them"],
        a=conv(2, 4), b=conv(4, 4), g=parameter(8, 8), fc=L(4, 3),
    ),
    "scales of channels and pixels": case(
        scaled, ["4: a.weight/0 g/0 a.bias/0 b.weight/0 b.weight/1 b.bias/0 fc.weight/1"],
        a=conv(2, 4), b=conv(4, 4), g=parameter(4, 8, 8), fc=L(4, 3),
    ),
    "tokens and their places": case(
        placed, ["4: a.weight/0 k/2 p/2 a.bias/0 b.weight/1", "5: b.weight/0 b.bias/0 fc.weight/1"],
        a=conv(2, 4), k=parameter(1, 1, 4), p=parameter(1, 65, 4), b=L(4, 5), fc=L(5, 3),
    ),
    "tokens mixed": case(
        lambda m, x: (lambda y: y + m.o(F.gelu(m.i(y))))(m.a(x).flatten(2)),
        ["9: i.weight/0 i.bias/0 o.weight/1"], ["4 channels of a stay: all of them go together"],
        a=conv(2, 4), i=L(64, 9), o=L(9, 64), fc=L(64, 3),
    ),
    "unknown": case(
        lambda m, x: m.d(m.a(x).cumsum(1)), [LAST], ["4 channels of a stay: cumsum is not known to keep them apart"],
        a=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "unknown in place": case(
        lambda m, x: m.d(m.a(x).cumsum_(1)), [LAST], ["4 channels of a stay: cumsum is not known to keep them apart"],
        a=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "unknown along what is not pruned": case(
        lambda m, x: m.d(m.b(x.cumsum(1))), ["4: b.weight/0 b.bias/0 d.weight/1", LAST],
        b=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_channels_are_followed(name: str) -> None:
    CASES[name].holds()


class Placed(nn.Module):
    """What is added to every channel is in no state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.fc = conv(2, 4), L(4, 3)
        self.register_buffer("p", torch.zeros(4, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3]."""
        return self.fc((self.a(images) + self.p).mean((2, 3)))


def test_a_buffer_outside_the_state_dict_is_cut_too() -> None:
    network = followed(Placed())
    assert told(network) == ["4: a.weight/0 a.bias/0 fc.weight/1 p/0"]
    check(network)


def test_views_of_a_weight_are_told_apart_from_what_is_none() -> None:
    linear, convolution = L(4, 5), conv(4, 4)
    flow = Flow(nn.ModuleDict({"l": linear, "c": convolution}), {}, {}, heads=False)
    weight = linear.weight.detach()
    assert flow.weight(weight) == ("l.weight", 0, 1, 0)
    assert flow.weight(weight.t()) == ("l.weight", 1, 0, 0)
    assert flow.weight(weight[2:4]) == ("l.weight", 0, 1, 2)
    assert flow.weight(weight[2:4].t()) == ("l.weight", 1, 0, 2)
    for other in (weight[:, 1:], weight[::2], weight.reshape(4, 5), weight.clone(), linear.bias):
        assert flow.weight(other) is None
    kernels = convolution.weight.detach()
    assert flow.weight(kernels) == ("c.weight", 0, 1, 0)
    assert flow.weight(kernels[:2]) is None
    assert flow.weight(kernels.transpose(0, 1)) is None
    assert flow.weight(kernels.transpose(2, 3)) is None
