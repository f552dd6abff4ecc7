"""No path is taken that computes something else than the module itself."""

from __future__ import annotations

import types

import pytest
import torch
import torch.nn.functional as F
from tiny import network
from torch import Tensor, nn

from pruneframe.engine import Engine
from pruneframe.engine.agreement import Reference, check_copies
from pruneframe.engine.plain import Plain
from pruneframe.errors import InputError
from pruneframe.testing import TinyNetwork

SHAPE = (2, 6, 6)
DIFFERS = "torch alone: the kernel would compute something else"


class InPlace(nn.Module):
    """The shortcut is what an activation wrote in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.act = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True)
        self.last = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.a(images)
        y = self.b(self.act(x))
        return self.last(F.adaptive_avg_pool2d(y + x, 1).flatten(1))


def with_hook() -> nn.Module:
    module = TinyNetwork()
    module.conv3.register_forward_pre_hook(lambda layer, inputs: (inputs[0] - 0.5,))
    return module


def with_another_forward() -> nn.Module:
    module = TinyNetwork()
    module.conv3.forward = types.MethodType(lambda self, x: 2 * F.conv2d(x, self.weight, self.bias, 2, 1), module.conv3)
    return module


@pytest.mark.parametrize("make", [InPlace, with_hook, with_another_forward])
def test_the_kernel_is_not_taken_where_it_would_compute_something_else(make):
    torch.manual_seed(0)
    found = network(make(), SHAPE)
    engine, images = Engine(found), torch.randn(9, *SHAPE)
    assert engine.notice in (DIFFERS, "torch alone: the kernel is not built")
    reference = Reference(found, images)
    assert reference.agrees(engine.logits)
    with torch.inference_mode():
        expected = found.module(images)
    assert torch.equal(torch.from_numpy(reference.expected[0]), expected)


def test_the_kernel_is_taken_where_it_agrees():
    assert Engine(network(TinyNetwork(), SHAPE)).notice in ("sparse kernel", "torch alone: the kernel is not built")


def test_a_path_that_is_off_by_little_is_found_out():
    found = network(TinyNetwork(), SHAPE)
    reference, plain = Reference(found, None), Plain(found)
    assert reference.agrees(plain.logits)
    assert not reference.agrees(lambda *question: (1.01 * answer for answer in plain.logits(*question)))


def test_a_path_is_compared_once_for_the_same_weights_and_images():
    found, images, asked = network(TinyNetwork(), SHAPE), torch.randn(4, *SHAPE), []

    def compared(path: str, given: Tensor) -> int:
        assert Reference(found, given).known(path, lambda logits: asked.append(path) is None, Plain(found).logits)
        return len(asked)

    assert [compared("kernel", images), compared("kernel", images.clone())] == [1, 1]
    assert [compared("kernel", images + 1), compared("another", images)] == [2, 3]
    found.module.linear.weight.mul_(2)
    assert compared("kernel", images) == 4


def test_a_second_engine_of_a_network_compares_nothing(monkeypatch: pytest.MonkeyPatch):
    found = network(TinyNetwork(), SHAPE)
    first = Engine(found)
    monkeypatch.setattr(Reference, "agrees", lambda *asked: pytest.fail("it is known already"))
    assert Engine(found).notice == first.notice


def test_a_network_whose_copies_keep_its_own_weights_is_refused():
    module = TinyNetwork()
    linear = module.linear
    # a closure: a copy of the module reads the original
    module.forward = lambda images: linear(images.flatten(1)[:, :6])
    found = network(module, SHAPE)
    with pytest.raises(
        InputError, match="a copy of the network with masked weights must compute what the network does"
    ):
        check_copies(found, Reference(found, None))
    with pytest.raises(InputError, match="a copy of the network"):
        Engine(found)
