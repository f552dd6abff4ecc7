"""ResNet-8 of MLPerf Tiny on CIFAR-10: a network so small that its training error is not zero."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

import pruneframe as pf

from .datasets import CIFAR10

WIDTHS = (16, 32, 64)
EPSILON = 1e-3  # Keras' default
PUBLISHED = (
    "https://github.com/mlcommons/tiny/raw/master/benchmark/training/image_classification/trained_models/"
    "pretrainedResnet.h5"
)
BIBTEX = """
@inproceedings{banbury2021mlperf,
  author = {Banbury, Colby and Reddi, Vijay Janapa and Torelli, Peter and others},
  title = {{MLPerf} Tiny Benchmark},
  booktitle = {Advances in Neural Information Processing Systems: Datasets and Benchmarks},
  year = {2021}
}
"""


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut, a 1x1 convolution without batch norm where the resolution halves."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1 if stride == 1 else 0)
        self.bn1 = nn.BatchNorm2d(outputs, EPSILON)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs, EPSILON)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + shortcut(x)), with TensorFlow's padding: where the stride is 2, to the right and bottom alone."""
        padded = x if self.stride == 1 else F.pad(x, (0, 1, 0, 1))
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(padded)))))
        return F.relu(out + self.shortcut(x))


class ResNet8(nn.Module):
    """Banbury et al., "MLPerf Tiny Benchmark", 2021: 16-32-64 filters, all convolutions with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0], EPSILON)
        self.block1 = Block(WIDTHS[0], WIDTHS[0], 1)
        self.block2 = Block(WIDTHS[0], WIDTHS[1], 2)
        self.block3 = Block(WIDTHS[1], WIDTHS[2], 2)
        self.linear = nn.Linear(WIDTHS[2], 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 10] of images float32[n, 3, 32, 32], from 0 to 255."""
        features = self.block1(F.relu(self.bn1(self.conv1(images))))
        return self.linear(F.adaptive_avg_pool2d(self.block3(self.block2(features)), 1).flatten(1))


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    return [
        pf.Problem(
            "resnet8-cifar10",
            ResNet8,
            CIFAR10.halves(mean=(0.0,) * 3, std=(1 / 255,) * 3),  # the network reads pixels as they are
            weights=pf.Given(
                "resnet8-mlperf-tiny.safetensors",
                sha256="49cd0e0e397b2feb900687880a3f1e36cf0d3caa2d39321fa8909debccedd13e",
                origin=f"examples/resnet8_weights.py makes it from {PUBLISHED}",
            ),
            search_images=5000,
            budget=300,
            summary="ResNet-8 of MLPerf Tiny on CIFAR-10, 77,360 prunable weights",
            source="Banbury et al., MLPerf Tiny Benchmark, NeurIPS 2021; weights by MLCommons, mlcommons/tiny, "
            "Apache-2.0, published for Keras: examples/resnet8_weights.py turns them into "
            f"weights/resnet8-mlperf-tiny.safetensors, which is read here; {CIFAR10.unseen}",
            bibtex=BIBTEX + CIFAR10.bibtex,
        )
    ]
