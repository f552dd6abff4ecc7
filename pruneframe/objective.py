"""Objectives: one number to minimise per candidate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .component import Component
from .device import Device
from .errors import InputError
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
    device: Device | None = None  # which the network is meant for; known to physical objectives alone

    @property
    def meant_for(self) -> Device:
        """The device that physical objectives measure on; raises InputError where none is known."""
        if self.device is None:
            raise InputError("a physical objective, such as latency, must be among the problem's own")
        return self.device

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
    """A number to minimise, with a unit, and the value that counts as 1 in the indicators.

    One that `predicts` looks at outputs for images. A `physical` one asks the device that networks are meant for, which
    needs filters, and may be `timed`: then it is measured for several candidates at once, so that they can take turns.
    """

    unit: ClassVar[str] = ""
    predicts: ClassVar[bool] = True
    physical: ClassVar[bool] = False
    timed: ClassVar[bool] = False

    @abstractmethod
    def measure(self, candidate: Candidate) -> float:
        """The value for one candidate, in `unit`, smaller is better."""

    def measure_all(self, candidates: Sequence[Candidate]) -> list[float]:
        """The values for several."""
        return [float(self.measure(candidate)) for candidate in candidates]

    @abstractmethod
    def reference(self, dense: Candidate) -> float:
        """What counts as 1 in the indicators, greater than 0; `dense` is the unpruned network."""
