"""LeNet-300-100, the fully connected network of the first papers on pruning, on 28x28 images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

import pruneframe as pf

from .datasets import FASHION, MNIST, Dataset

WEIGHTS = Path(__file__).parent / "weights"
RECIPE = pf.Recipe(epochs=10, learning_rate=0.05, batch=64, source="ours")
BIBTEX = """
@inproceedings{han2015learning,
  author = {Han, Song and Pool, Jeff and Tran, John and Dally, William J.},
  title = {Learning both Weights and Connections for Efficient Neural Networks},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2015}
}
"""


class LeNet300(nn.Module):
    """784-300-100-10 with ReLU: 266,200 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(784, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, 10)
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 10] of images float32[n, 1, 28, 28]."""
        return self.fc3(self.relu(self.fc2(self.relu(self.fc1(self.flatten(images))))))


def problem(data: Dataset, weights: pf.Trained | pf.Shipped) -> pf.Problem:
    """The network on MNIST or on what has its format."""
    return pf.Problem(
        f"lenet300-{data.name}",
        LeNet300,
        data.held(),
        weights=weights,
        search_images=2000,
        budget=300,
        summary=f"LeNet-300-100 (784-300-100-10, fully connected) on {data.title}, 266,200 weights",
        source="LeCun, Bottou, Bengio and Haffner, Proc. IEEE 86(11), 1998; as pruned by Han, Pool, Tran and Dally, "
        f"NeurIPS 2015; {data.origin}",
        bibtex=MNIST.bibtex + BIBTEX + (data.bibtex if data is not MNIST else ""),
    )


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    trained = pf.Trained(RECIPE)
    return [problem(MNIST, pf.Shipped(WEIGHTS / "lenet300-mnist", trained)), problem(FASHION, trained)]
