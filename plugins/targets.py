"""Devices: the processor or GPU at hand, a table measured here or on another machine, and a formula."""

from __future__ import annotations

import copy
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import pruneframe as pf

BYTES = 4  # of a float32


@dataclass(frozen=True, repr=False)
class Analytic(pf.Target):
    """A formula: each layer takes as long as its multiply-adds or its weights do, whichever is more, and a start.

    The roofline model of Williams, Waterman and Patterson, Commun. ACM 52(4), 2009.
    """

    name = "analytic"
    speed: float = pf.setting(1e10, "multiply-adds a second", above=0)
    bandwidth: float = pf.setting(1e10, "bytes of weights a second", above=0)
    start: float = pf.setting(1e-5, "seconds that a layer takes in any case", least=0)

    def latencies(self, networks: Sequence[pf.Physical]) -> NDArray[np.float64]:
        return np.array([[self._seconds(network)] for network in networks])

    def _seconds(self, physical: pf.Physical) -> float:
        network, masks = physical.network, physical.masks
        macs, weights = network.layer_macs(masks)[0], network.layer_weights(masks)[0]
        return float(
            np.maximum(macs / self.speed, BYTES * weights / self.bandwidth).sum()
            + self.start * np.count_nonzero(weights)
        )

    def memory(self, network: pf.Physical) -> float:
        return pf.peak_memory(network.shrunk, network.network.inputs)


@dataclass(frozen=True, repr=False)
class Timed(pf.Target):
    """Real forward passes of one image: each network warms up, then all take turns in random order."""

    measured = True
    repeats: int = pf.setting(50, "timed passes of each network", least=1)
    warmup: int = pf.setting(10, "passes before them", least=0)

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
    def place(self, module: nn.Module) -> nn.Module:
        """A module where it is to run."""

    @abstractmethod
    def seconds(self, run: Callable[[], Any]) -> float:
        """How long the target takes for something."""

    @property
    @abstractmethod
    def where(self) -> str:
        """Where inputs lie, as torch calls it."""

    def latencies(self, networks: Sequence[pf.Physical]) -> NDArray[np.float64]:
        inputs = networks[0].network.inputs
        return self.series([network.shrunk for network in networks], [inputs] * len(networks))

    def series(
        self, modules: Sequence[nn.Module], inputs: Sequence[pf.Inputs | tuple[int, ...]]
    ) -> NDArray[np.float64]:
        rng = np.random.default_rng(0)
        placed = [self.place(module) for module in modules]
        images = [pf.Inputs.of(one).blank(1).to(self.where) for one in inputs]
        passes = [partial(module, image) for module, image in zip(placed, images, strict=True)]
        found = np.empty((len(modules), self.repeats))
        with torch.inference_mode():
            for one in passes:
                for _ in range(self.warmup):
                    one()
            for turn in range(self.repeats):
                for row in rng.permutation(len(passes)):
                    found[row, turn] = self.seconds(passes[row])
        return found


@dataclass(frozen=True, repr=False)
class LocalCpu(Timed):
    """This machine's processor, with the run's number of threads; memory is computed from what lives at once."""

    name = "local-cpu"
    where = "cpu"

    @property
    def hardware(self) -> str:
        return pf.processor_name()

    def place(self, module: nn.Module) -> nn.Module:
        return module.cpu().eval()

    def seconds(self, run: Callable[[], Any]) -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    def memory(self, network: pf.Physical) -> float:
        return pf.peak_memory(network.shrunk, network.network.inputs)


@dataclass(frozen=True, repr=False)
class LocalCuda(Timed):
    """This machine's first GPU; memory is what its allocator held at the peak."""

    name = "local-cuda"
    where = "cuda:0"

    @property
    def hardware(self) -> str:
        self._check()
        return torch.cuda.get_device_name(self.where)

    def _check(self) -> None:
        if not torch.cuda.is_available():
            raise pf.InputError("target local-cuda needs a GPU, but torch sees none; use local-cpu or a lookup-table")

    def place(self, module: nn.Module) -> nn.Module:
        self._check()
        return copy.deepcopy(module).to(self.where).eval()

    def seconds(self, run: Callable[[], Any]) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    def memory(self, network: pf.Physical) -> float:
        module = self.place(network.shrunk)
        image = network.network.inputs.blank(1).to(self.where)
        with torch.inference_mode():
            module(image)
            own = [image, *module.state_dict().values()]
            before = torch.cuda.memory_allocated() - sum(tensor.nbytes for tensor in own)
            torch.cuda.reset_peak_memory_stats()
            module(image)
        return float(torch.cuda.max_memory_allocated() - before)


@dataclass(frozen=True, repr=False)
class LookupTable(pf.Target):
    """A network's layers as they were once measured, at several widths, here or on another machine.

    A network's latency is the sum of its layers', each interpolated between the widths measured, and of the rest of the
    dense network. `pruneframe data PROBLEM --profile FILE` writes a table.
    """

    name = "lookup-table"
    table: str = pf.setting("", "the file")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.table:
            raise ValueError("table must name a file that pruneframe data --profile has written")

    @cached_property
    def _profile(self) -> pf.Profile:
        return pf.Profile.read(Path(self.table))

    @property
    def identity(self) -> str:
        return f"{self.name} {self._profile.digest} of {self._profile.origin}"

    def latencies(self, networks: Sequence[pf.Physical]) -> NDArray[np.float64]:
        return np.array([[self._seconds(network)] for network in networks])

    def _seconds(self, physical: pf.Physical) -> float:
        return self._profile.seconds(physical.network, physical.network.widths(physical.masks)[0])

    def memory(self, network: pf.Physical) -> float:
        return pf.peak_memory(network.shrunk, network.network.inputs)


@pf.hookimpl
def pruneframe_targets() -> Sequence[type[pf.Target]]:
    return [Analytic, LocalCpu, LocalCuda, LookupTable]
