"""Profiles: how long a network's layers take at several widths, measured once, to be looked up elsewhere."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .errors import InputError
from .files import read_json, write_whole
from .model.layers import CONVOLUTIONS, PRUNABLE, TRANSPOSED, Layer
from .model.network import Network
from .model.rules import loses_groups
from .target import Target

FORMAT = 2
POINTS = 6  # widths at which a layer is measured, at most, for its outputs and for its inputs


@dataclass(frozen=True)
class Timings:
    """One layer's median seconds, [outputs][inputs], at widths in channels that end with the dense layer's.

    Raises ValueError where that is not so.
    """

    name: str
    positions: int  # output pixels, as in `Layer`
    shape: list[int]  # of the dense layer's weights, as in `Layer`
    groups: int
    outputs: list[int]
    inputs: list[int]
    seconds: list[list[float]]

    def __post_init__(self) -> None:
        for widths, last in zip((self.outputs, self.inputs), self.shape[:2], strict=True):
            rising = [0, *widths] == sorted({0, *widths})
            if not (rising and widths[-1:] == [last]):
                raise ValueError(f"widths must rise to {last} in layer {self.name!r}, but are {widths}")
        if [len(row) for row in self.seconds] != [len(self.inputs)] * len(self.outputs):
            raise ValueError(f"each width of layer {self.name!r} must have its seconds")
        if not all(0 < value < math.inf for row in self.seconds for value in row):
            raise ValueError(f"seconds of layer {self.name!r} must be greater than 0 and finite")

    def at(self, outputs: int, inputs: int) -> float:
        """Interpolated between the widths, linearly in each; nothing for a layer that is gone."""
        if not outputs:
            return 0.0
        rows = [np.interp(inputs, self.inputs, seconds) for seconds in self.seconds]
        return float(np.interp(outputs, self.outputs, rows))


@dataclass(frozen=True)
class Profile:
    """All layers of a network, and how they make up the whole of it; raises ValueError where they cannot."""

    target: str  # what timed it, with its machine
    environment: dict[str, Any]  # where it was measured
    rest: float  # seconds that the dense network takes beyond its layers
    scale: float  # by which its layers are faster together, where they are
    layers: tuple[Timings, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.environment, dict):
            raise ValueError(f"environment must be an object, but is {self.environment!r}")
        if not (0 <= self.rest < math.inf and 0 < self.scale <= 1):
            raise ValueError(f"rest >= 0 and 0 < scale <= 1 must hold, but they are {self.rest} and {self.scale}")

    @property
    def origin(self) -> str:
        """Where it was measured: the target, with its machine, and the threads."""
        return f"{self.environment.get('threads', '?')} thread(s) of {self.target}"

    @classmethod
    def measure(cls, network: Network, target: Target, environment: dict[str, Any]) -> Profile:
        """Time every layer alone, and the whole network; raises InputError where the target times nothing."""
        sizes = _input_sizes(network)
        layers = tuple(_time(network, layer, sizes.get(layer.name), target) for layer in network.layers)
        whole = float(np.median(target.series([network.module], [network.inputs])))
        alone = sum(layer.seconds[-1][-1] for layer in layers)
        return cls(target.identity, environment, max(0.0, whole - alone), min(1.0, whole / alone), layers)

    @classmethod
    def read(cls, path: Path) -> Profile:
        """From a file; raises InputError when it is none."""
        try:
            found = read_json(path)
            if found.pop("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            return cls(**found | {"layers": tuple(Timings(**layer) for layer in found["layers"])})
        except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} must be a profile of a network, but cannot be read ({error})") from error

    def write(self, path: Path) -> None:
        """Save it, whole or not at all."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"
        write_whole(path, lambda file: file.write(text.encode()))

    @property
    def dense(self) -> float:
        """Seconds of the dense network."""
        return self.rest + self.scale * sum(layer.seconds[-1][-1] for layer in self.layers)

    @property
    def digest(self) -> str:
        """16 hex digits over everything."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def seconds(self, network: Network, widths: NDArray[np.int64]) -> float:
        """A forward pass with layers of these widths, int64[layers, 2], output and input channels.

        Raises InputError where the profile is another network's.
        """
        own = [(layer.name, layer.positions, *_shape(network, layer)) for layer in network.layers]
        timed = [(layer.name, layer.positions, layer.shape, layer.groups) for layer in self.layers]
        if own != timed:
            other = next(one for one, two in zip_longest(own, timed) if one != two) or timed[len(own)]
            raise InputError(f"the profile must be this network's, but they differ in layer {other[0]!r}")
        return self.rest + self.scale * sum(layer.at(*wide) for layer, wide in zip(self.layers, widths, strict=True))


def _time(network: Network, layer: Layer, size: tuple[int, ...] | None, target: Target) -> Timings:
    """One layer at several widths; `size` is that of its input behind the channels, None where nothing calls it.

    Raises InputError for a linear layer that is not fed one row of features, and for one that is no module of its own.
    """
    module = network.module.get_submodule(layer.owner)
    if size is None:
        raise InputError(
            f"layer {layer.name!r} must be called by itself to be timed alone, but is a part of another module; use a "
            "target that needs no table, such as local-cpu"
        )
    if isinstance(module, nn.Linear) and size:
        raise InputError(f"layer {layer.name!r} must be fed rows of features to be timed alone, but is fed more")
    shape, groups = _shape(network, layer)
    outputs, inputs = (_steps(width, least) for width, least in zip(shape, _least(module), strict=False))
    twins = [_resized(module, out, ins) for out in outputs for ins in inputs]
    widths = [twin.weight.shape[0] if layer.turned else twin.weight.shape[1] * _groups(twin) for twin in twins]
    shapes = [(width, *size) for width in widths]
    seconds = np.median(target.series(twins, shapes), axis=1)
    table = seconds.reshape(len(outputs), len(inputs)).tolist()
    return Timings(layer.name, layer.positions, shape, groups, outputs, inputs, table)


def _shape(network: Network, layer: Layer) -> tuple[list[int], int]:
    """Of a layer's weights, and its groups."""
    return list(layer.shape), _groups(network.module.get_submodule(layer.owner))


