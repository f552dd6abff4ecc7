"""ResNet-18 on the 200 classes of Tiny-ImageNet: it begins with a 3x3 convolution, and nothing is pooled behind it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

import pruneframe as pf

from .cifar_resnet import BIBTEX as RESNET_BIBTEX
from .datasets import TINY_IMAGENET

RECIPE = pf.Recipe(
    epochs=100,
    learning_rate=0.01,
    weight_decay=1e-4,
    batch=128,
    schedule="steps",
    milestones=(0.3, 0.6, 0.8),
    nesterov=True,
    crop=4,
    flip=True,
    source="Tanaka et al., NeurIPS 2020, code Synaptic-Flow: 100 epochs, tenths after 30, 60 and 80",
)
BIBTEX = """
@inproceedings{tanaka2020pruning,
  author = {Tanaka, Hidenori and Kunin, Daniel and Yamins, Daniel L. K. and Ganguli, Surya},
  title = {Pruning neural networks without any data by iteratively conserving synaptic flow},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2020}
}
"""


def resnet18() -> nn.Module:
    """torchvision's ResNet-18 for 64x64 images and 200 classes: a first convolution of 3x3 and stride 1, no pooling."""
    import torchvision.models

    module = torchvision.models.resnet18(weights=None, num_classes=TINY_IMAGENET.classes)
    module.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    module.maxpool = nn.Identity()
    return module


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    return [
        pf.Problem(
            "resnet18-tinyimagenet",
            resnet18,
            TINY_IMAGENET.held(),
            weights=pf.Trained(RECIPE, precision="bfloat16"),
            search_images=5000,
            budget=40,
            summary="ResNet-18 (first convolution 3x3, no pooling behind it) on Tiny-ImageNet, 11.27 M parameters",
            source="He et al., CVPR 2016, for 64x64 images as Tanaka et al., NeurIPS 2020, prune it; "
            f"{TINY_IMAGENET.origin}",
            bibtex=RESNET_BIBTEX + BIBTEX + TINY_IMAGENET.bibtex,
        )
    ]
