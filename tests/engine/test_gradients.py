"""Gradients by a network's own parameters, by the kernel and by torch."""

from __future__ import annotations

import copy

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe.engine import kernel, trainable
from pruneframe.engine.gradients import Gradients
from pruneframe.model.network import Network
from pruneframe.model.state import digest
from pruneframe_problems.lenet import SmallLeNet

WAYS = [pytest.param(True, marks=pytest.mark.skipif(kernel() is None, reason="the kernel is not built")), False]


def network(by_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A LeNet whose norms do something; torch runs it where no network counts as small."""
    monkeypatch.setattr(trainable, "SMALL", trainable.SMALL if by_kernel else 0)
    torch.manual_seed(0)
    module = SmallLeNet()
    for norm in (module.bn1, module.bn2):
        nn.init.normal_(norm.weight, 1, 0.3)
        norm.running_mean.normal_(0, 0.3)
    return tiny.network(module, (1, 8, 8))


def batch(n: int = 37) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 1, 8, 8, generator=generator), torch.randn(n, 10, generator=generator)


@pytest.mark.parametrize("by_kernel", WAYS)
def test_gradients_are_those_of_torch_in_float64(by_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found, (images, slopes) = network(by_kernel, monkeypatch), batch()
    names = ["conv2.weight", "bn1.weight", "fc2.bias"]
    module = copy.deepcopy(found.module).double().requires_grad_(True)
    (module(images.double()) * slopes).sum().backward()  # type: ignore[no-untyped-call] # torch's own
    gradients = Gradients(found, names)(images, lambda outputs: slopes)
    for name, gradient in zip(names, gradients, strict=True):
        expected = module.get_parameter(name).grad
        assert expected is not None
        assert gradient.dtype == torch.float32
        assert torch.allclose(gradient.double(), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("by_kernel", WAYS)
def test_slopes_are_told_the_outputs(by_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found, (images, _) = network(by_kernel, monkeypatch), batch()
    seen: list[Tensor] = []
    Gradients(found, ["fc2.weight"])(images, lambda outputs: seen.append(outputs) or outputs)  # type: ignore[func-returns-value] # None
    assert torch.allclose(seen[0], found.module(images), atol=1e-4)


@pytest.mark.parametrize("by_kernel", WAYS)
def test_the_network_is_left_as_it_is_and_the_same_is_said_again(
    by_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, (images, slopes) = network(by_kernel, monkeypatch), batch()
    before, gradients = digest(found.module.state_dict()), Gradients(found, ["conv1.weight"])
    (one,), (other,) = (gradients(images, lambda outputs: slopes) for _ in range(2))
    assert torch.equal(one, other)
    assert digest(found.module.state_dict()) == before
    assert not found.module.training
    assert all(one.grad is None and not one.requires_grad for one in found.module.parameters())


@pytest.mark.parametrize("by_kernel", WAYS)
def test_weights_that_change_in_place_are_followed(by_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found, (images, slopes) = network(by_kernel, monkeypatch), batch()
    gradients = Gradients(found, ["conv1.weight"])
    (before,) = gradients(images, lambda outputs: slopes)
    found.parameter("fc2.weight").zero_()
    (after,) = gradients(images, lambda outputs: slopes)
    assert before.abs().max() > 0
    assert not after.any()


def test_what_the_outputs_do_not_use_has_a_gradient_of_zero() -> None:
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Linear(4, 3), nn.Parameter(torch.ones(2))

        def forward(self, rows: Tensor) -> Tensor:
            return F.relu(self.used(rows))

    gradients = Gradients(tiny.network(Spare(), (4,)), ["spare", "used.weight"])
    spare, used = gradients(torch.ones(5, 4), torch.ones_like)
    assert torch.equal(spare, torch.zeros(2))
    assert used.shape == (3, 4)
