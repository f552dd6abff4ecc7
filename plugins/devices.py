"""Devices: the processor or GPU at hand, a table measured here or on another machine, and a formula."""

from __future__ import annotations

import copy
import platform
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
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

import pruneframe as pf
from pruneframe.device import Device, Physical
from pruneframe.profile import Profile

BYTES = 4  # of a float32
VIEWS = (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d)
VIEW_CALLS = (torch.flatten, torch.reshape, torch.squeeze, "flatten", "view", "reshape", "squeeze", "contiguous")


def peak_memory(module: nn.Module, input_shape: tuple[int, ...]) -> float:
    """Bytes of all parameters and buffers, and of the values that live at once in one image's forward pass, at most.

    A value lives from where it is computed to its last use; what only looks at another in another shape, or writes in
    its place, takes nothing; but torch.fx sees x += y as x + y. Raises InputError if torch.fx cannot trace the module.
    """
    try:
        traced = fx.symbolic_trace(module)
        with torch.inference_mode():
            ShapeProp(traced).propagate(torch.zeros(1, *input_shape))
    except Exception as error:  # fx raises whatever the traced code raises
        reason = f"memory needs a network that torch.fx can trace, but tracing fails with: {error}"
        raise pf.InputError(reason) from error
    owner: dict[fx.Node, fx.Node] = {}
    born: dict[fx.Node, int] = {}
    dies: dict[fx.Node, int] = {}
    for place, node in enumerate(traced.graph.nodes):
        owner[node] = owner[node.all_input_nodes[0]] if _shares(node, module) else node
        born.setdefault(owner[node], place)
        for used in (node, *node.all_input_nodes):
            dies[owner[used]] = place
    sizes = {node: _bytes(node) for node in born if node.op not in ("get_attr", "output")}
    lives = np.zeros(len(owner))
    for node, size in sizes.items():
        lives[born[node] : dies[node] + 1] += size
    return float(sum(tensor.nbytes for tensor in module.state_dict().values()) + lives.max())


def _shares(node: fx.Node, module: nn.Module) -> bool:
    """Whether a node's value lies where its first input's does."""
    if node.op == "call_module":
        called = module.get_submodule(str(node.target))
        return isinstance(called, VIEWS) or getattr(called, "inplace", False)
    if node.op == "call_method":
        name = str(node.target)
        return name in VIEW_CALLS or (name.endswith("_") and not name.endswith("__"))
    if node.op == "call_function":
        named = node.normalized_arguments(module, normalize_to_only_use_kwargs=True)
        inplace = (named.kwargs if named else node.kwargs).get("inplace", False)
        return node.target in VIEW_CALLS or bool(inplace)
    return False


def _bytes(node: fx.Node) -> float:
    """Of the tensor that a node computes, if it is one."""
    shape = getattr(node.meta.get("tensor_meta"), "shape", None)
    return 0.0 if shape is None else float(BYTES * np.prod(shape))


@dataclass(frozen=True, repr=False)
class Analytic(Device):
    """A formula: each layer takes as long as its multiply-adds or its weights do, whichever is more, and a start.

    The roofline model of Williams, Waterman and Patterson, Commun. ACM 52(4), 2009.
    """

    name = "analytic"
    speed: float = pf.setting(1e10, "multiply-adds a second", above=0)
    bandwidth: float = pf.setting(1e10, "bytes of weights a second", above=0)
    start: float = pf.setting(1e-5, "seconds that a layer takes in any case", least=0)

    def latencies(self, networks: Sequence[Physical]) -> NDArray[np.float64]:
        return np.array([[self._seconds(network)] for network in networks])

    def _seconds(self, physical: Physical) -> float:
        network, masks = physical.network, physical.masks
        macs, weights = network.layer_macs(masks)[0], network.layer_weights(masks)[0]
        return float(np.maximum(macs / self.speed, BYTES * weights / self.bandwidth).sum() + self.start * len(macs))

    def memory(self, network: Physical) -> float:
        return peak_memory(network.shrunk, network.network.input_shape)


@dataclass(frozen=True, repr=False)
class Timed(Device):
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
        """How long the device takes for something."""

    @property
    @abstractmethod
    def where(self) -> str:
        """Where inputs lie, as torch calls it."""

    def latencies(self, networks: Sequence[Physical]) -> NDArray[np.float64]:
        shape = networks[0].network.input_shape
        return self.series([network.shrunk for network in networks], [shape] * len(networks))

    def series(self, modules: Sequence[nn.Module], shapes: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
        rng = np.random.default_rng(0)
        placed = [self.place(module) for module in modules]
        inputs = [torch.zeros(1, *shape, device=self.where) for shape in shapes]
        passes = [partial(module, image) for module, image in zip(placed, inputs, strict=True)]
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
        try:
            lines = Path("/proc/cpuinfo").read_text().splitlines()
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        except (OSError, StopIteration):
            return platform.processor() or platform.machine()

    def place(self, module: nn.Module) -> nn.Module:
        return module.cpu().eval()

    def seconds(self, run: Callable[[], Any]) -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    def memory(self, network: Physical) -> float:
        return peak_memory(network.shrunk, network.network.input_shape)


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
            raise pf.InputError("device local-cuda needs a GPU, but torch sees none; use local-cpu or a lookup-table")

    def place(self, module: nn.Module) -> nn.Module:
        self._check()
        return copy.deepcopy(module).to(self.where).eval()

    def seconds(self, run: Callable[[], Any]) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    def memory(self, network: Physical) -> float:
        module = self.place(network.shrunk)
        image = torch.zeros(1, *network.network.input_shape, device=self.where)
        with torch.inference_mode():
            module(image)
            own = [image, *module.state_dict().values()]
            before = torch.cuda.memory_allocated() - sum(tensor.nbytes for tensor in own)
            torch.cuda.reset_peak_memory_stats()
            module(image)
        return float(torch.cuda.max_memory_allocated() - before)


@dataclass(frozen=True, repr=False)
class LookupTable(Device):
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
    def _profile(self) -> Profile:
        return Profile.read(Path(self.table))

    @property
    def identity(self) -> str:
        return f"{self.name} {self._profile.digest} of {self._profile.origin}"

    def latencies(self, networks: Sequence[Physical]) -> NDArray[np.float64]:
        return np.array([[self._seconds(network)] for network in networks])

    def _seconds(self, physical: Physical) -> float:
        return self._profile.seconds(physical.network, physical.network.widths(physical.masks)[0])

    def memory(self, network: Physical) -> float:
        return peak_memory(network.shrunk, network.network.input_shape)


@pf.hookimpl
def pruneframe_devices() -> Sequence[type[Device]]:
    return [Analytic, LocalCpu, LocalCuda, LookupTable]
