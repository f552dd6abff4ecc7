"""LeNets on handwritten digits; both are trained on first use."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

import pruneframe as pf
from pruneframe.data import digits, mnist

HELD_OUT = 10_000  # of MNIST's training images, as search images


class LeNet(nn.Module):
    """Two convolutions with pooling, then two fully connected layers."""

    def __init__(self, size: int, kernel: int, padding: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, hidden = widths
        side = size
        for _ in range(2):
            side = (side + 2 * padding - kernel + 1) // 2
        self.conv1 = nn.Conv2d(1, first, kernel, padding=padding)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(first, second, kernel, padding=padding)
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(second * side * side, hidden)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 10]; as in Caffe's LeNet, only the hidden layer has a nonlinearity beside pooling."""
        features = self.pool2(self.conv2(self.pool1(self.conv1(images))))
        return self.fc2(self.relu(self.fc1(self.flatten(features))))


def small_lenet() -> LeNet:
    """16-32-64-10 on 8x8 images."""
    return LeNet(size=8, kernel=3, padding=1, widths=(16, 32, 64))


def caffe_lenet() -> LeNet:
    """Caffe's LeNet-5, 20-50-500-10 on 28x28 images: 430,500 weights."""
    return LeNet(size=28, kernel=5, padding=0, widths=(20, 50, 500))


def digits_data() -> pf.Data:
    """The 1,797 digits: 360 for the search, 360 for the test, the rest for training."""
    test, rest = digits().stratified(360)
    search, train = rest.stratified(360)
    return pf.Data(train, search, test)


def mnist_data() -> pf.Data:
    """10,000 of the training images for the search, the official test images for the test."""
    train, test = mnist()
    search, rest = train.stratified(HELD_OUT)
    return pf.Data(rest, search, test, mean=(0.1307,), std=(0.3081,))


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    return [
        pf.Problem(
            "lenet-digits",
            small_lenet,
            digits_data,
            weights=pf.Trained(pf.Recipe(epochs=15, learning_rate=0.05, batch=32)),
            budget=300,
            summary="a small LeNet on scikit-learn's 8x8 digits; needs no download",
            source="digits: Alpaydin and Kaynak, UCI 1998, through scikit-learn; trained here on first use",
        ),
        pf.Problem(
            "lenet-mnist",
            caffe_lenet,
            mnist_data,
            weights=pf.Trained(pf.Recipe(epochs=6, learning_rate=0.02, batch=64)),
            search_images=2000,
            budget=300,
            summary="Caffe's LeNet-5 (20-50-500-10) on MNIST, 430,500 weights",
            source="LeCun, Bottou, Bengio and Haffner, Proc. IEEE 86(11), 1998; trained here on first use",
        ),
    ]
