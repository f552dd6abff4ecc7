"""Activations: how the kernel bends what a step computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .plan import Unsupported

# Mirrors Curve in kernel.cpp, in its order.
NAMES = (
    *("nothing", "relu", "relu6", "leaky_relu", "hardswish", "hardsigmoid"),
    *("sigmoid", "silu", "gelu", "gelu_tanh", "elu", "tanh"),
)


@dataclass(frozen=True)
class Curve:
    """An activation by its number in the kernel; `bend`: the slope of a leaky ReLU below 0, the alpha of an ELU."""

    number: int
    bend: float = 0.0

    @property
    def monotone(self) -> bool:
        """Whether the largest of some values stays so, and the kernel may bend them before or after it is chosen."""
        return self.number <= NAMES.index("relu6")


NOTHING = Curve(0)
SAME = {  # torch's modules and functions of one setting at most: which curve each is
    "relu": (nn.ReLU, F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"),
    "relu6": (nn.ReLU6, F.relu6),
    "leaky_relu": (nn.LeakyReLU, F.leaky_relu, F.leaky_relu_),
    "hardswish": (nn.Hardswish, F.hardswish),
    "hardsigmoid": (nn.Hardsigmoid, F.hardsigmoid),
    "sigmoid": (nn.Sigmoid, F.sigmoid, torch.sigmoid, torch.sigmoid_, "sigmoid", "sigmoid_"),
    "silu": (nn.SiLU, F.silu),
    "gelu": (nn.GELU, F.gelu),
    "elu": (nn.ELU, F.elu, F.elu_),
    "tanh": (nn.Tanh, F.tanh, torch.tanh, torch.tanh_, "tanh", "tanh_"),
}
KNOWN: dict[Any, str] = {target: name for name, targets in SAME.items() for target in targets}


def of_module(module: nn.Module) -> Curve:
    """The curve of one of torch's modules."""
    name, setting = KNOWN[type(module)], 0.0
    if isinstance(module, nn.GELU):
        return _gelu(module.approximate)
    if isinstance(module, nn.LeakyReLU):
        setting = module.negative_slope
    if isinstance(module, nn.ELU):
        setting = module.alpha
    return Curve(NAMES.index(name), setting)


def of_call(target: Any, settings: tuple[Any, ...], named: dict[str, Any]) -> Curve:
    """The curve of one of torch's functions with the settings that it is given behind the tensor."""
    name = KNOWN[target]
    given = dict(zip(_SETTINGS.get(name, ("inplace",)), settings, strict=False)) | named
    if name == "gelu":
        return _gelu(given.get("approximate", "none"))
    if name == "elu" and (given.get("scale", 1.0), given.get("input_scale", 1.0)) != (1.0, 1.0):
        raise Unsupported("it scales an ELU")
    bend = {"leaky_relu": given.get("negative_slope", 0.01), "elu": given.get("alpha", 1.0)}
    return Curve(NAMES.index(name), float(bend.get(name, 0.0)))


_SETTINGS = {"leaky_relu": ("negative_slope", "inplace"), "elu": ("alpha", "inplace"), "gelu": ("approximate",)}


def _gelu(approximate: str) -> Curve:
    return Curve(NAMES.index("gelu_tanh" if approximate == "tanh" else "gelu"))
