"""Which filters can be removed, read off the network's torch.fx graph and the shapes of what it computes.

A filter may go when everything that reads it is known: its batch norm, element-wise and pooling operations that map
zero to zero, and the next layers. Filters that reach a residual addition, a concatenation, the network's output or an
operation not listed here stay.
"""

from __future__ import annotations

from operator import getitem
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import fx, nn

from ..errors import InputError
from ..mask import Group, Slices
from .trace import calls, shape, trace

if TYPE_CHECKING:
    from .network import Network

ELEMENTWISE: tuple[type[nn.Module], ...] = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.Hardswish)
ELEMENTWISE += (nn.Dropout, nn.Dropout2d, nn.Identity)
ELEMENTWISE_FUNCTIONS = {F.relu, F.relu6, F.leaky_relu, F.gelu, F.silu, F.hardswish, F.dropout, torch.relu, torch.tanh}
ELEMENTWISE_METHODS = {"relu", "tanh", "contiguous"}
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
POOLING_FUNCTIONS = {F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d}
FLATTENING_FUNCTIONS = {torch.flatten, torch.reshape}
FLATTENING_METHODS = {"flatten", "view", "reshape"}
IMAGES = 2  # traced at once, so that the batch is told apart from other dimensions of size 1


def filter_groups(network: Network) -> tuple[Group, ...]:
    """The removable filters, layer by layer in forward order; raises InputError if torch.fx cannot trace the module."""
    try:
        traced = trace(network.module, network.input_shape, "filters need", IMAGES)
    except InputError as error:
        raise InputError(f"{error}; use units=weight") from error
    groups = []
    for layer in network.layers:
        called = calls(traced, layer.name)
        group = _group(network.module, layer.name, called[0]) if len(called) == 1 else None
        if group is not None:
            groups.append(group)
    return tuple(groups)


def _group(module: nn.Module, name: str, call: fx.Node) -> Group | None:
    """The group that starts at one layer's call, or None where its filters must stay."""
    layer = module.get_submodule(name)
    filters = module.get_parameter(f"{name}.weight").shape[0]
    if getattr(layer, "groups", 1) != 1 or not _holds(call, layer, filters):
        return None
    writers = [f"{name}.weight"] + ([f"{name}.bias"] if layer.bias is not None else [])
    readers: list[Slices] = []
    open_nodes = list(call.users)
    while open_nodes:
        node = open_nodes.pop(0)
        target = module.get_submodule(node.target) if node.op == "call_module" else node.target  # type: ignore[arg-type]
        if isinstance(target, nn.Conv2d | nn.Linear):
            inputs = int(target.weight.shape[1])
            if getattr(target, "groups", 1) != 1 or inputs % filters or not _runs_once(node):
                return None
            if len(shape(node.all_input_nodes[0])) != (4 if isinstance(target, nn.Conv2d) else 2):
                return None  # a linear layer on feature maps reads pixels, not filters
            readers.append(Slices(f"{node.target}.weight", 1, inputs // filters))
        elif isinstance(target, nn.BatchNorm1d | nn.BatchNorm2d):
            if target.num_features != filters or not target.affine or not _runs_once(node):
                return None
            writers += [f"{node.target}.weight", f"{node.target}.bias"]
            open_nodes += node.users
        elif _passes_zero(node, target):
            open_nodes += node.users
        elif not _asks_size(node):
            return None
    if not readers:
        return None
    own, shape_of_weights = (Slices(writer, 0) for writer in writers), module.get_parameter(f"{name}.weight").shape
    return Group(name, filters, tuple(shape_of_weights), (*own, *readers))


def _holds(node: fx.Node, layer: nn.Module, filters: int) -> bool:
    """Whether outputs are [images, filters, height, width] of a convolution or [images, filters] of a linear layer."""
    found = shape(node)
    return len(found) == (4 if isinstance(layer, nn.Conv2d) else 2) and found[:2] == (IMAGES, filters)


def _runs_once(node: fx.Node) -> bool:
    return sum(other.target == node.target for other in node.graph.nodes) == 1


def _passes_zero(node: fx.Node, target: object) -> bool:
    """Whether what a filter computes stays its own, and zero stays zero."""
    before, after = shape(node.all_input_nodes[0]), shape(node)
    if node.op == "call_module":
        kinds = (ELEMENTWISE, POOLING, nn.Flatten)
        elementwise, pools, flattens = (isinstance(target, kind) for kind in kinds)
    else:
        methods = node.op == "call_method"
        elementwise = target in (ELEMENTWISE_METHODS if methods else ELEMENTWISE_FUNCTIONS)
        pools = not methods and target in POOLING_FUNCTIONS
        flattens = target in (FLATTENING_METHODS if methods else FLATTENING_FUNCTIONS)
    if pools:
        return len(before) == len(after) == 4
    if flattens:  # channels come first, so a filter's pixels stay together
        return after[:1] == (IMAGES,) and len(after) == 2
    return elementwise and before == after


def _asks_size(node: fx.Node) -> bool:
    """A question for the batch size, as in `x.view(x.size(0), -1)`; the number of channels must not be asked for."""
    if node.op == "call_method" and node.target == "size":
        return list(node.args[1:]) == [0]
    if node.op == "call_function" and node.target is getattr and node.args[1] == "shape":
        return all(user.target is getitem and list(user.args[1:]) == [0] for user in node.users)
    return False
