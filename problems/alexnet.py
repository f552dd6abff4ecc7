"""AlexNet for CIFAR: the five convolutions of the single-tower network, and one linear layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

import pruneframe as pf

from .datasets import CIFAR10

RECIPE = pf.Recipe(
    epochs=164,
    learning_rate=0.01,  # without batch norm it does not learn at 0.1
    weight_decay=5e-4,
    batch=128,
    schedule="steps",
    milestones=(81 / 164, 122 / 164),
    crop=4,
    flip=True,
    source="bearpaw, pytorch-classification, TRAINING.md: 164 epochs, tenths after 81 and 122",
)
BIBTEX = """
@inproceedings{krizhevsky2012imagenet,
  author = {Krizhevsky, Alex and Sutskever, Ilya and Hinton, Geoffrey E.},
  title = {{ImageNet} Classification with Deep Convolutional Neural Networks},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2012}
}
@article{krizhevsky2014one,
  author = {Krizhevsky, Alex},
  title = {One weird trick for parallelizing convolutional neural networks},
  journal = {arXiv:1404.5997},
  year = {2014}
}
"""


class AlexNet(nn.Module):
    """64-192-384-256-256 filters as in Krizhevsky, arXiv 1404.5997, padded for 32x32 images."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, stride=4, padding=5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(256, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, classes] of images float32[n, 3, 32, 32]."""
        return self.classifier(self.features(images))


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    return [
        pf.Problem(
            "alexnet-cifar10",
            AlexNet,
            CIFAR10.held(),
            weights=pf.Trained(RECIPE),
            search_images=5000,
            budget=300,
            summary="AlexNet (five convolutions, one linear layer) on CIFAR-10, 2.47 M parameters",
            source="Krizhevsky, arXiv 1404.5997, for 32x32 images as in pytorch-classification by bearpaw; HAMP (Hong "
            "et al., doi 10.1016/j.fmre.2022.07.013) prunes an AlexNet on CIFAR-10, of which we know no more than "
            f"that; {CIFAR10.origin}",
            bibtex=BIBTEX + CIFAR10.bibtex,
        )
    ]
