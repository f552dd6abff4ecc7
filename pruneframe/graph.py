"""Which filters can be removed, read off the network's torch.fx graph and the shapes of what it computes.

A filter may go when everything that reads it is known: its batch norm, element-wise and pooling operations that map
zero to zero, and the next layers. Filters that reach a residual addition, a concatenation, the network's output or an
operation not listed here stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import getitem

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from .errors import InputError

ELEMENTWISE: tuple[type[nn.Module], ...] = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.Hardswish)
ELEMENTWISE += (nn.Dropout, nn.Dropout2d, nn.Identity)
ELEMENTWISE_FUNCTIONS = {F.relu, F.relu6, F.leaky_relu, F.gelu, F.silu, F.hardswish, F.dropout, torch.relu, torch.tanh}
ELEMENTWISE_METHODS = {"relu", "tanh", "contiguous"}
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
POOLING_FUNCTIONS = {F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d}
FLATTENING_FUNCTIONS = {torch.flatten, torch.reshape}
FLATTENING_METHODS = {"flatten", "view", "reshape"}
IMAGES = 2  # traced at once, so that the batch is told apart from other dimensions of size 1


@dataclass(frozen=True)
class FilterGroup:
    """The filters of one layer, and the parameters that go with them."""

    layer: str
    vectors: tuple[str, ...]  # parameters whose first dimension counts these filters
    readers: tuple[tuple[str, int], ...]  # weights whose second dimension reads them, and inputs per filter


def filter_groups(module: nn.Module, layers: list[str], input_shape: tuple[int, ...]) -> tuple[FilterGroup, ...]:
    """The removable filters, layer by layer in forward order; raises InputError if torch.fx cannot trace the module."""
    try:
        traced = fx.symbolic_trace(module)
        device = next(module.parameters()).device
        with torch.inference_mode():
            ShapeProp(traced).propagate(torch.zeros(IMAGES, *input_shape, device=device))
    except Exception as error:  # fx raises whatever the traced code raises
        raise InputError(
            f"filters need a network that torch.fx can trace, but tracing fails with: {error}; use units=weight"
        ) from error
    groups = []
    for name in layers:
        calls = [node for node in traced.graph.nodes if node.op == "call_module" and node.target == name]
        if len(calls) == 1:
            group = _group(module, name, calls[0])
            if group is not None:
                groups.append(group)
    return tuple(groups)


def _group(module: nn.Module, name: str, call: fx.Node) -> FilterGroup | None:
    """The group that starts at one layer's call, or None where its filters must stay."""
    layer = module.get_submodule(name)
    filters = module.get_parameter(f"{name}.weight").shape[0]
    if getattr(layer, "groups", 1) != 1 or not _holds(call, layer, filters):
        return None
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
            if len(_shape(node.all_input_nodes[0])) != (4 if isinstance(target, nn.Conv2d) else 2):
                return None  # a linear layer on feature maps reads pixels, not filters
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


def _shape(node: fx.Node) -> tuple[int, ...]:
    meta = node.meta.get("tensor_meta")
    return tuple(getattr(meta, "shape", ()))


def _holds(node: fx.Node, layer: nn.Module, filters: int) -> bool:
    """Whether outputs are [images, filters, height, width] of a convolution or [images, filters] of a linear layer."""
    shape = _shape(node)
    return len(shape) == (4 if isinstance(layer, nn.Conv2d) else 2) and shape[:2] == (IMAGES, filters)


def _runs_once(node: fx.Node) -> bool:
    return sum(other.target == node.target for other in node.graph.nodes) == 1


def _passes_zero(node: fx.Node, target: object) -> bool:
    """Whether what a filter computes stays its own, and zero stays zero."""
    before, after = _shape(node.all_input_nodes[0]), _shape(node)
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
