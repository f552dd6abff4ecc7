"""Which filters can be removed, read off the network's torch.fx graph.

A filter may go when everything that reads it is known: its batch norm, element-wise and pooling operations that map
zero to zero, and the next layers. Filters that reach a residual addition, a concatenation, the network's output or an
operation not listed here stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import getitem

import torch
import torch.nn.functional as F
from torch import fx, nn

from .errors import InputError

ZERO_TO_ZERO = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.Tanh,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Dropout2d,
    nn.Identity,
    nn.Flatten,
)
ZERO_TO_ZERO_FUNCTIONS = {
    F.relu,
    F.relu6,
    F.leaky_relu,
    F.gelu,
    F.silu,
    F.hardswish,
    F.max_pool2d,
    F.avg_pool2d,
    F.adaptive_avg_pool2d,
    F.dropout,
    torch.relu,
    torch.tanh,
    torch.flatten,
}
ZERO_TO_ZERO_METHODS = {"relu", "tanh", "flatten", "view", "reshape", "contiguous"}


@dataclass(frozen=True)
class FilterGroup:
    """The filters of one layer, and the parameters that go with them."""

    layer: str
    vectors: tuple[str, ...]  # parameters whose first dimension counts these filters
    readers: tuple[tuple[str, int], ...]  # weights whose second dimension reads them, and inputs per filter


def filter_groups(module: nn.Module, layers: list[str]) -> tuple[FilterGroup, ...]:
    """The removable filters, layer by layer in forward order; raises InputError if torch.fx cannot trace the module."""
    try:
        graph = fx.symbolic_trace(module).graph
    except Exception as error:  # fx raises whatever the traced code raises
        raise InputError(
            f"filters need a network that torch.fx can trace, but tracing fails with: {error}; use units=weight"
        ) from error
    groups = []
    for name in layers:
        calls = [node for node in graph.nodes if node.op == "call_module" and node.target == name]
        if len(calls) == 1:
            group = _group(module, name, calls[0])
            if group is not None:
                groups.append(group)
    return tuple(groups)


def _group(module: nn.Module, name: str, call: fx.Node) -> FilterGroup | None:
    """The group that starts at one layer's call, or None where its filters must stay."""
    layer = module.get_submodule(name)
    if getattr(layer, "groups", 1) != 1:
        return None
    filters = module.get_parameter(f"{name}.weight").shape[0]
    vectors = [f"{name}.weight"] + ([f"{name}.bias"] if layer.bias is not None else [])
    readers: list[tuple[str, int]] = []
    open_nodes = list(call.users)
    while open_nodes:
        node = open_nodes.pop(0)
        target = module.get_submodule(node.target) if node.op == "call_module" else node.target  # type: ignore[arg-type]
        if isinstance(target, nn.Conv2d | nn.Linear):
            inputs = int(target.weight.shape[1])
            if getattr(target, "groups", 1) != 1 or inputs % filters or not _runs_once(node):
                return None
            readers.append((f"{node.target}.weight", inputs // filters))
        elif isinstance(target, nn.BatchNorm1d | nn.BatchNorm2d):
            if target.num_features != filters or not target.affine or not _runs_once(node):
                return None
            vectors += [f"{node.target}.weight", f"{node.target}.bias"]
            open_nodes += node.users
        elif _passes_zero(node, target):
            open_nodes += node.users
        elif not _asks_size(node):
            return None
    return FilterGroup(name, tuple(vectors), tuple(readers)) if readers else None


def _runs_once(node: fx.Node) -> bool:
    return sum(other.target == node.target for other in node.graph.nodes) == 1


def _passes_zero(node: fx.Node, target: object) -> bool:
    if node.op == "call_module":
        return isinstance(target, ZERO_TO_ZERO)
    if node.op == "call_method" and target in ("view", "reshape"):
        return len(node.args) == 3 and _are(node.args[2:], -1)  # flattening all but the batch
    if node.op == "call_method":
        return target in ZERO_TO_ZERO_METHODS
    if target is torch.flatten:
        return _are(node.args[1:], 1)
    return node.op == "call_function" and target in ZERO_TO_ZERO_FUNCTIONS


def _asks_size(node: fx.Node) -> bool:
    """A question for the batch size, as in `x.view(x.size(0), -1)`; the number of channels must not be asked for."""
    if node.op == "call_method" and node.target == "size":
        return _are(node.args[1:], 0)
    if node.op == "call_function" and node.target is getattr and node.args[1] == "shape":
        return all(user.target is getitem and _are(user.args[1:], 0) for user in node.users)
    return False


def _are(arguments: Sequence[object], *wanted: int) -> bool:
    """Whether a call's arguments are exactly these numbers, and not values known only when the network runs."""
    return all(isinstance(argument, int) for argument in arguments) and list(arguments) == list(wanted)
