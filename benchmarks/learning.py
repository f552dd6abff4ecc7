"""How fast training, tuning and scoring are beside the usual torch loop, and beside evaluation; for evaluation.py.

The usual loop reads shuffled batches from a DataLoader, in float32 and torch's default memory format, and asks for the
gradients of all parameters. Both sides take turns in one process and one thread. `per_pass` is the time of one of the
passes that an image is charged for (three for training and scoring, four for tuning) over that of a pass of dense
evaluation under the same precision. Networks have random weights.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

import pruneframe as pf
from pruneframe.engine import Engine, Precision
from pruneframe.registry import Registry
from pruneframe.search.prices import Prices
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import Workbench
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import LeNet, SmallLeNet

NETWORKS: dict[
    str, tuple[Callable[[], nn.Module], tuple[int, int, int], int]
] = {  # with its images (rows last), their number
    "resnet56": (lambda: CifarResNet(9), (32, 32, 3), 256),
    "lenet5": (LeNet, (28, 28, 1), 1024),
    "digits": (SmallLeNet, (8, 8, 1), 2048),
}
WORK: tuple[tuple[str, str, Precision], ...] = (
    *(("resnet56", work, "float32") for work in ("training", "tuning", "scoring")),
    *(("resnet56", work, "bfloat16") for work in ("training", "tuning")),
    *((name, work, "float32") for name in ("lenet5", "digits") for work in ("training", "tuning", "scoring")),
)
PASSES = {"training": Prices.trained, "tuning": Prices.tuned, "scoring": 3}
BATCH, CHUNK = 128, 100  # images of a step of training, and of tuning and scoring
DENSITY = 0.5  # of the mask


@cache
def loaded(name: str) -> pf.LoadedProblem:
    """A network of random weights, with random images."""
    make, shape, n = NETWORKS[name]
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    split = pf.Split(rng.integers(0, 256, (n, *shape), dtype=np.uint8), rng.permutation(n) % 10)
    data = pf.Data(split, split, split)
    return pf.Problem(name, make(), data, budget=10.0).load(Registry().component)


class Sides:
    """Both sides of one kind of work on all images once, and a pass of dense evaluation over them."""

    def __init__(self, name: str, precision: Precision) -> None:
        problem = loaded(name)
        self.network, self.n = problem.network, len(problem.data.train)
        self.images, self.labels = problem.data.tensor(problem.data.train), torch.from_numpy(problem.data.train.labels)
        self.bench = Workbench(problem, "cpu", Shelf(None), precision=precision)
        self.keep = np.random.default_rng(0).random(self.network.layout.total) < DENSITY
        self.mask = pf.Masks.pack(self.keep[None], self.network.layout)
        self.engine = Engine(self.network, precision=precision)
        self.placed = self.engine.place(self.images)

    def evaluation(self) -> None:
        """A pass of dense evaluation."""
        next(self.engine.logits(self.network.layout.full(), [self.network.module.state_dict()], self.placed))

    def batches(self, size: int) -> DataLoader:
        """The usual way to read images."""
        return DataLoader(TensorDataset(self.images, self.labels), batch_size=size, shuffle=True)

    def training(self) -> None:
        """One epoch of masked training."""
        self.bench.train(self.mask, "dense", pf.Recipe(batch=BATCH), 0)

    def usual_training(self) -> None:
        """The same in the usual way."""
        module = copy.deepcopy(self.network.module).train().requires_grad_(True)
        kept = {module.get_parameter(name): mask for name, mask in self.network.keep(self.mask, 0).items()}
        optimiser = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        for images, labels in self.batches(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(module(images), labels).backward()
            optimiser.step()
            with torch.no_grad():
                for parameter, mask in kept.items():
                    parameter.mul_(mask)

    def tuning(self) -> None:
        """The slopes of all units on all images, of which nothing is known before."""
        slopes, factors = self.bench.slopes, torch.from_numpy(self.keep).float()
        for rows in np.array_split(np.random.default_rng(0).permutation(self.n), -(-self.n // (2 * CHUNK))):
            slopes(factors, rows)

    def usual_tuning(self) -> None:
        """The same in the usual way."""
        module = copy.deepcopy(self.network.module).requires_grad_(True)
        for images, _ in self.batches(CHUNK):
            factors = torch.from_numpy(self.keep).float().requires_grad_(True)
            with torch.no_grad():
                wanted = F.log_softmax(module(images), dim=1)
            state = dict(module.named_parameters())
            masked = {name: state[name] * factor for name, factor in self.network.spread(factors).items()}
            found = F.log_softmax(functional_call(module, masked, (images,)), dim=1)
            F.kl_div(found, wanted, reduction="sum", log_target=True).backward()

    def scoring(self) -> None:
        """Taylor's scores on all images, or as many as they look at."""
        self.bench.score(Registry().component(pf.Scorer, "taylor"), np.random.default_rng(0))

    def usual_scoring(self) -> None:
        """Gradients times weights in the usual way, for so many images."""
        module = copy.deepcopy(self.network.module).requires_grad_(True)
        seen = 0
        for images, labels in self.batches(CHUNK):
            if seen >= self.scored:
                return
            module.zero_grad()
            F.cross_entropy(module(images), labels).backward()
            _ = [(parameter * parameter.grad).square() for parameter in module.parameters()]
            seen += len(images)

    @property
    def scored(self) -> int:
        """Images that scoring looks at."""
        return min(self.n, Registry().component(pf.Scorer, "taylor").images)


def quartiles(ratios: ArrayLike) -> dict[str, float]:
    """The median of ratios as `ratio`, and the quartiles beside it."""
    found = np.quantile(ratios, [0.5, 0.25, 0.75]).round(2).tolist()
    return dict(zip(("ratio", "ratio_q1", "ratio_q3"), found, strict=True))


def learned(name: str, work: str, precision: Precision, pairs: int) -> dict[str, Any]:
    """One row."""
    sides = Sides(name, precision)
    share = sides.scored / sides.n if work == "scoring" else 1.0
    seconds = []
    for _ in range(pairs + 1):  # the first warms up
        row = []
        for side in (getattr(sides, f"usual_{work}"), getattr(sides, work), sides.evaluation):
            start = time.perf_counter()
            side()
            row.append(time.perf_counter() - start)
        seconds.append(row)
    usual, own, dense = np.array(seconds[1:]).T
    ratios, passes = usual / own, own / (dense * share) / PASSES[work]
    return {
        "network": name,
        "work": work,
        "precision": precision,
        **quartiles(ratios),
        "per_pass": round(float(np.median(passes)), 2),
        "milliseconds": round(float(np.median(own)) / (sides.n * share) * 1000, 3),
    }
