"""Devices that networks are meant for: where latency and memory are measured, or how they are estimated."""

from __future__ import annotations

import platform
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .component import Component
from .errors import InputError
from .mask import Masks
from .model.inputs import Inputs, Shape
from .model.network import Network


@cache
def processor_name() -> str:
    """This machine's processor, as its maker calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


class Physical(Protocol):
    """A pruned network as a target sees it."""

    @property
    def network(self) -> Network:
        """The dense network that it was made of."""

    @property
    def masks(self) -> Masks:
        """Its mask, one."""

    @property
    def shrunk(self) -> nn.Module:
        """The physically smaller module; for units that can be taken out."""


@dataclass(frozen=True, repr=False)
class Target(Component):
    """Latency and memory of one image's forward pass. `measured`: values vary from one measurement to the next.

    `forwards` timed passes of one image, warm-up included, are charged per candidate.
    """

    kind = "target"
    measured: ClassVar[bool] = False

    @property
    def forwards(self) -> int:
        """Passes of one image that one candidate's latency takes."""
        return 0

    @property
    def identity(self) -> str:
        """What the answers depend on: the settings, the machine where it measures, the contents of a file."""
        return repr(self)

    def series(self, modules: Sequence[nn.Module], inputs: Sequence[Inputs | Shape]) -> NDArray[np.float64]:
        """Seconds of each module for one of its inputs, float64[modules, repeats]; all take turns.

        Raises InputError where nothing can be timed.
        """
        raise InputError(f"target {self!r} times nothing; name one that does, such as local-cpu")

    @abstractmethod
    def latencies(self, networks: Sequence[Physical]) -> NDArray[np.float64]:
        """Seconds, float64[networks, repeats], one column where they are estimated; measured ones take turns.

        Estimates ask masks and widths alone, which cost nothing; the shrunk network is charged for measured ones.
        Raises InputError where the network cannot be judged here.
        """

    @abstractmethod
    def memory(self, network: Physical) -> float:
        """Bytes at the peak of a forward pass: weights, and the activations that live at the same time."""


@dataclass(frozen=True)
class Meter:
    """The target of a problem with physical objectives, and whether any of them times something on it."""

    target: Target
    timed: bool

    @property
    def measured(self) -> bool:
        """Whether values vary from one measurement to the next, so that nothing must be in the way."""
        return self.timed and self.target.measured

    @property
    def forwards(self) -> int:
        """Timed passes of one image for a candidate, and as many of the unpruned network beside it."""
        return 2 * self.target.forwards if self.timed else 0
