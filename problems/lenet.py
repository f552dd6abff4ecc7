"""LeNets on handwritten digits; their trained weights lie beside this file, as `pruneframe train --into` made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

import pruneframe as pf

from .datasets import FASHION, MNIST, Dataset

WEIGHTS, NOISE = (Path(__file__).parent / name for name in ("weights", "noise"))
LENET = pf.Recipe(epochs=6, learning_rate=0.02, batch=64, source="ours")
LONGER = replace(LENET, epochs=20)  # clothes are harder to tell apart than digits
DIGITS_BIBTEX = """
@misc{alpaydin1998optical,
  author = {Alpaydin, E. and Kaynak, C.},
  title = {Optical Recognition of Handwritten Digits},
  howpublished = {UCI Machine Learning Repository},
  year = {1998}
}
"""


class LeNet(nn.Module):
    """Caffe's LeNet-5, 20-50-500-10 on 28x28 images: 430,500 weights; nothing but pooling behind the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(800, 500)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(500, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 10] of images float32[n, 1, 28, 28]."""
        features = self.pool2(self.conv2(self.pool1(self.conv1(images))))
        return self.fc2(self.relu(self.fc1(self.flatten(features))))


class SmallLeNet(nn.Module):
    """16-32-64-10 on 8x8 images, with batch norm and ReLU behind the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(128, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 10] of images float32[n, 1, 8, 8]."""
        features = self.pool(self.relu(self.bn1(self.conv1(images))))
        features = self.pool(self.relu(self.bn2(self.conv2(features))))
        return self.fc2(self.relu(self.fc1(self.flatten(features))))


def digits_data(instance: int) -> pf.Data:
    """The 1,797 digits: 360 for the search, 360 for the test, the rest for training."""
    test, rest = pf.digits().stratified(360, instance)
    search, train = rest.stratified(360, instance)
    return pf.Data(train, search, test)


def shipped(name: str, recipe: pf.Recipe) -> pf.Shipped:
    """The trained weights of the first instances, and how further ones are trained."""
    return pf.Shipped(WEIGHTS / name, pf.Trained(recipe))


def problem(data: Dataset, weights: pf.Trained | pf.Shipped, noise: Path | None = None) -> pf.Problem:
    """Caffe's LeNet-5 on MNIST or on what has its format."""
    return pf.Problem(
        f"lenet-{data.name}",
        LeNet,
        data.held(),
        weights=weights,
        search_images=2000,
        budget=300,
        summary=f"Caffe's LeNet-5 (20-50-500-10) on {data.title}, 430,500 weights",
        source=f"LeCun, Bottou, Bengio and Haffner, Proc. IEEE 86(11), 1998; {data.origin}",
        bibtex=MNIST.bibtex + (data.bibtex if data is not MNIST else ""),
        noise=noise,
    )


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    return [
        pf.Problem(
            "lenet-digits",
            SmallLeNet,
            pf.Splits(digits_data),
            weights=shipped(
                "lenet-digits", pf.Recipe(epochs=20, learning_rate=0.05, weight_decay=5e-3, batch=32, source="ours")
            ),
            budget=300,
            summary="a small LeNet on scikit-learn's 8x8 digits; needs no download",
            source="digits: Alpaydin and Kaynak, UCI 1998, through scikit-learn; trained by us, "
            "search and test images held out before",
            bibtex=DIGITS_BIBTEX,
            noise=NOISE / "lenet-digits.json",
        ),
        problem(MNIST, shipped("lenet-mnist", LENET), NOISE / "lenet-mnist.json"),
        problem(FASHION, pf.Trained(LONGER)),
    ]