def _groups(module: nn.Module) -> int:
    """Of a convolution; 1 of a linear layer."""
    return int(getattr(module, "groups", 1))


def _least(module: nn.Module) -> tuple[int, int]:
    """By how much a layer's weights shrink at least along both sides; all of a side is never removed."""
    if not isinstance(module, CONVOLUTIONS) or module.groups == 1:
        return 1, 1
    first, second = module.weight.shape[:2]
    return (first // module.groups, second) if loses_groups(module) else (module.groups, 1)


def _steps(width: int, least: int) -> list[int]:
    """Widths from the least to all, evenly spread, in multiples of the least."""
    number = width // least
    return sorted({least * max(1, round(number * step / (POINTS - 1))) for step in range(POINTS)})


def _resized(module: nn.Module, first: int, second: int) -> Any:
    """A layer like this one, of other widths.

    The widths are those of its weights' first two sides: outputs and inputs, of a transposed convolution inputs first.
    """
    twin: Any = copy.deepcopy(module)
    assert isinstance(twin, PRUNABLE)
    if isinstance(twin, CONVOLUTIONS) and loses_groups(twin):
        twin.groups = twin.groups * first // twin.weight.shape[0]
    twin.weight = nn.Parameter(torch.zeros(first, second, *twin.weight.shape[2:]), requires_grad=False)
    if twin.bias is not None:
        outputs = second * _groups(twin) if isinstance(twin, TRANSPOSED) else first
        twin.bias = nn.Parameter(torch.zeros(outputs), requires_grad=False)
    return twin


def _input_sizes(network: Network) -> dict[str, tuple[int, ...]]:
    """Behind the channels, the shape of what enters each layer that is called by itself."""
    sizes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda module, inputs: sizes.update({name: tuple(inputs[0].shape[2:])})

    modules = dict(network.module.named_modules())
    names = [layer.name for layer in network.layers if layer.name in modules]
    hooks = [modules[name].register_forward_pre_hook(note(name)) for name in names]
    try:
        with torch.inference_mode():
            network.module(network.inputs.blank(1))
    finally:
        for hook in hooks:
            hook.remove()
    return sizes
