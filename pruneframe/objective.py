"""Objectives: one number to minimise per candidate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .component import Component
from .mask import Masks
from .network import Network

Logits = NDArray[np.float32]  # [images, classes]


@dataclass(frozen=True)
class Candidate:
    """A pruned network as objectives see it: what is costly is computed when it is first asked for.

    `masks` holds exactly one mask; `weights` is the id of the weights under it; labels are int64[images].
    """

    network: Network
    masks: Masks
    weights: str
    labels: NDArray[np.int64]
    classes: int
    predict: Callable[[], Logits]
    make_shrunk: Callable[[], nn.Module]
    dense: Candidate | None = None  # the unpruned network on the same images; None for the dense candidate itself

    @cached_property
    def logits(self) -> Logits:
        """Outputs for every image, float32[images, classes]."""
        return self.predict()

    @cached_property
    def shrunk(self) -> nn.Module:
        """The physically smaller module; filters only."""
        return self.make_shrunk()

    @cached_property
    def params(self) -> int:
        """Parameters that remain."""
        return int(self.network.params(self.masks)[0])

    @cached_property
    def macs(self) -> int:
        """Multiply-adds per image that remain."""
        return int(self.network.macs(self.masks)[0])


@dataclass(frozen=True, repr=False)
class Objective(Component):
    """A number to minimise, with a unit, and the value that counts as 1 in the indicators."""

    unit: ClassVar[str] = ""

    @abstractmethod
    def measure(self, candidate: Candidate) -> float:
        """The value for one candidate, in `unit`, smaller is better."""

    @abstractmethod
    def reference(self, dense: Candidate) -> float:
        """What counts as 1 in the indicators, greater than 0; `dense` is the unpruned network."""
