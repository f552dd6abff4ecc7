"""Devices: the processor or GPU at hand, a table measured here or on another machine, and a formula."""

from __future__ import annotations

import copy
import time
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
GPU = "cuda:0"


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
class LocalCpu(pf.Timed):
    """This machine's processor, with the run's number of threads; memory is computed from what lives at once."""

    name = "local-cpu"

    @property
    def hardware(self) -> str:
        return pf.processor_name()

    def prepared(self, module: nn.Module, inputs: pf.Inputs) -> Callable[[], Any]:
        return partial(module.cpu().eval(), inputs.blank(1))


@dataclass(frozen=True, repr=False)
class LocalCuda(pf.Timed):
    """This machine's first GPU; memory is what its allocator held at the peak."""

    name = "local-cuda"

    @property
    def hardware(self) -> str:
        self._check()
        return torch.cuda.get_device_name(GPU)

    def _check(self) -> None:
        if not torch.cuda.is_available():
            raise pf.InputError("target local-cuda needs a GPU, but torch sees none; use local-cpu or a lookup-table")

    def prepared(self, module: nn.Module, inputs: pf.Inputs) -> Callable[[], Any]:
        return partial(self._placed(module), inputs.blank(1).to(GPU))

    def _placed(self, module: nn.Module) -> nn.Module:
        self._check()
        return copy.deepcopy(module).to(GPU).eval()

    def seconds(self, run: Callable[[], Any]) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    def memory(self, network: pf.Physical) -> float:
        module = self._placed(network.shrunk)
        image = network.network.inputs.blank(1).to(GPU)
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
