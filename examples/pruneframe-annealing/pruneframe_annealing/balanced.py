"""A score by which no layer is pruned sooner than another only because its weights are small."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import pruneframe as pf


@dataclass(frozen=True, repr=False)
class Balanced(pf.Scorer):
    """The mean absolute weight of a unit, as a multiple of its layer's."""

    name = "balanced"

    def check(self, network: pf.Network) -> None:
        if any(group.kind == "branch" for group in network.layout.groups):
            raise pf.InputError(
                "scorer 'balanced' compares the units of a layer, but a block is no such; use magnitude"
            )

    def score(
        self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator
    ) -> pf.Scores:  # neither images nor random numbers are needed
        self.check(network)
        groups = network.layout.groups
        return np.concatenate([_relative(group, network.parameter(group.parameter).detach()) for group in groups])


def _relative(group: pf.Group, weights: Tensor) -> pf.Scores:
    """Of the units of one layer, float32[units]; 0 where all its weights are."""
    found = weights.abs().flatten()  # single weights are their own units
    if group.slices:
        own = group.slices[0]
        rows = torch.from_numpy(own.along(group.size).ravel())
        found = weights.abs().movedim(own.dim, 0)[rows].reshape(group.size, -1).mean(dim=1)
    mean = float(found.mean())
    return (found / mean if mean else found).numpy().astype(np.float32)


@pf.hookimpl
def pruneframe_scorers() -> Sequence[type[pf.Scorer]]:
    return [Balanced]
