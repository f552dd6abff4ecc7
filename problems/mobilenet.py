"""MobileNets for CIFAR, V1 and V2: depthwise convolutions, with the first steps in resolution left out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

import pruneframe as pf

from .cifar_models import CREDIT, RECIPE, weights
from .datasets import CIFAR10, CIFAR100, SHORT, Dataset

# Outputs and stride of each depthwise separable convolution: table 1 of the paper.
SEPARABLE = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
# Expansion, outputs, repeats and stride of each stage: table 2 of the paper, but stride 1 in the second.
INVERTED = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
V1_BIBTEX = """
@article{howard2017mobilenets,
  author = {Howard, Andrew G. and Zhu, Menglong and Chen, Bo and Kalenichenko, Dmitry and Wang, Weijun and Weyand,
            Tobias and Andreetto, Marco and Adam, Hartwig},
  title = {{MobileNets}: Efficient Convolutional Neural Networks for Mobile Vision Applications},
  journal = {arXiv:1704.04861},
  year = {2017}
}
"""
V2_BIBTEX = """
@inproceedings{sandler2018mobilenetv2,
  author = {Sandler, Mark and Howard, Andrew and Zhu, Menglong and Zhmoginov, Andrey and Chen, Liang-Chieh},
  title = {{MobileNetV2}: Inverted Residuals and Linear Bottlenecks},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2018}
}
"""


def convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that keeps the resolution, but for its stride, then batch norm and ReLU."""
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class MobileNet(nn.Module):
    """Howard et al., arXiv 1704.04861, table 1; the first convolution has stride 1 for CIFAR and 2 for ImageNet."""

    def __init__(self, classes: int = 10, stride: int = 1) -> None:
        super().__init__()
        layers, inputs = [convolution(3, 32, 3, stride)], 32
        for outputs, step in SEPARABLE:
            layers += [convolution(inputs, inputs, 3, step, groups=inputs), convolution(inputs, outputs, 1)]
            inputs = outputs
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.linear = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, classes] of images float32[n, 3, height, width]."""
        return self.linear(self.features(images))


def mobilenetv2(classes: int = 10) -> nn.Module:
    """torchvision's MobileNetV2 for 32x32 images: strides of 1 in the first convolution and in the second stage."""
    from torchvision.models import MobileNetV2

    module = MobileNetV2(classes, inverted_residual_setting=[list(stage) for stage in INVERTED])
    module.features[0][0].stride = (1, 1)
    return module


def v1() -> pf.Problem:
    """Trained here: nobody's weights for this size of images carry a hash."""
    return pf.Problem(
        "mobilenetv1-cifar10",
        MobileNet,
        CIFAR10.held(),
        weights=pf.Trained(RECIPE, SHORT),
        search_images=5000,
        budget=300,
        summary="MobileNetV1 (first convolution with stride 1) on CIFAR-10, 3.22 M parameters",
        source="Howard et al., arXiv 1704.04861, table 1, with stride 1 in the first convolution for 32x32 images; "
        f"{CIFAR10.origin}",
        bibtex=V1_BIBTEX + CIFAR10.bibtex,
    )


def v2(data: Dataset, file: str, size: str) -> pf.Problem:
    """One published network."""
    return pf.Problem(
        f"mobilenetv2-{data.name}",
        lambda: mobilenetv2(data.classes),
        data.halves(),
        weights=weights("mobilenetv2", data, file),
        search_images=5000,
        budget=300,
        summary=f"MobileNetV2 (stride 1 in the first convolution and the second stage) on {data.title}, {size} "
        "parameters",
        source=f"Sandler et al., CVPR 2018, for 32x32 images; {CREDIT}; {data.unseen}",
        bibtex=V2_BIBTEX + data.bibtex,
    )


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    return [
        v1(),
        v2(CIFAR10, "mobilenetv2_x1_0-fe6a5b48", "2.24 M"),
        v2(CIFAR100, "mobilenetv2_x1_0-1311f9ff", "2.35 M"),
    ]
