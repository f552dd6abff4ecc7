"""Networks with random weights, on random images, as problems."""

from __future__ import annotations

import numpy as np
import torch
import torchvision

from pruneframe.model.data import Data, Split
from pruneframe.problem import LoadedProblem, Problem
from pruneframe.registry import Registry
from pruneframe_problems.cifar_resnet import resnet

IMAGES, CLASSES = 16, 10  # images of each split but the training images, of which there are twice as many


def random_problem(depth: int, network: str | None = None, units: str = "weight") -> LoadedProblem:
    """CIFAR's ResNet of so many layers; or a model of torchvision's by its name, at 224 pixels."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    pixels = 224 if network else 32
    module = torchvision.models.get_model(network) if network else resnet(depth, 10, "A")
    train, search, test = (
        Split(rng.integers(0, 256, (n, pixels, pixels, 3), dtype=np.uint8), np.arange(n) % CLASSES)
        for n in (2 * IMAGES, IMAGES, IMAGES)
    )
    data = Data(train, search, test, mean=(0.5,) * 3, std=(0.25,) * 3)
    return Problem("random", module, data, units=units).load(Registry().component)
