"""Tapes: outputs, gradients and running statistics of small networks against torch's own."""

from __future__ import annotations

import copy
import gc
import weakref
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe.engine import kernel
from pruneframe.engine import tape as tapes
from pruneframe.engine.plan import Unsupported
from pruneframe.engine.tape import Tape
from pruneframe.engine.taping import recorded
from pruneframe.model.trace import record
from pruneframe_problems.lenet import LeNet, SmallLeNet

pytestmark = pytest.mark.skipif(kernel() is None, reason="the kernel is not built")


class Odd(nn.Module):
    """Strides, dilation, padding, a residual addition, overlapping windows, numbers of channels that fill no block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 7, 3, stride=2, padding=1), nn.BatchNorm2d(7, momentum=0.3)
        self.conv2 = nn.Conv2d(7, 7, 3, padding=2, dilation=2, bias=False)
        self.conv3, self.pool = nn.Conv2d(7, 18, (1, 3)), nn.MaxPool2d(3, 2, 1)
        self.linear, self.bn2 = nn.Linear(18, 5), nn.BatchNorm1d(5, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.bn1(self.conv1(x)))
        second = self.pool(F.relu(self.conv2(first) + first))
        return self.bn2(self.linear(F.adaptive_avg_pool2d(self.conv3(second), 1).flatten(1)))


class Branches(nn.Module):
    """A tensor that three read, a ReLU whose input another reads, an average over windows, and rows at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.down = nn.Conv2d(2, 21, 3, padding=1), nn.Conv2d(21, 21, 1)
        self.average, self.linear = nn.AvgPool2d(2), nn.Linear(21 * 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv(x)
        second = torch.relu(first) + self.down(first) + first
        return self.linear(self.average(second).flatten(1))


class Rows(nn.Sequential):
    """Features alone."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(13, 17), nn.BatchNorm1d(17), nn.ReLU(), nn.Dropout(0.0), nn.Linear(17, 4))


NETWORKS = {
    SmallLeNet: (1, 8, 8),
    LeNet: (1, 28, 28),
    Odd: (3, 11, 9),
    Branches: (2, 4, 6),
    Rows: (13,),
}


def made(kind: type[nn.Module]) -> nn.Module:
    """A module with norms that are no identities."""
    torch.manual_seed(0)
    module = kind()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            if part.affine:
                nn.init.normal_(part.weight)
                nn.init.normal_(part.bias)
    return module


def tape_of(module: nn.Module, shape: tuple[int, ...]) -> Tape:
    training = module.training
    tape = Tape(recorded(record(module.eval(), "a test needs"), shape))
    module.train(training)
    return tape


@pytest.mark.parametrize("kind", list(NETWORKS))
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("n", [2, 16, 37])
def test_outputs_gradients_and_statistics_are_torchs(kind: type[nn.Module], training: bool, n: int) -> None:
    expected, shape = made(kind).train(training), NETWORKS[kind]
    found = copy.deepcopy(expected)
    tape = tape_of(found, shape)
    images = torch.randn(n, *shape, requires_grad=True)
    results = []
    for module, call in ((expected.double(), expected), (found, tape)):
        x = images.detach().to(next(module.parameters()).dtype).requires_grad_()
        outputs = call(x)
        slopes = torch.sin(torch.arange(outputs.numel())).view_as(outputs).to(x.dtype)
        parameters = list(module.parameters())
        gradients = torch.autograd.grad(outputs, [x, *parameters], slopes)
        results.append([outputs.detach(), *gradients, *module.buffers()])
    scale = max(float(one.abs().max()) for one in results[0][1:])
    for wanted, own in zip(*results, strict=True):
        torch.testing.assert_close(own.to(wanted.dtype), wanted, rtol=1e-3, atol=1e-5 * scale)


def test_only_what_is_wanted_has_a_gradient_and_a_tape_can_be_used_in_turn() -> None:
    module = made(SmallLeNet).eval().requires_grad_(False)
    tape, images = tape_of(module, (1, 8, 8)), torch.randn(2, 20, 1, 8, 8)
    module.conv2.weight.requires_grad_(True)
    one, other = tape(images[0]), tape(images[1])
    (second,) = torch.autograd.grad(other.sum(), module.conv2.weight)
    (first,) = torch.autograd.grad(one.sum(), module.conv2.weight)
    for own, x in ((first, images[0]), (second, images[1])):
        (wanted,) = torch.autograd.grad(module(x).sum(), module.conv2.weight)
        torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-3)
    assert not tape(images[0].requires_grad_(False)).sum().isnan()


@pytest.mark.parametrize("back", [True, False])
def test_what_a_pass_kept_is_gone_with_its_outputs(back: bool) -> None:
    tape = tape_of(made(SmallLeNet).eval().requires_grad_(False), (1, 8, 8))
    images = torch.randn(20, 1, 8, 8, requires_grad=True)
    outputs, still = tape(images), weakref.ref(images)
    if back:
        torch.autograd.grad(outputs.sum(), images)
    gc.disable()  # nothing may wait for it: a batch can be large
    try:
        del images, outputs
        assert still() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("held", "kept"), [(2**26, 2), (0, 0)])
def test_little_memory_stays_for_the_next_pass_and_much_does_not(
    held: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tapes, "HELD", held)
    own, images = tape_of(made(SmallLeNet).eval(), (1, 8, 8)), torch.randn(20, 1, 8, 8, requires_grad=True)
    torch.autograd.grad(own(images).sum(), images)
    assert len(own._free) == kept


def test_an_image_among_others_is_computed_as_alone() -> None:
    module = made(Odd).eval()
    tape, images = tape_of(module, (3, 11, 9)), torch.randn(33, 3, 11, 9)
    whole = tape(images)
    for first, last in pairwise((0, 1, 16, 33)):
        assert torch.equal(tape(images[first:last]), whole[first:last])


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), "convolution"),
        (nn.Conv2d(4, 4, 3, padding="same"), "convolution"),
        (nn.Dropout(0.5), "Dropout"),
        (nn.BatchNorm2d(4, momentum=None), "batch norm"),
        (nn.BatchNorm2d(4, track_running_stats=False), "batch norm"),
        (nn.GELU(), "GELU"),
    ],
)
def test_what_no_tape_can_hold_is_refused_with_the_reason(part: nn.Module, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        tape_of(nn.Sequential(part, nn.Flatten(), nn.LazyLinear(2)), (4, 6, 6))
