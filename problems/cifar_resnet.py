"""ResNets for CIFAR-10 with the paper's option-A shortcuts, published weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

import pruneframe as pf

PUBLISHER = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/"
WIDTHS = (16, 32, 64)
BIBTEX = """
@inproceedings{he2016deep,
  author = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  title = {Deep Residual Learning for Image Recognition},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2016}
}
@techreport{krizhevsky2009learning,
  author = {Krizhevsky, Alex},
  title = {Learning Multiple Layers of Features from Tiny Images},
  institution = {University of Toronto},
  year = {2009}
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


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = Shortcut((outputs - inputs) // 2) if stride != 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + shortcut(x)); the filters of conv1 lie inside the block."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2: 6n+2 layers."""

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = self._stage(WIDTHS[0], WIDTHS[0], blocks, stride=1)
        self.layer2 = self._stage(WIDTHS[0], WIDTHS[1], blocks, stride=2)
        self.layer3 = self._stage(WIDTHS[1], WIDTHS[2], blocks, stride=2)
        self.linear = nn.Linear(WIDTHS[2], classes)

    @staticmethod
    def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
        rest = [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
        return nn.Sequential(Block(inputs, outputs, stride), *rest)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, classes] of images float32[n, 3, 32, 32]."""
        features = F.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        return self.linear(F.adaptive_avg_pool2d(features, 1).flatten(1))


def cifar10_data(instance: int) -> pf.Data:
    """The weights have seen all training images, so the official test images are split in halves: search and test."""
    train, unseen = pf.cifar10()
    search, test = unseen.stratified(5000, instance)
    return pf.Data(train, search, test, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def resnet(depth: int) -> Callable[[], CifarResNet]:
    """A maker of the ResNet with 6n+2 layers."""
    return lambda: CifarResNet((depth - 2) // 6)


def problem(depth: int, file: str, weights: str) -> pf.Problem:
    """One published network."""
    return pf.Problem(
        f"resnet{depth}-cifar10",
        resnet(depth),
        pf.Splits(cifar10_data),
        weights=pf.Published(PUBLISHER + file, prefix="module."),
        search_images=5000,
        budget=300,
        summary=f"ResNet-{depth} (option-A shortcuts) on CIFAR-10, {weights} prunable weights",
        source="He et al., CVPR 2016; weights by Yerlan Idelbayev, pytorch_resnet_cifar10, BSD-2-Clause; search and "
        "test images are halves of CIFAR-10's official test images",
        bibtex=BIBTEX,
    )


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    return [
        problem(20, "resnet20-12fca82f.th", "268,336"),
        problem(56, "resnet56-4bfd9763.th", "848,944"),
    ]
