"""The prunable layers of a module, in forward order, and the multiply-adds of one image wherever they are computed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ..errors import InputError
from ..mask import Group
from .acceptance import check_repeatable, one_tensor
from .inputs import Inputs, Shape
from .trace import device_of

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
PRUNABLE = (*CONVOLUTIONS, nn.Linear)
PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")  # in no layers, but in attention


@dataclass(frozen=True)
class Layer:
    """A prunable layer; its multiply-adds for one image are (weights) x (positions).

    Projections inside attention are layers, too, named as `attention.in_proj`, which is no module.
    """

    name: str  # in the module, as `get_submodule` takes it where it is a module
    shape: tuple[int, ...]  # of its weights: outputs, inputs of a group, and a convolution's kernel
    positions: int  # how often its weights are used for one image: pixels, or tokens; 1 for a row of features
    convolutional: bool  # else linear
    parameter: str  # its weights, in the state dict
    turned: int = 0  # groups of a transposed convolution, whose weights have inputs before outputs; 0 for all others

    @property
    def weights(self) -> int:
        """Number of its weights, without the bias."""
        return math.prod(self.shape)

    @property
    def outputs(self) -> int:
        """Channels, or features, that it gives out."""
        first, second = self.shape[:2]
        return self.turned * second if self.turned else first

    @property
    def owner(self) -> str:
        """The module that holds its weights."""
        return self.parameter.rpartition(".")[0]

    def group(self, size: int) -> Group:
        """So many units of it, without slices: single weights where they are all of them."""
        return Group(self.name, size, self.shape, (), self.parameter, self.turned)


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

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here; to keep torch's compiler away takes its import, which is as long as torch's own."""
        return False

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


def survey(module: nn.Module, inputs: Inputs | Shape) -> Survey:
    """Run blank images through a module; raises InputError where it cannot be pruned as it is, with the remedy."""
    inputs = Inputs.of(inputs)
    fast, fused = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    try:
        # One kernel for a whole layer, in which nothing is counted: of attention, and of an LSTM.
        torch.backends.mha.set_fastpath_enabled(False)
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment] # a property
        with _must_run(inputs), torch.no_grad(), Census(module.named_parameters()) as census:
            out = module(inputs.blank(1).to(device_of(module)))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.backends.mkldnn.enabled = fused
    outputs = one_tensor(out).shape[1]
    with _must_run(inputs):
        check_repeatable(module, inputs.random(2).to(device_of(module)))
    layers, others, rest = [], [], {}
    for parameter, macs in census.macs.items():
        layer = _layer(module, parameter, macs)
        if layer is not None:
            layers.append(layer)
        else:
            name = parameter.rpartition(".")[0]
            others.append(f"{name} ({type(module.get_submodule(name)).__name__})")
            rest[parameter] = macs
    _check_apart(module, layers)
    return Survey(tuple(layers), int(outputs), sum(census.macs.values()), tuple(dict.fromkeys(others)), rest)


@contextmanager
def _must_run(inputs: Inputs) -> Iterator[None]:
    """Raise InputError for whatever a network raises."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # a network may fail in any way
        reason = str(error).splitlines()[0] if str(error) else "it has no parameters"
        ids = "" if inputs.vocabulary is None else f" of token ids below {inputs.vocabulary}"
        raise InputError(f"the network must run on one image of shape {inputs.shape}{ids}, but: {reason}") from error


def _layer(module: nn.Module, parameter: str, macs: int) -> Layer | None:
    """The layer whose weights a parameter is, with so many multiply-adds; None where it cannot be pruned."""
    name, _, leaf = parameter.rpartition(".")
    owner: Any = module.get_submodule(name)
    shape = tuple(module.get_parameter(parameter).shape)
    if leaf in PROJECTIONS and isinstance(owner, nn.MultiheadAttention):
        return Layer(f"{name}.{leaf.removesuffix('_weight')}", shape, macs // math.prod(shape), False, parameter)
    if leaf != "weight" or not isinstance(owner, PRUNABLE):
        return None
    turned = owner.groups if isinstance(owner, TRANSPOSED) else 0
    return Layer(name, shape, macs // math.prod(shape), isinstance(owner, CONVOLUTIONS), parameter, turned)


def _check_apart(module: nn.Module, layers: Sequence[Layer]) -> None:
    """Raise InputError where two modules share a layer's weights: a mask of one would prune the other."""
    owned = {layer.parameter: module.get_parameter(layer.parameter) for layer in layers}
    for name, other in module.named_modules():
        for leaf, parameter in other.named_parameters(recurse=False):
            for layer, weight in owned.items():
                if layer != f"{name}.{leaf}".lstrip(".") and parameter is weight:
                    first, second = sorted((layer.rpartition(".")[0], name))
                    raise InputError(f"layers must not share weights, but {first} and {second} do; give each its own")
