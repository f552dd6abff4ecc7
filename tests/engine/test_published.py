"""Published networks run on the kernel, dense and pruned, at a resolution that is quick."""

from __future__ import annotations

import pytest
import tiny
import torch
import torchvision
from networks import agree, images_of, needs_kernel
from torch import nn

from pruneframe.engine import Engine
from pruneframe.engine.compiler import compiled

NAMES = ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "densenet121", "googlenet")


def published(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        settings = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        return getattr(torchvision.models, name)(weights=None, num_classes=10, **settings)


@needs_kernel
@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_agrees_with_the_module(name: str, units: str) -> None:
    network = tiny.network(published(name), (3, 33, 47), units)
    images = images_of(network, 5)
    engine = Engine(network, sample=images)  # compares both dense and under masks of several densities
    assert engine.notice == "sparse kernel"
    with torch.inference_mode():
        expected = network.module(images).numpy()
    dense = engine.logits(network.layout.full(), [network.module.state_dict()], engine.place(images))
    agree(next(dense), expected)


@needs_kernel
@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small", "densenet121"])
def test_batch_norm_shifts_by_the_kernel(name: str) -> None:
    network = tiny.network(published(name), (3, 33, 47))
    assert Engine(network, calibration=images_of(network, 20)).notice == "sparse kernel"


@needs_kernel
def test_no_more_memory_than_what_is_alive_at_once() -> None:
    plan = compiled(tiny.network(published("mobilenet_v2"), (3, 64, 64)))
    largest = (48 * 32 * 32 + 96 * 17 * 17 + 96 * 33 * 33 + 16 * 32 * 32) * 16  # around the widest layer
    assert plan.partial <= largest
