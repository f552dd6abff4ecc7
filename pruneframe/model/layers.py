"""The prunable layers of a module, in forward order, and the multiply-adds of one image wherever they are computed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ..errors import InputError
from .acceptance import check_repeatable, one_tensor
from .trace import device_of

PRUNABLE = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class Layer:
    """A prunable layer; its multiply-adds for one image are (weights) x (positions)."""

    name: str  # in the module, as `get_submodule` takes it
    shape: tuple[int, ...]  # of its weights: outputs, inputs of a group, and a convolution's kernel
    positions: int  # how often its weights are used for one image: output pixels, or tokens; 1 for a row of features
    convolutional: bool  # else linear

    @property
    def weights(self) -> int:
        """Number of its weights, without the bias."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Survey:
    """What one pass over one image shows: prunable layers, outputs, and all multiply-adds with parameters."""

    layers: tuple[Layer, ...]
    outputs: int
    macs: int
    others: tuple[str, ...]  # what multiplies as well, and is no prunable layer, with its class
    rest: dict[str, int]  # the multiply-adds of its parameters, by name


class Census(TorchDispatchMode):
    """Counts the multiply-adds of whatever torch computes meanwhile, by the parameter that they read.

    As output elements times weights per output, by torch's own formulas; products of two activations count nothing.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
        super().__init__()
        self._owners = {parameter.untyped_storage().data_ptr(): name for name, parameter in parameters}
        self.macs: dict[str, int] = {}  # by parameter, in the order of their first use

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            macs = formula(*args, **(kwargs or {}), out_val=out) // 2
            for tensor in (leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.dim() > 1):
                name = self._owners.get(tensor.untyped_storage().data_ptr())
                if name is not None:
                    self.macs[name] = self.macs.get(name, 0) + macs
        return out


def survey(module: nn.Module, input_shape: tuple[int, ...]) -> Survey:
    """Run blank images through a module; raises InputError where it cannot be pruned as it is, with the remedy."""
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # one kernel for a whole layer, in which nothing is counted
        image = torch.zeros(1, *input_shape, device=device_of(module))
        with torch.no_grad(), Census(module.named_parameters()) as census:
            out = module(image)
    except Exception as error:  # a network may fail in any way
        reason = str(error).splitlines()[0] if str(error) else "it has no parameters"
        raise InputError(f"the network must run on one image of shape {input_shape}, but: {reason}") from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    outputs = one_tensor(out).shape[1]
    check_repeatable(module, torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0)).to(image.device))
    modules = dict(module.named_modules())
    layers, others, rest = [], [], {}
    for parameter, macs in census.macs.items():
        name, _, leaf = parameter.rpartition(".")
        owner = modules[name]
        if leaf == "weight" and isinstance(owner, PRUNABLE):
            shape = tuple(owner.weight.shape)
            layers.append(Layer(name, shape, macs // math.prod(shape), isinstance(owner, nn.Conv2d)))
        else:
            others.append(f"{name} ({type(owner).__name__})")
            rest[parameter] = macs
    _check_apart(module, layers)
    return Survey(tuple(layers), int(outputs), sum(census.macs.values()), tuple(dict.fromkeys(others)), rest)


def _check_apart(module: nn.Module, layers: Sequence[Layer]) -> None:
    """Raise InputError where two layers share their weights: a mask of one would prune the other."""
    owned = {layer.name: module.get_parameter(f"{layer.name}.weight") for layer in layers}
    for name, other in module.named_modules(remove_duplicate=True):
        if isinstance(other, PRUNABLE):
            for layer, weight in owned.items():
                if layer != name and other.weight is weight:
                    first, second = sorted((layer, name))
                    raise InputError(f"layers must not share weights, but {first} and {second} do; give each its own")
