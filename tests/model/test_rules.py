"""What layers, norms, pools and products do to channels: what goes together, what stays, and that it is true."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from followed import Case, Sketch, case, check, conv, followed, parameter, told
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

L = nn.Linear
LAST = "6: d.weight/0 d.bias/0 fc.weight/1"  # a last convolution of six channels


def normed(self: Any, x: Tensor) -> Tensor:
    return self.d(self.n(self.a(x)).relu())


def standardised(self: Any, x: Tensor) -> Tensor:
    weight = self.b.weight - self.b.weight.mean((1, 2, 3), keepdim=True)
    return self.d(F.conv2d(self.a(x), weight, self.b.bias, padding=1))


def excited(self: Any, x: Tensor) -> Tensor:
    y = self.a(x)
    return self.d(y * torch.sigmoid(self.e(torch.relu(self.r(F.adaptive_avg_pool2d(y, 1))))))


def words(x: Tensor) -> Tensor:
    """Images as numbers below 7."""
    return x.flatten(1).abs().mul(3).long().clamp(max=6)


CONVOLUTIONS: dict[str, Case] = {
    "depthwise": case(
        lambda m, x: m.d(m.n(m.b(m.a(x)))),
        ["4: a.weight/0 a.bias/0 b.weight/0 b.bias/0 n.weight/0 n.bias/0 d.weight/1", LAST],
        a=conv(2, 4), b=conv(4, 4, groups=4), n=nn.BatchNorm2d(4), d=conv(4, 6), fc=L(6, 3),
    ),
    "depth multiplier": case(
        lambda m, x: m.d(m.b(m.a(x))),
        ["4: a.weight/0 a.bias/0 b.weight/0x2 b.bias/0x2 d.weight/1x2", LAST],
        a=conv(2, 4), b=conv(4, 8, groups=4), d=conv(8, 6), fc=L(6, 3),
    ),
    "many groups go whole": case(
        lambda m, x: m.d(m.b(m.a(x))),
        ["4: a.weight/0x2 a.bias/0x2 b.weight/0x3 b.bias/0x3 d.weight/1x3", LAST],
        a=conv(2, 8), b=conv(8, 12, groups=4), d=conv(12, 6), fc=L(6, 3),
    ),
    "few groups lose a channel each": case(
        lambda m, x: m.d(m.b(m.a(x))),
        [
            "4: a.weight/0x2@0,4,1,5,2,6,3,7 a.bias/0x2@0,4,1,5,2,6,3,7 b.weight/1",
            "3: b.weight/0x2@0,3,1,4,2,5 b.bias/0x2@0,3,1,4,2,5 d.weight/1x2@0,3,1,4,2,5",
            LAST,
        ],
        a=conv(2, 8), b=conv(8, 6, groups=2), d=conv(6, 6), fc=L(6, 3),
    ),
    "called twice": case(
        lambda m, x: m.d(m.b(m.b(m.a(x)))),
        ["4: a.weight/0 a.bias/0 b.weight/0 b.weight/1 b.bias/0 d.weight/1", LAST],
        a=conv(2, 4), b=conv(4, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "read by functions": case(
        lambda m, x: F.linear(F.conv2d(m.a(x), m.b.weight, m.b.bias, padding=1).mean((2, 3)), m.l.weight, m.l.bias),
        [
            "4: a.weight/0 a.bias/0 b.weight/1",
            "5: b.weight/0 b.bias/0 l.weight/1",
            "6: l.weight/0 l.bias/0 fc.weight/1",
        ],
        a=conv(2, 4), b=conv(4, 5), l=L(5, 6), fc=L(6, 3),
    ),
    "computed weight": case(
        standardised,
        [LAST],
        ["4 channels of a stay: a layer reads them whose weight is computed"],
        uncounted=4 * 4 * 9 * 64,
        a=conv(2, 4), b=conv(4, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "weight read turned around": case(
        lambda m, x: F.conv2d(m.b(m.a(x)), m.b.weight.transpose(0, 1), padding=1),
        [],
        ["b (Conv2d) reads or holds them", "4 channels of b stay: a layer reads them whose weight is computed"],
        a=conv(2, 4), b=conv(4, 4), fc=L(4, 3),
    ),
    "linear weight read turned around": case(
        lambda m, x: F.linear(m.b(m.a(x.flatten(1))).relu(), m.b.weight.t()),
        ["4: a.weight/0 a.bias/0 b.weight/1 fc.weight/1", "5: b.weight/0 b.bias/0"],
        a=L(128, 4), b=L(4, 5), fc=L(4, 3),
    ),
    "padded otherwise": case(
        lambda m, x: m.d(m.a(x)),
        ["4: a.weight/0 a.bias/0 d.weight/1", LAST],
        a=conv(2, 4), d=conv(4, 6, padding_mode="reflect"), fc=L(6, 3),
    ),
}  # fmt: skip
NORMS: dict[str, Case] = {
    "batch norm": case(
        normed, ["4: a.weight/0 a.bias/0 n.weight/0 n.bias/0 d.weight/1", LAST],
        a=conv(2, 4), n=nn.BatchNorm2d(4), d=conv(4, 6), fc=L(6, 3),
    ),
    "batch norm without scale": case(
        normed, ["4: a.weight/0 a.bias/0 d.weight/1 n.running_mean/0 n.running_var/0", LAST],
        a=conv(2, 4), n=nn.BatchNorm2d(4, affine=False), d=conv(4, 6), fc=L(6, 3),
    ),
    "batch norm of the batch": case(
        normed, ["4: a.weight/0 a.bias/0 n.weight/0 n.bias/0 d.weight/1", LAST],
        a=conv(2, 4), n=nn.BatchNorm2d(4, track_running_stats=False), d=conv(4, 6), fc=L(6, 3),
    ),
    "frozen batch norm": case(  # all of it is buffers
        normed,
        ["4: a.weight/0 a.bias/0 d.weight/1 n.bias/0 n.running_mean/0 n.running_var/0 n.weight/0", LAST],
        a=conv(2, 4), n=FrozenBatchNorm2d(4), d=conv(4, 6), fc=L(6, 3),
    ),
    "batch norm of features": case(
        lambda m, x: m.n(m.a(x.flatten(1))).relu(), ["4: a.weight/0 a.bias/0 n.weight/0 n.bias/0 fc.weight/1"],
        a=L(128, 4), n=nn.BatchNorm1d(4), fc=L(4, 3),
    ),
    "instance norm": case(
        normed, ["4: a.weight/0 a.bias/0 n.weight/0 n.bias/0 d.weight/1", LAST],
        a=conv(2, 4), n=nn.InstanceNorm2d(4, affine=True), d=conv(4, 6), fc=L(6, 3),
    ),
    "instance norm with statistics": case(
        normed, ["4: a.weight/0 a.bias/0 n.weight/0 n.bias/0 d.weight/1", LAST],
        a=conv(2, 4), n=nn.InstanceNorm2d(4, affine=True, track_running_stats=True), d=conv(4, 6), fc=L(6, 3),
    ),
    "instance norm without scale": case(
        lambda m, x: m.d(F.instance_norm(m.a(x)).relu()), ["4: a.weight/0 a.bias/0 d.weight/1", LAST],
        a=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "group norm": case(
        normed, ["4: a.weight/0x2 a.bias/0x2 n.weight/0x2 n.bias/0x2 d.weight/1x2", LAST],
        a=conv(2, 8), n=nn.GroupNorm(4, 8), d=conv(8, 6), fc=L(6, 3),
    ),
    "group norm of one group": case(
        normed, [LAST], ["8 channels of a stay: a norm averages over them"],
        a=conv(2, 8), n=nn.GroupNorm(1, 8), d=conv(8, 6), fc=L(6, 3),
    ),
    "group norm without scale": case(
        normed, [LAST],
        ["8 channels of a stay: a norm over groups without a scale has nothing that says how many there are"],
        a=conv(2, 8), n=nn.GroupNorm(4, 8, affine=False), d=conv(8, 6), fc=L(6, 3),
    ),
    "norm across channels": case(
        normed, [LAST], ["4 channels of a stay: they lie beside something that stays"],
        a=conv(2, 4), n=nn.LocalResponseNorm(3), d=conv(4, 6), fc=L(6, 3),
    ),
    "layer norm over the stream": case(
        lambda m, x: (lambda y: y + m.o(F.gelu(m.i(m.n(y)))))(m.a(x).flatten(2).transpose(1, 2)),
        ["9: i.weight/0 i.bias/0 o.weight/1"],
        ["4 channels of a stay: a layer norm averages over them"],
        a=conv(2, 4), n=nn.LayerNorm(4), i=L(4, 9), o=L(9, 4), fc=L(4, 3),
    ),
    "layer norm over pixels": case(
        lambda m, x: m.d(F.layer_norm(m.a(x), (8, 8))), ["4: a.weight/0 a.bias/0 d.weight/1", LAST],
        a=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "norm of a vector": case(
        lambda m, x: (lambda y: m.d(y / y.norm(dim=1, keepdim=True)))(m.a(x)),
        [LAST], ["4 channels of a stay: they are averaged or added up"],
        a=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "softmax over channels": case(
        lambda m, x: m.d(m.a(x).softmax(1)), [LAST], ["4 channels of a stay: a softmax is taken over them"],
        a=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "softmax over pixels": case(
        lambda m, x: m.d(m.a(x).softmax(3)), ["4: a.weight/0 a.bias/0 d.weight/1", LAST],
        a=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
}  # fmt: skip
OTHERS: dict[str, Case] = {
    "one slope": case(
        normed, ["4: a.weight/0 a.bias/0 d.weight/1", LAST],
        a=conv(2, 4), n=nn.PReLU(), d=conv(4, 6), fc=L(6, 3),
    ),
    "many slopes": case(
        normed, ["4: a.weight/0 a.bias/0 n.weight/0 d.weight/1", LAST],
        a=conv(2, 4), n=nn.PReLU(4), d=conv(4, 6), fc=L(6, 3),
    ),
    "squeeze and excite": case(
        excited,
        ["8: a.weight/0 a.bias/0 r.weight/1 e.weight/0 e.bias/0 d.weight/1", "3: r.weight/0 r.bias/0 e.weight/1", LAST],
        a=conv(2, 8), r=conv(8, 3, 1), e=conv(3, 8, 1), d=conv(8, 6), fc=L(6, 3),
    ),
    "pools with a margin": case(
        lambda m, x: m.q(m.d(m.p(m.a(x)))).flatten(1), ["4: a.weight/0 a.bias/0 d.weight/1", LAST],
        a=conv(2, 4, stride=2), p=nn.MaxPool2d(3, 2, 1), d=conv(4, 6), q=nn.AdaptiveMaxPool2d(1), fc=L(6, 3),
    ),
    "interpolated": case(
        lambda m, x: m.d(F.interpolate(F.avg_pool2d(m.a(x), 2), scale_factor=2, mode="bilinear")),
        ["4: a.weight/0 a.bias/0 d.weight/1", LAST],
        a=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "extremes and spread": case(
        lambda m, x: (lambda y: m.d(y - y.amax((2, 3), keepdim=True) + y.std((2, 3), keepdim=True)))(m.a(x)),
        ["4: a.weight/0 a.bias/0 d.weight/1", LAST],
        a=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "averaged over channels": case(
        lambda m, x: (lambda y: m.d(y * y.mean(1, keepdim=True).sigmoid()))(m.a(x)),
        [LAST], ["4 channels of a stay: they are averaged or added up"],
        a=conv(2, 4), d=conv(4, 6), fc=L(6, 3),
    ),
    "residual of features": case(
        lambda m, x: (lambda y: y + m.o(F.relu(m.i(y))))(m.a(x.flatten(1))),
        ["6: a.weight/0 a.bias/0 i.weight/1 o.weight/0 o.bias/0 fc.weight/1", "9: i.weight/0 i.bias/0 o.weight/1"],
        a=L(128, 6), i=L(6, 9), o=L(9, 6), fc=L(6, 3),
    ),
    "added to a product": case(
        lambda m, x: (lambda y: torch.addmm(y, m.b(y), m.c.weight.t()))(m.a(x.flatten(1))),
        ["4: a.weight/0 a.bias/0 b.weight/1 c.weight/0 fc.weight/1", "5: b.weight/0 b.bias/0 c.weight/1"],
        a=L(128, 4), b=L(4, 5), c=L(5, 4, bias=False), fc=L(4, 3),
    ),
    "product of activations": case(
        lambda m, x: (m.a(x).flatten(2).transpose(1, 2) @ m.b(x).flatten(2)).mean(1),
        [], ["8 channels of a and 1 more stay: attention multiplies them"],
        a=conv(2, 4), b=conv(2, 4), fc=L(64, 3),
    ),
    "embedding alone": case(
        lambda m, x: m.b(m.e(words(x)).mean(1)), ["5: b.weight/0 b.bias/0 fc.weight/1"],
        e=nn.Embedding(7, 6), b=L(6, 5), fc=L(5, 3),
    ),
    "embedding added": case(
        lambda m, x: m.b(m.e(words(x)).mean(1) + m.a(x.flatten(1))).relu(),
        ["6: a.weight/0 a.bias/0 e.weight/1 b.weight/1", "5: b.weight/0 b.bias/0 fc.weight/1"],
        a=L(128, 6), e=nn.Embedding(7, 6), b=L(6, 5), fc=L(5, 3),
    ),
    "recurrent": case(
        lambda m, x: m.d(m.r(m.a(x).flatten(2).transpose(1, 2))[0][:, -1]),
        ["6: d.weight/0 d.bias/0 fc.weight/1"],
        ["r (GRU) cannot be pruned", "4 channels of a stay: r (GRU) reads or holds them"],
        a=conv(2, 4), r=nn.GRU(4, 5, batch_first=True), d=L(5, 6), fc=L(6, 3),
    ),
}  # fmt: skip
CASES = CONVOLUTIONS | NORMS | OTHERS


@pytest.mark.parametrize("name", CASES)
def test_each_rule_tells_what_goes_together(name: str) -> None:
    CASES[name].holds()


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.ConvTranspose2d(8, 6, 2, 2), "8: a.weight/0 a.bias/0 t.weight/0"),
        (nn.ConvTranspose2d(8, 8, 2, 2, groups=8), "8: a.weight/0 a.bias/0 t.weight/0 t.bias/0 d.weight/1"),
        (
            nn.ConvTranspose2d(8, 6, 2, 2, groups=2),
            "4: a.weight/0x2@0,4,1,5,2,6,3,7 a.bias/0x2@0,4,1,5,2,6,3,7 t.weight/0x2@0,4,1,5,2,6,3,7",
        ),
        (
            nn.ConvTranspose2d(8, 12, 2, 2, groups=4),
            "4: a.weight/0x2 a.bias/0x2 t.weight/0x2 t.bias/0x3 d.weight/1x3",
        ),
    ],
    ids=["dense", "depthwise", "few groups", "many groups"],
)
def test_a_transposed_convolution_has_its_inputs_first(layer: nn.ConvTranspose2d, expected: str) -> None:
    following = conv(layer.out_channels, 6)
    network = followed(Sketch(lambda m, x: m.d(m.t(m.a(x))), a=conv(2, 8), t=layer, d=following, fc=L(6, 3)))
    assert {expected, LAST} <= set(told(network))
    check(network, macs=False)


def test_a_weight_in_no_layer_is_cut_with_what_it_reads() -> None:
    network = followed(
        Sketch(lambda m, x: F.conv2d(m.a(x), m.w, padding=1), a=conv(2, 4), w=parameter(5, 4, 3, 3), fc=L(5, 3))
    )
    assert told(network) == ["4: a.weight/0 w/1 a.bias/0"]
    check(network, macs=False)
