"""The one door, a task on the tiny problem, with what stands behind it in reach of tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from tiny import load, lookup

from pruneframe.mask import Layout, Masks
from pruneframe.model.network import Network
from pruneframe.problem import LoadedProblem, Problem
from pruneframe.search.journal import Journal
from pruneframe.search.ledger import Ledger
from pruneframe.search.shelf import Shelf
from pruneframe.search.task import Task
from pruneframe.search.workbench import Workbench
from pruneframe.testing import tiny_problem

SEARCH, TRAIN = 40, 60  # images of the tiny problem
HERE = {"platform": "here"}


@dataclass
class Door:
    """A task, and what stands behind it."""

    task: Task
    bench: Workbench
    loaded: LoadedProblem

    def state(self, weights: str) -> dict[str, torch.Tensor]:
        return self.bench.state(weights)


def door(
    problem: Problem | None = None,
    budget: float = 100,
    seed: int = 0,
    journal: Journal | None = None,
    shelf: Shelf | None = None,
) -> Door:
    """A door on a problem, the tiny one of single weights unless told; in memory where nothing else is given."""
    problem = problem or tiny_problem()
    loaded = load(problem)
    bench = Workbench(loaded, "cpu", shelf or Shelf(None), problem.meter(lookup))
    return Door(Task(bench, journal or Journal(None, HERE), Ledger(budget), seed, lookup), bench, loaded)


def random_masks(layout: Layout, n: int, seed: int = 0) -> Masks:
    """Masks of several densities."""
    rng = np.random.default_rng(seed)
    return Masks.pack(rng.random((n, layout.total)) < rng.uniform(0.3, 1, (n, 1)), layout)


def masks_within(network: Network, n: int, layers: range, density: float = 0.6) -> Masks:
    """Masks that remove units of some layers alone."""
    keep = np.random.default_rng(5).random((n, network.layout.total)) < density
    order = [layer.name for layer in network.layers]
    for name, where in zip(network.layout.names, network.layout.slices, strict=True):
        if order.index(name) not in layers:
            keep[:, where] = True
    return Masks.pack(keep, network.layout)
