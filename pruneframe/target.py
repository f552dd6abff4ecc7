"""Devices that networks are meant for: where latency and memory are measured, or how they are estimated."""

from __future__ import annotations

import platform
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .component import Component, setting
from .errors import Faulty, InputError, faults_of
from .mask import Masks
from .model.inputs import Inputs, Shape
from .model.memory import peak_memory
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


@dataclass(frozen=True, repr=False)
class Timed(Target):
    """Real forward passes of one image: each network warms up, then all take turns in random order.

    A target of this kind says what the hardware is called, and prepares a module to be run there.
    """

    measured = True
    repeats: int = setting(50, "timed passes of each network", least=1)
    warmup: int = setting(10, "passes before them", least=0)

    @property
    def forwards(self) -> int:
        return self.repeats + self.warmup

    @property
    def identity(self) -> str:
        return f"{self!r} on {self.hardware}"

    @property
    @abstractmethod
    def hardware(self) -> str:
        """The machine's part, as its maker calls it."""

    @abstractmethod
    def prepared(self, module: nn.Module, inputs: Inputs) -> Callable[[], Any]:
        """What runs a module there, on one image of zeros."""

    def seconds(self, run: Callable[[], Any]) -> float:
        """How long the target takes for something."""
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    def latencies(self, networks: Sequence[Physical]) -> NDArray[np.float64]:
        inputs = networks[0].network.inputs
        return self.series([network.shrunk for network in networks], [inputs] * len(networks))

    def series(self, modules: Sequence[nn.Module], inputs: Sequence[Inputs | Shape]) -> NDArray[np.float64]:
        rng = np.random.default_rng(0)
        passes = [self.prepared(module, Inputs.of(one)) for module, one in zip(modules, inputs, strict=True)]
        found = np.empty((len(modules), self.repeats))
        with torch.inference_mode():
            for one in passes:
                for _ in range(self.warmup):
                    one()
            for turn in range(self.repeats):
                for row in rng.permutation(len(passes)):
                    found[row, turn] = self.seconds(passes[row])
        return found

    def memory(self, network: Physical) -> float:
        return peak_memory(network.shrunk, network.network.inputs)


@dataclass(frozen=True)
class Gauge:
    """A target as objectives have it: what it says is looked at, and where it is wrong, that is the target's fault.

    Each function raises Faulty for what the target may not say.
    """

    target: Target

    def latencies(self, networks: Sequence[Physical]) -> NDArray[np.float64]:
        """As `Target.latencies`."""
        with faults_of("target", repr(self.target)):
            found = np.asarray(self.target.latencies(networks), dtype=np.float64)
        if found.ndim != 2 or len(found) != len(networks) or not found.size:
            raise self._faulty(f"seconds of {len(networks)} networks, a row for each", str(found.shape))
        if not np.all(np.isfinite(found) & (found > 0)):
            raise self._faulty("seconds above 0", "some that are not")
        return found

    def memory(self, network: Physical) -> float:
        """As `Target.memory`."""
        with faults_of("target", repr(self.target)):
            found = float(self.target.memory(network))
        if not 0 < found < float("inf"):
            raise self._faulty("bytes above 0", f"{found:g}")
        return found

    def _faulty(self, wanted: str, got: str) -> Faulty:
        spec = repr(self.target)
        return Faulty(f"target {spec} must give {wanted}, but gave {got}", "target", spec)


@dataclass(frozen=True)
class Meter:
    """The target of a problem with physical objectives, and whether any of them times something on it."""

    target: Target
    timed: bool

    @property
    def gauge(self) -> Gauge:
        """The target, whose answers are looked at."""
        return Gauge(self.target)

    @property
    def identity(self) -> str:
        """What the target's answers depend on; raises Faulty where it does not say."""
        with faults_of("target", repr(self.target)):
            found = self.target.identity
        if not isinstance(found, str):
            spec = repr(self.target)
            raise Faulty(f"target {spec} must say in a text what it depends on, but said {found!r}", "target", spec)
        return found

    @property
    def measured(self) -> bool:
        """Whether values vary from one measurement to the next, so that nothing must be in the way."""
        return self.timed and self.target.measured

    @property
    def forwards(self) -> int:
        """Timed passes of one image for a candidate, and as many of the unpruned network beside it.

        Raises Faulty where the target does not say how many.
        """
        if not self.timed:
            return 0
        with faults_of("target", repr(self.target)):
            found = self.target.forwards
        if not isinstance(found, int) or found < 0:
            spec = repr(self.target)
            raise Faulty(f"target {spec} must say how many forwards it takes, but said {found!r}", "target", spec)
        return 2 * found
