"""A tabular problem of five filters, whose 32 masks are evaluated in milliseconds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from tiny import load
from torch import Tensor, nn

from pruneframe import Data, Problem, Split, Tabular
from pruneframe.search.enumeration import enumerated
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import Workbench


class Five(nn.Module):
    """Two and three filters, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 3, 3)
        self.linear = nn.Linear(12, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3] of images float32[n, 1, 6, 6]."""
        return self.linear(torch.relu(self.conv2(torch.relu(self.conv1(images)))).flatten(1))


def problem(**settings: object) -> Problem:
    """Without a table: random weights, labels that the unpruned network gives to most images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = Five()
    rng = np.random.default_rng(0)
    images = rng.normal(size=(130, 1, 6, 6)).astype(np.float32)
    with torch.no_grad():
        logits = module(torch.from_numpy(images))
        module.linear.bias.sub_(logits.mean(dim=0))
        labels = module(torch.from_numpy(images)).argmax(dim=1).numpy()
    labels[::9] = rng.integers(0, 3, len(labels[::9]))
    labels[[0, 1, 2]] = labels[[30, 31, 32]] = labels[[80, 81, 82]] = [0, 1, 2]
    train, search, test = (Split(images[a:b], labels[a:b]) for a, b in ((0, 30), (30, 80), (80, 130)))
    found = Problem("five", module, Data(train, search, test), units="filter", **settings)  # type: ignore[arg-type]
    return dataclasses.replace(found)


def tabular(folder: Path) -> Problem:
    """The same with its table in a folder."""
    own = problem()
    enumerated(Workbench(load(own), "cpu", Shelf(None))).write(folder / "0.npz")
    return dataclasses.replace(own, tabular=Tabular(folder))
