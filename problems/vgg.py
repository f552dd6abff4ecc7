"""VGGs for CIFAR: VGG-16 with batch norm, published weights, and VGG-14, its convolutions and one linear layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

import pruneframe as pf

from .cifar_models import CREDIT, RECIPE, weights
from .datasets import CIFAR10, CIFAR100, SHORT, Dataset

# Configuration D of the paper: filters of 3x3 convolutions, stage by stage; each stage ends in max-pooling.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
BIBTEX = """
@inproceedings{simonyan2015very,
  author = {Simonyan, Karen and Zisserman, Andrew},
  title = {Very Deep Convolutional Networks for Large-Scale Image Recognition},
  booktitle = {International Conference on Learning Representations},
  year = {2015}
}
"""
SMOEA_BIBTEX = """
@article{li2022subnetwork,
  author = {Li, Xuhua and Sun, Weize and Huang, Lei and Chen, Shaowu},
  title = {Sub-network Multi-objective Evolutionary Algorithm for Filter Pruning},
  journal = {arXiv:2211.01957},
  year = {2022}
}
"""


class VGG(nn.Module):
    """13 convolutions with batch norm, then linear layers with so many `hidden` units and dropout before the last."""

    def __init__(self, classes: int = 10, hidden: Sequence[int] = (512, 512)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for stage in STAGES:
            for filters in stage:
                layers += [nn.Conv2d(inputs, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
                inputs = filters
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        head: list[nn.Module] = []
        for units in hidden:
            head += [nn.Linear(inputs, units), nn.ReLU(), nn.Dropout()]
            inputs = units
        self.classifier = nn.Sequential(*head, nn.Linear(inputs, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, classes] of images float32[n, 3, 32, 32]."""
        return self.classifier(torch.flatten(self.features(images), 1))


def vgg16(data: Dataset, file: str, size: str) -> pf.Problem:
    """One published network."""
    return pf.Problem(
        f"vgg16-{data.name}",
        lambda: VGG(data.classes),
        data.halves(),
        weights=weights("vgg", data, file),
        search_images=5000,
        budget=300,
        summary=f"VGG-16 with batch norm (linear layers 512-512-{data.classes}) on {data.title}, {size} parameters",
        source=f"Simonyan and Zisserman, ICLR 2015, configuration D for 32x32 images; {CREDIT}; {data.unseen}",
        bibtex=BIBTEX + data.bibtex,
    )


def vgg14() -> pf.Problem:
    """The network that SMOEA prunes, as far as its name and abstract say."""
    return pf.Problem(
        "vgg14-cifar10",
        lambda: VGG(hidden=()),
        CIFAR10.held(),
        weights=pf.Trained(RECIPE, SHORT, "bfloat16"),
        search_images=5000,
        budget=300,
        summary="VGG-14 (the 13 convolutions of VGG-16, one linear layer) on CIFAR-10, 14.73 M parameters",
        source="Simonyan and Zisserman, ICLR 2015, configuration D for 32x32 images with batch norm and one linear "
        "layer; SMOEA (Li et al., arXiv 2211.01957) prunes a VGG-14 on CIFAR-10, of which its abstract says no more: "
        f"that it is this one is our reading; {CIFAR10.origin}",
        bibtex=BIBTEX + SMOEA_BIBTEX + CIFAR10.bibtex,
    )


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    return [
        vgg14(),
        vgg16(CIFAR10, "vgg16_bn-6ee7ea24", "15.25 M"),
        vgg16(CIFAR100, "vgg16_bn-7d8c4031", "15.30 M"),
    ]
