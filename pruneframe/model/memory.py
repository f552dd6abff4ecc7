"""Memory of a forward pass: what lives at the same time at its peak."""

from __future__ import annotations

import numpy as np
import torch
from torch import fx, nn

from .inputs import Inputs, Shape
from .trace import shape, trace

BYTES = 4  # of a float32
VIEWS = (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d)
VIEW_CALLS = (torch.flatten, torch.reshape, torch.squeeze, "flatten", "view", "reshape", "squeeze", "contiguous")


def peak_memory(module: nn.Module, inputs: Inputs | Shape) -> float:
    """Bytes of all parameters and buffers, and of the values that live at once in one image's forward pass, at most.

    A value lives from where it is computed to its last use; what only looks at another in another shape, or writes in
    its place, takes nothing; but torch.fx sees x += y as x + y. Raises InputError if torch.fx cannot trace the module.
    """
    traced = trace(module, inputs, "memory needs")
    owner: dict[fx.Node, fx.Node] = {}
    born: dict[fx.Node, int] = {}
    dies: dict[fx.Node, int] = {}
    for place, node in enumerate(traced.graph.nodes):
        owner[node] = owner[node.all_input_nodes[0]] if shares(node, module) else node
        born.setdefault(owner[node], place)
        for used in (node, *node.all_input_nodes):
            dies[owner[used]] = place
    sizes = {node: _bytes(node) for node in born if node.op not in ("get_attr", "output")}
    lives = np.zeros(len(owner))
    for node, size in sizes.items():
        lives[born[node] : dies[node] + 1] += size
    return float(sum(tensor.nbytes for tensor in module.state_dict().values()) + lives.max())


def shares(node: fx.Node, module: nn.Module) -> bool:
    """Whether a node's value lies where its first input's does."""
    if node.op == "call_module":
        called = module.get_submodule(str(node.target))
        return isinstance(called, VIEWS) or getattr(called, "inplace", False)
    if node.op not in ("call_method", "call_function"):
        return False
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
    if node.target in VIEW_CALLS or (name.endswith("_") and not name.endswith("__")):
        return True
    return node.op == "call_function" and _in_place(node, module)


def _in_place(node: fx.Node, module: nn.Module) -> bool:
    """Whether a function is told to write where it reads."""
    try:
        named = node.normalized_arguments(module, normalize_to_only_use_kwargs=True)
    except RuntimeError:  # overloads that their arguments do not tell apart, as of torch.add
        named = None
    return bool((named.kwargs if named else node.kwargs).get("inplace", False))


def _bytes(node: fx.Node) -> float:
    """Of the tensor that a node computes, if it is one."""
    return float(BYTES * np.prod(shape(node))) if node.meta.get("tensor_meta") is not None else 0.0
