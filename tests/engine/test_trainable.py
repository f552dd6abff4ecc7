"""Which way gradients are computed, and that it is the same ones within rounding."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe.engine import Trainable, kernel, multiplies_bfloat16
from pruneframe.model.recipe import Recipe
from pruneframe.model.training import Aim, train
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import SmallLeNet

needs_kernel = pytest.mark.skipif(kernel() is None, reason="the kernel is not built")
RECIPE = Recipe(epochs=2, learning_rate=0.05, batch=32)


def digits(n: int = 96) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (n,), generator=generator)
    return torch.randn(n, 1, 8, 8, generator=generator) + labels[:, None, None, None] / 3, labels


def fresh(kind: type[nn.Module] = SmallLeNet) -> nn.Module:
    torch.manual_seed(0)
    return kind()


@needs_kernel
def test_a_small_network_is_the_kernels_and_a_large_or_unusual_one_torchs() -> None:
    shape = (1, 8, 8)
    assert Trainable(fresh(), shape, 1e5).kernel
    assert not Trainable(fresh(), shape, 1e9).kernel
    assert not Trainable(nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10)), shape, 1e5).kernel


@needs_kernel
def test_the_kernel_learns_what_torch_learns() -> None:
    images, labels = digits()
    by_kernel, by_torch = fresh(), fresh()
    keep = {"conv2.weight": torch.rand(by_torch.conv2.weight.shape) < 0.5, "fc1.bias": torch.arange(64) < 32}
    train(by_torch, images, labels, RECIPE, seed=1, keep=keep)
    train(by_kernel, images, labels, RECIPE, seed=1, keep=keep, steps=Trainable(by_kernel, (1, 8, 8), 1e5).steps)
    for name, wanted in by_torch.state_dict().items():
        torch.testing.assert_close(by_kernel.state_dict()[name], wanted, rtol=1e-2, atol=1e-3)
    assert not by_kernel.conv2.weight[~keep["conv2.weight"]].any()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_torch_learns_the_same_in_either_layout_and_nearly_in_bfloat16(
    layout: torch.memory_format, bfloat16: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(24, 3, 16, 16, generator=generator), torch.arange(24) % 10
    expected = CifarResNet(1)
    found = copy.deepcopy(expected)
    recipe = Recipe(epochs=1, learning_rate=0.02, batch=12)
    train(expected, images, labels, recipe, seed=1)
    learner = Trainable(found, (3, 16, 16), 1e9, layout, bfloat16)
    images = learner.place(images)
    train(found, images, labels, recipe, seed=1, steps=learner.steps)
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in found.state_dict().values())
    rounding = 0.05 if bfloat16 else 1e-4
    for one, wanted in zip(found.parameters(), expected.parameters(), strict=True):
        assert float((one - wanted).norm()) <= rounding * float(wanted.norm()) + 1e-3
    images = images.contiguous()
    losses = [F.cross_entropy(module.eval()(images), labels).item() for module in (found, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_gpu_learns_what_a_processor_does(bfloat16: bool) -> None:
    if bfloat16 and not multiplies_bfloat16("cuda:0"):
        pytest.skip("this GPU would emulate bfloat16")
    images, labels = digits()
    expected, found = fresh(), fresh().to("cuda:0")
    train(expected, images, labels, RECIPE, seed=1)
    learner = Trainable(found, (1, 8, 8), 1e5, torch.channels_last, bfloat16)
    assert not learner.kernel
    images, labels = learner.place(images), labels.to("cuda:0")
    train(found, images, labels, RECIPE, seed=1, steps=learner.steps)
    for one, wanted in zip(found.parameters(), expected.parameters(), strict=True):
        assert float((one.cpu() - wanted).norm()) <= 0.1 * float(wanted.norm()) + 1e-2


@needs_kernel
def test_the_kernel_learns_what_a_judge_behind_tells_and_to_be_near_a_target() -> None:
    """A part, and layers behind it that stay as they are, as torch has them."""
    images, labels = digits()
    target = torch.randn(len(images), 16, 4, 4, generator=torch.Generator().manual_seed(1))
    found = []
    for small in (True, False):
        torch.manual_seed(0)
        part = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
        behind = nn.Sequential(nn.BatchNorm2d(16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
        behind.eval().requires_grad_(False)
        before = [tensor.clone() for tensor in behind.state_dict().values()]
        macs = 1e5 if small else 1e9
        learner, judge = Trainable(part, (1, 8, 8), macs), Trainable(behind, (16, 4, 4), macs)
        aim = Aim(labels, judge, target, alpha=0.3)
        losses: list[float] = []
        train(
            part,
            images,
            aim,
            RECIPE,
            seed=1,
            steps=learner.steps,
            progress=lambda epoch, loss, losses=losses: losses.append(loss),  # type: ignore[misc]
        )
        assert all(torch.equal(one, other) for one, other in zip(behind.state_dict().values(), before, strict=True))
        found.append((losses, part.state_dict()))
    (by_kernel, own), (by_torch, wanted) = found
    assert by_kernel == pytest.approx(by_torch, rel=1e-4)
    for name, tensor in wanted.items():
        torch.testing.assert_close(own[name], tensor, rtol=1e-3, atol=1e-4)


@needs_kernel
def test_steps_taken_one_by_one_or_together_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits()
    found = []
    for work in (1e9, 1):
        monkeypatch.setattr("pruneframe.engine.lesson.WORK", work)
        module = fresh()
        learner = Trainable(module, (1, 8, 8), 1e5)
        train(module, images, labels, RECIPE, seed=1, steps=learner.steps)
        found.append((learner.steps(images, Aim(labels), RECIPE, {}).at_once, module.state_dict()))
    (several, one), (alone, other) = found
    assert several > 1 == alone
    assert all(torch.equal(one[name], other[name]) for name in one)


@needs_kernel
def test_weights_in_any_layout_are_trained_alike() -> None:
    images, labels = digits()
    found = []
    for laid in (False, True):
        module = fresh()
        if laid:
            module.to(memory_format=torch.channels_last)
        turned = nn.Linear(10, 10)
        torch.manual_seed(0)
        weight = torch.randn(10, 10).div_(10).t()
        turned.weight = nn.Parameter(weight if laid else weight.contiguous())
        module = nn.Sequential(module, turned)
        train(module, images, labels, RECIPE, seed=1, steps=Trainable(module, (1, 8, 8), 1e5).steps)
        found.append(module.state_dict())
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=1e-2, atol=1e-3)
