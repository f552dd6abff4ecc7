"""A network that is searched in milliseconds, as a problem and as a task."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..model.data import Data, Split
from ..plugin import from_environment
from ..problem import BatchNorm, LoadedProblem, Problem
from ..registry import Registry
from ..search.journal import Journal
from ..search.ledger import Ledger
from ..search.shelf import Shelf
from ..search.task import Task
from ..search.workbench import Workbench

CLASSES = 3  # of the tiny networks


class TinyNetwork(nn.Module):
    """Convolution, batch norm and ReLU twice, around a residual addition, then a linear layer; 6x6 images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 5, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(5)
        self.conv1 = nn.Conv2d(5, 7, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(7)
        self.conv2 = nn.Conv2d(7, 5, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(5)
        self.conv3 = nn.Conv2d(5, 6, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(3)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3] of images float32[n, 2, 6, 6]."""
        stem = self.relu(self.bn0(self.stem(images)))
        inside = self.relu(self.bn1(self.conv1(stem)))
        block = self.relu(self.bn2(self.conv2(inside)) + stem)
        return self.linear(self.flatten(self.pool(self.relu(self.conv3(block)))))


class TinyAttention(nn.Module):
    """A layer of attention and one of two linear layers over four vectors, then a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True)
        self.linear = nn.Linear(8, CLASSES)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits float32[n, 3] of float32[n, 4, 8]."""
        return self.linear(self.encoder(vectors).mean(1))


def tiny_problem(units: str = "weight", batch_norm: BatchNorm = "frozen", **settings: Any) -> Problem:
    """A problem that loads in milliseconds: random weights and statistics, labels as the dense network sees them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = TinyNetwork()
        for norm in (module.bn0, module.bn1, module.bn2):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0.0, 0.3)
            norm.running_mean = torch.randn(norm.num_features) * 0.1
            norm.running_var = torch.rand(norm.num_features) + 0.5
    return Problem("tiny", module, _labelled(module, (2, 6, 6)), units=units, batch_norm=batch_norm, **settings)


def tiny_attention(units: str = "weight") -> Problem:
    """The same of a network with heads, and with neurons between two linear layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = TinyAttention()
    return Problem("tiny-attention", module, _labelled(module, (4, 8)), units=units)


def _labelled(module: TinyNetwork | TinyAttention, shape: tuple[int, ...]) -> Data:
    """Random images with the labels that the network gives them, once its bias is such that no class wins all."""
    images = np.random.default_rng(0).normal(size=(140, *shape)).astype(np.float32)
    with torch.no_grad():
        logits = module.eval()(torch.from_numpy(images))
        module.linear.bias.sub_(logits.mean(dim=0))  # otherwise one class wins everywhere, pruned or not
        labels = module(torch.from_numpy(images)).argmax(dim=1).numpy().astype(np.int64)
    labels[:CLASSES] = np.arange(CLASSES)
    train, search, test = (Split(images[a:b], labels[a:b]) for a, b in ((0, 60), (60, 100), (100, 140)))
    return Data(train, search, test)


def installed() -> Registry:
    """What is installed; looked for once, and not for every task."""
    return _installed(tuple(from_environment()))


@cache
def _installed(named: tuple[str, ...]) -> Registry:
    """The same, with the sources that `PRUNEFRAME_PLUGINS` lists now."""
    return Registry()


def loaded(units: str = "weight", registry: Registry | None = None) -> LoadedProblem:
    """The tiny problem in memory."""
    return tiny_problem(units).load((registry or installed()).component)


def units_there(registry: Registry) -> list[str]:
    """The kinds of units that the tiny network has some of, those of which it has most first."""
    found = {}
    for name in registry.names("unit"):
        with contextlib.suppress(InputError):
            found[name] = loaded(name, registry).network.layout.total
    return sorted(found, key=lambda name: -found[name])


def make_task(
    problem: Problem,
    budget: float = 40,
    seed: int = 0,
    registry: Registry | None = None,
    journal: Journal | None = None,
    shelf: Shelf | None = None,
    spent: float = 0,
) -> Task:
    """A task on a problem, of whose budget so much is spent; journal and weights are in memory if none are given."""
    lookup = (registry or installed()).component
    bench = Workbench(problem.load(lookup), "cpu", shelf or Shelf(None), problem.meter(lookup))
    ledger = Ledger(budget)
    ledger.spent = spent
    return Task(bench, journal or Journal(None, {}), ledger, seed, lookup)
