"""What github.com/chenyaofo/pytorch-cifar-models publishes: networks trained on all training images of CIFAR."""

from __future__ import annotations

import pruneframe as pf

from .datasets import Dataset

PUBLISHER = "https://github.com/chenyaofo/pytorch-cifar-models/releases/download/"
CREDIT = "weights by chenyaofo, pytorch-cifar-models, BSD-3-Clause"
# Its published logs say all but how images vary, which is as in He et al., CVPR 2016.
RECIPE = pf.Recipe(
    epochs=200,
    learning_rate=0.1,
    weight_decay=5e-4,
    batch=256,
    nesterov=True,
    crop=4,
    flip=True,
    source="chenyaofo, pytorch-cifar-models, training logs: SGD with Nesterov momentum, one cosine over 200 epochs",
)


def weights(family: str, data: Dataset, file: str, renames: tuple[tuple[str, str], ...] = ()) -> pf.Published:
    """One of its files, such as resnet56-187c023a."""
    return pf.Published(f"{PUBLISHER}{family}/{data.name}_{file}.pt", renames=renames)
