"""What is computed twice to save memory, and that nobody can tell by the result."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from pruneframe.engine import Trainable, segments
from pruneframe.engine.segments import Segments
from pruneframe.model.cut import Cutter
from pruneframe.model.recipe import Recipe
from pruneframe.model.training import train
from pruneframe_problems.cifar_resnet import CifarResNet

LAYERS = (nn.Conv2d, nn.Linear)
RECIPE = Recipe(epochs=2, learning_rate=0.05, batch=6)


def images(n: int = 12) -> Tensor:
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Dropping(nn.Module):
    """Random numbers, and a norm that is asked twice, within what may be a segment."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.inner = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), self.norm, nn.ReLU(), nn.Dropout(0.5), self.norm)
        self.head = nn.Linear(3, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.inner(images).mean((2, 3)))


class Overwriting(nn.Module):
    """Writes into what its inner part was given."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.inner = nn.Sequential(nn.Sigmoid(), nn.Sigmoid())
        self.head = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        entering = self.first(images)
        found = self.inner(entering)
        entering.mul_(2)
        return self.head(found.mean((2, 3)) + entering.mean((2, 3)))


def learning(module: nn.Module, pieces: Sequence[nn.Module] = ()) -> Segments:
    """A module in training."""
    return Segments(module.train().requires_grad_(True), module, images(), pieces)


def cutter(module: nn.Module) -> Cutter:
    """Cuts a module between its layers."""
    return Cutter(module.eval(), [name for name, part in module.named_modules() if isinstance(part, LAYERS)])


def kept(found: Segments) -> int:
    """Bytes that a pass keeps for gradients, beside the module's own."""
    own = {tensor.untyped_storage().data_ptr() for tensor in found._module.state_dict().values()}
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = found.outputs(images())
    assert outputs.requires_grad
    return sum(size for place, size in seen.items() if place not in own)


@pytest.mark.parametrize("kind", [partial(CifarResNet, 2), Dropping], ids=["resnet", "dropping"])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_same_is_learned_to_the_bit(kind: type[nn.Module], bfloat16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.arange(12) % 10
    torch.manual_seed(0)
    module, found = kind(), []
    for most in (2**31, 10**6, 1000):
        monkeypatch.setattr(segments, "KEPT", most)
        own = copy.deepcopy(module)
        learner = Trainable(own, (3, 16, 16), 1e9, torch.channels_last, bfloat16)
        placed = learner.place(images())
        train(own, placed, labels, RECIPE, seed=1, steps=learner.steps)
        found.append(own.state_dict())
    assert not torch.equal(next(iter(found[0].values())), next(module.parameters()))
    for state in found[1:]:
        assert all(torch.equal(state[name], tensor) for name, tensor in found[0].items())


def test_a_large_batch_keeps_less_and_a_small_one_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found = learning(CifarResNet(3))
    everything = kept(found)
    assert found.of(12) == []
    monkeypatch.setattr(segments, "KEPT", everything // 2)
    found = learning(CifarResNet(3))
    assert found.of(2) == []
    assert found.of(12)
    assert all(any(segment.children()) for segment in found.of(12))
    assert kept(found) <= everything // 2


def test_a_part_learns_the_same_to_the_bit_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.arange(12) % 10
    torch.manual_seed(0)
    module, found = CifarResNet(2), []
    for most in (2**31, 1000):
        monkeypatch.setattr(segments, "KEPT", most)
        cut = cutter(copy.deepcopy(module))
        part, pieces = cut.part(0, 14), (lambda cut=cut: cut.pieces(0, 14)) if most == 1000 else tuple
        learner = Trainable(part, (3, 16, 16), 1e9, torch.channels_last, pieces=pieces)
        placed = learner.place(images())
        train(part, placed, labels, RECIPE, seed=1, steps=learner.steps)
        found.append(part.state_dict())
    assert found[1].keys() == found[0].keys() == module.state_dict().keys()
    assert all(torch.equal(found[1][name], tensor) for name, tensor in found[0].items())
    assert not torch.equal(found[0]["bn1.running_mean"], module.state_dict()["bn1.running_mean"])


def test_a_large_part_keeps_less_than_its_graph_would(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = cutter(CifarResNet(3))
    everything = kept(learning(cut.part(0, 7)))
    monkeypatch.setattr(segments, "KEPT", everything // 2)
    assert learning(cut.part(0, 7)).of(12) == []  # what is inside a graph is never called
    found = learning(cut.part(0, 7), cut.pieces(0, 7))
    assert found.of(2) == []
    assert found.of(12)
    assert kept(found) <= everything // 2
    assert "forward" not in vars(found._module)


def test_a_pass_leaves_no_trace_in_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "KEPT", 1000)
    module = CifarResNet(1)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    found = learning(module)
    assert found.of(12)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    found.outputs(images())
    assert not any("forward" in vars(part) for part in module.modules())


def test_what_would_learn_something_else_keeps_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "KEPT", 10**4)
    found = learning(Overwriting())
    assert list(found._within(found._module.children(), 10**9))  # it would be a segment
    assert found.of(12) == []
