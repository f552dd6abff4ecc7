"""Tabular problems: networks of so few units that every mask was evaluated once; weights and tables lie beside this.

`pruneframe train tiny-lenet --instances 0-2 --into FOLDER` makes the weights again, `pruneframe tabulate` the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import pruneframe as pf

from .cifar_resnet import BIBTEX as CIFAR_BIBTEX
from .cifar_resnet import CREDIT, IMAGENET, published, resnet
from .datasets import CIFAR10
from .lenet import DIGITS_BIBTEX, digits_data, shipped

CIFAR_IMAGES = 1000  # for the search, and as many for the test
TABLES = Path(__file__).parent / "tables"
DIGITS = (
    "digits: Alpaydin and Kaynak, UCI 1998, through scikit-learn; trained by us, search and test images held out before"
)


class TinyLeNet(nn.Module):
    """6-10 on 8x8 images: two convolutions with batch norm, ReLU and pooling, and a linear layer; 1,052 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 10, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(10)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(40, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 10] of images float32[n, 1, 8, 8]."""
        features = self.pool(self.relu(self.bn1(self.conv1(images))))
        features = self.pool(self.relu(self.bn2(self.conv2(features))))
        return self.fc(self.flatten(features))


class Encoder(nn.Module):
    """A block of a transformer with norms before: attention of two heads, and four hidden units."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.gelu = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, tokens, width] to the same."""
        seen = self.norm1(tokens)
        tokens = tokens + self.attention(seen, seen, seen, need_weights=False)[0]
        return tokens + self.fc2(self.gelu(self.fc1(self.norm2(tokens))))


class TinyAttention(nn.Module):
    """A vision transformer on 8x8 images: the rows are tokens of 8 pixels, and the mean of two blocks is classified.

    Each block has two heads and four hidden units, 12 in all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.places = nn.Parameter(torch.zeros(8, 16))
        self.blocks = nn.Sequential(Encoder(16, 2, 4), Encoder(16, 2, 4))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 10] of images float32[n, 1, 8, 8]."""
        tokens = self.blocks(self.embed(images.flatten(1, 2)) + self.places)
        return self.head(self.norm(tokens).mean(dim=1))


def some_cifar10() -> pf.Data:
    """Of the official test images, which the weights have not seen, 1,000 for the search and 1,000 for the test."""
    train, unseen = pf.cifar10()
    search, rest = unseen.stratified(CIFAR_IMAGES)
    return pf.Data(train, search, rest.chosen(CIFAR_IMAGES), mean=IMAGENET["mean"], std=IMAGENET["std"])


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    return [
        pf.Problem(
            "tiny-lenet",
            TinyLeNet,
            pf.Splits(digits_data),
            weights=shipped(
                "tiny-lenet", pf.Recipe(epochs=30, learning_rate=0.05, weight_decay=5e-3, batch=32, source="ours")
            ),
            tabular=pf.Tabular(TABLES / "tiny-lenet"),
            units="filter",
            budget=200,
            summary="all 65,536 masks of the 16 filters of a LeNet on digits, from a table",
            source=DIGITS,
            bibtex=DIGITS_BIBTEX,
        ),
        pf.Problem(
            "tiny-attention",
            TinyAttention,
            pf.Splits(digits_data),
            weights=shipped(
                "tiny-attention", pf.Recipe(epochs=60, learning_rate=0.05, weight_decay=1e-4, batch=32, source="ours")
            ),
            tabular=pf.Tabular(TABLES / "tiny-attention"),
            units="neuron[heads=true]",
            budget=200,
            summary="all 4,096 masks of 4 heads and 8 hidden units of a transformer on digits, from a table",
            source=DIGITS,
            bibtex=DIGITS_BIBTEX,
        ),
        pf.Problem(
            "tiny-resnet20",
            resnet(20, 10, "A"),
            some_cifar10,
            weights=published(20, CIFAR10, "A"),
            tabular=pf.Tabular(TABLES / "tiny-resnet20"),
            units="block",
            budget=100,
            summary="all 512 masks of the 9 residual branches of ResNet-20 on CIFAR-10, from a table",
            source=f"He et al., CVPR 2016; {CREDIT}; search and test images are 1,000 each of "
            "CIFAR-10's official test images",
            bibtex=CIFAR_BIBTEX,
        ),
    ]
