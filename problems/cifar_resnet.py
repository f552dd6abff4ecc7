"""ResNets for CIFAR-10 and CIFAR-100, with shortcuts of option A and option B of the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

import pruneframe as pf

from . import cifar_models
from .datasets import CIFAR10, CIFAR100, SHORT, Dataset

PUBLISHER = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/"
CREDIT = "weights by Yerlan Idelbayev, pytorch_resnet_cifar10, BSD-2-Clause"
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # by which that publisher standardises
NOISE = Path(__file__).parent / "noise"
WIDTHS = (16, 32, 64)
DEPTHS = {20: "0.27", 32: "0.46", 44: "0.66", 56: "0.85", 110: "1.7"}  # million parameters, table 6 of the paper
OPTION_A = {20: "12fca82f", 32: "d509ac18", 44: "014dd654", 56: "4bfd9763", 110: "1d1ed7c2"}  # SHA-256s of the files
OPTION_B = {
    CIFAR10.name: {20: "4118986f", 32: "ef93fc4d", 44: "2a3cabcb", 56: "187c023a"},
    CIFAR100.name: {20: "23dac2f1", 32: "84213ce6", 44: "ffe32858", 56: "f2eff4c8"},
}
RECIPE = pf.Recipe(
    epochs=182,
    learning_rate=0.1,
    weight_decay=1e-4,
    batch=128,
    schedule="steps",
    milestones=(0.5, 0.75),
    crop=4,
    flip=True,
    source="He et al., CVPR 2016, section 4.2: 64,000 steps of 128 images of 45,000, tenths at 32,000 and 48,000",
)
# The paper starts its 110 layers with a rate of 0.01 until the training error is below 80 %, about 400 steps.
WARM = replace(RECIPE, warmup=1)
BIBTEX = """
@inproceedings{he2016deep,
  author = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  title = {Deep Residual Learning for Image Recognition},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2016}
}
"""


class Shortcut(nn.Module):
    """Option A: every second pixel, the missing channels filled with zeros on both sides."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c + 2 padding, h/2, w/2]."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))


class Projection(nn.Sequential):
    """Option B: a 1x1 convolution of stride 2 with batch norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut, the identity where the resolution stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, option: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride == 1:
            self.shortcut: nn.Module = nn.Identity()
        elif option == "A":
            self.shortcut = Shortcut((outputs - inputs) // 2)
        else:
            self.shortcut = Projection(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + shortcut(x)); the filters of conv1 lie inside the block."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2: 6n+2 layers."""

    def __init__(self, blocks: int, classes: int = 10, option: str = "A") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = self._stage(WIDTHS[0], WIDTHS[0], blocks, stride=1, option=option)
        self.layer2 = self._stage(WIDTHS[0], WIDTHS[1], blocks, stride=2, option=option)
        self.layer3 = self._stage(WIDTHS[1], WIDTHS[2], blocks, stride=2, option=option)
        self.linear = nn.Linear(WIDTHS[2], classes)

    @staticmethod
    def _stage(inputs: int, outputs: int, blocks: int, stride: int, option: str) -> nn.Sequential:
        rest = [Block(outputs, outputs, 1, option) for _ in range(blocks - 1)]
        return nn.Sequential(Block(inputs, outputs, stride, option), *rest)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, classes] of images float32[n, 3, 32, 32]."""
        features = F.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        return self.linear(F.adaptive_avg_pool2d(features, 1).flatten(1))


def problem(depth: int, data: Dataset, option: str) -> pf.Problem:
    """The network of so many layers, 6n+2 of them; published weights where there are any, else trained here."""
    weights = published(depth, data, option)
    name = f"resnet{depth}{'' if option == 'A' else 'b'}-{data.name}"
    noise = NOISE / f"{name}.json"
    return pf.Problem(
        name,
        resnet(depth, data.classes, option),
        _splits(data, option, weights),
        weights=weights or pf.Trained(WARM if depth == 110 else RECIPE, SHORT, "bfloat16"),
        search_images=5000,
        budget=300,
        summary=f"ResNet-{depth} (option-{option} shortcuts) on {data.title}, about {DEPTHS[depth]} M parameters",
        source=f"He et al., CVPR 2016, section 4.2; {_origin(data, option, weights)}",
        bibtex=BIBTEX + data.bibtex,
        noise=noise if noise.exists() else None,
    )


def resnet(depth: int, classes: int, option: str) -> Callable[[], CifarResNet]:
    """A maker of the ResNet with 6n+2 layers."""
    return lambda: CifarResNet((depth - 2) // 6, classes, option)


def published(depth: int, data: Dataset, option: str) -> pf.Published | None:
    """The weights that somebody published, whose hash is known."""
    if option == "B":
        digits = OPTION_B[data.name].get(depth)
        renames = (("downsample.", "shortcut."), ("fc.", "linear."))
        return cifar_models.weights("resnet", data, f"resnet{depth}-{digits}", renames) if digits else None
    if data is not CIFAR10:
        return None
    return pf.Published(f"{PUBLISHER}resnet{depth}-{OPTION_A[depth]}.th", prefix="module.")


def _splits(data: Dataset, option: str, weights: pf.Published | None) -> pf.Splits:
    if not weights:
        return data.held()
    return data.halves(**IMAGENET) if option == "A" else data.halves()


def _origin(data: Dataset, option: str, weights: pf.Published | None) -> str:
    """Who trained it, and what the search and test images are."""
    credit = CREDIT if option == "A" else cifar_models.CREDIT
    return f"{credit}; {data.unseen}" if weights else data.origin


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    return [problem(depth, data, option) for data in (CIFAR10, CIFAR100) for option in "AB" for depth in DEPTHS]
