"""A distribution from outside, written against the public names alone: one part of every kind."""

PARTSBIN = '''
"""One part of every kind, as a stranger writes them."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import nn

import pruneframe as pf
from pruneframe import kit


@dataclass(frozen=True, repr=False)
class Rows(pf.Units):
    """Rows of a linear layer whose outputs the next linear layer reads."""

    name = "row"
    removable = True

    def layout(self, network):
        linear = [layer for layer in network.layers if not layer.convolutional]
        groups = [
            pf.Group(
                one.name,
                one.shape[0],
                one.shape,
                (
                    pf.Slices(f"{one.name}.weight", 0),
                    pf.Slices(f"{one.name}.bias", 0),
                    pf.Slices(f"{other.name}.weight", 1),
                ),
            )
            for one, other in pairwise(linear)
            if one.shape[0] == other.shape[1]
        ]
        return pf.Layout(repr(self), tuple(groups))


@dataclass(frozen=True, repr=False)
class Input(pf.Units):
    """What a convolution or linear layer reads of one channel; zeroed, never taken out."""

    name = "input"

    def layout(self, network):
        groups = [
            pf.Group(one.name, one.shape[1], one.shape, (pf.Slices(f"{one.name}.weight", 1),)) for one in network.layers
        ]
        return pf.Layout(repr(self), tuple(groups))


@dataclass(frozen=True, repr=False)
class Backwards(pf.Scorer):
    """Later units matter more."""

    name = "backwards"

    def score(self, network, images, labels, rng):
        return np.arange(network.layout.total, dtype=np.float32)


@dataclass(frozen=True, repr=False)
class Swap(pf.Variation):
    """The second parent as it is."""

    name = "swap"

    def vary(self, parents, n, variables, rng, scores=None, free=None):
        return pf.families(parents, n)[:, -1].copy()


@dataclass(frozen=True, repr=False)
class Prefix(pf.Encoding):
    """One number: the share of all units, from the first, that is kept."""

    name = "prefix"

    def variables(self, layout):
        return pf.Variables("real", 1, np.zeros(1), np.ones(1), (1,))

    def decode(self, genomes, layout, scores):
        kept = np.rint(genomes * layout.total)
        return pf.Masks.pack(np.arange(layout.total)[None, :] < kept, layout)

    def sample(self, n, layout, scores, rng):
        return np.linspace(1.0, 0.1, n)[:, None]


@dataclass(frozen=True, repr=False)
class Kept(pf.Objective):
    """Units kept."""

    name = "kept"
    quantity = "units"
    predicts = False

    def measure(self, candidate):
        return float(candidate.masks.counts()[0])

    def reference(self, dense):
        return float(dense.masks.counts()[0])


@dataclass(frozen=True, repr=False)
class Counted(pf.Target):
    """A nanosecond for every multiply-add, and four bytes for every parameter."""

    name = "counted"

    def latencies(self, networks):
        return np.array([[1e-9 * one.network.macs(one.masks)[0]] for one in networks])

    def memory(self, network):
        return 4.0 * sum(parameter.numel() for parameter in network.shrunk.parameters())


@dataclass(frozen=True, repr=False)
class Halves(pf.Method):
    """The dense network, then NSGA-II on a front of random halves."""

    name = "halves"
    scorer: str = pf.setting("backwards", "importance behind nothing but its name", kind="scorer")

    def search(self, task):
        task.scores(self.scorer)
        task.evaluate(task.layout.full())
        start = pf.Masks.pack(task.rng.random((4, task.layout.total)) < 0.5, task.layout)
        variables = task.encoding("mask").variables(task.layout)
        vary = kit.suitable_variation(task, None, variables)
        with kit.recorded(task, "halves"):
            kit.evolve(
                task,
                "nsga2",
                start.bits,
                lambda parents, n: vary.vary(parents, n, variables, task.rng),
                lambda bits: task.evaluate(pf.Masks(bits, task.layout)),
            )


@dataclass(frozen=True, repr=False)
class Tally(pf.Report):
    """How many members each method's fronts have."""

    name = "tally"

    def draw(self, table, study):
        for number, board in enumerate(study.boards, 1):
            rows = [{"method": run.method, "members": run.front_size} for run in study.done(board)]
            yield pf.Table(f"tally-{number}", f"{board.label}: members.", pd.DataFrame(rows), board.hash)


class Stripes(nn.Module):
    """12-10-3 on rows of four numbers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 12)
        self.second = nn.Linear(12, 10)
        self.last = nn.Linear(10, 3)

    def forward(self, images):
        """Logits float32[n, 3] of images float32[n, 1, 1, 4]."""
        hidden = torch.relu(self.first(torch.flatten(images, 1)))
        return self.last(torch.relu(self.second(hidden)))


def stripes():
    """Which of three sums is largest; 300 images drawn."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(300, 1, 1, 4)).astype(np.float32)
    labels = (images[:, 0, 0] @ np.array([[1, 0, 2], [0, 1, -1], [1, -1, 0], [2, 0, 1.0]])).argmax(axis=1)
    train, search, test = (pf.Split(images[a:b], labels[a:b]) for a, b in ((0, 100), (100, 200), (200, 300)))
    return pf.Data(train, search, test)


@pf.hookimpl
def pruneframe_units():
    return [Rows, Input]


@pf.hookimpl
def pruneframe_scorers():
    return [Backwards]


@pf.hookimpl
def pruneframe_variations():
    return [Swap]


@pf.hookimpl
def pruneframe_encodings():
    return [Prefix]


@pf.hookimpl
def pruneframe_objectives():
    return [Kept]


@pf.hookimpl
def pruneframe_targets():
    return [Counted]


@pf.hookimpl
def pruneframe_methods():
    return [Halves]


@pf.hookimpl
def pruneframe_problems():
    recipe = pf.Recipe(epochs=30, learning_rate=0.1, batch=20)
    return [pf.Problem("stripes", Stripes, stripes, weights=pf.Trained(recipe), units="row", budget=20)]


@pf.hookimpl
def pruneframe_reports():
    return [Tally]
'''
