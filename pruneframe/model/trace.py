"""What torch.fx records of a module, with the shape of everything it computes; asked here alone, and checked."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from ..errors import InputError
from .inputs import Inputs, Shape

AGREE = 1e-4  # of the outputs' spread: how far a record may be from the module itself


class Opaque:
    """A module that torch.fx does not look into, as it does not into torch's own."""


class _Meta(NamedTuple):
    """What is noted of a tensor."""

    shape: torch.Size


class _Shapes(fx.Interpreter):
    """Runs a graph, and notes at each node that computes a tensor its shape, or that it computes several.

    As torch's `ShapeProp`, which imports sympy for shapes that are no numbers.
    """

    def run_node(self, n: fx.Node) -> Any:
        """As any interpreter's."""
        result = super().run_node(n)
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            n.meta["tensor_meta"] = _Meta(result.shape) if isinstance(result, Tensor) else ()
        return result


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Opaque) or super().is_leaf_module(m, module_qualified_name)


def record(module: nn.Module, need: str) -> fx.GraphModule:
    """The module's graph, which shares its parameters; raises InputError, beginning with the `need`, without one.

    Arguments that nobody gives are not in it, and what is given by keyword stands where it would stand without.
    """
    try:
        tracer = _Tracer()
        graph = tracer.trace(module, _not_given(module))
        traced = fx.GraphModule(tracer.root, graph, type(module).__name__)
    except Exception as error:  # fx raises whatever the traced code raises
        raise InputError(f"{need} a network that torch.fx can trace, but tracing fails with: {error}") from error
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and getattr(node.target, "__name__", "") == "_assert_is_none":
            traced.graph.erase_node(node)
    for node in [node for node in traced.graph.nodes if node.op == "placeholder"][1:]:
        if not node.users:
            traced.graph.erase_node(node)
    for node in traced.graph.nodes:
        _without_keywords(traced, node)
    traced.recompile()
    return traced


def _without_keywords(traced: fx.GraphModule, node: fx.Node) -> None:
    """Put tensors that a call is given by keyword where they would stand without."""
    if not any(isinstance(value, fx.Node) for value in node.kwargs.values()):
        return
    if node.op == "call_module":
        forward = traced.get_submodule(str(node.target)).forward
        bound = inspect.signature(forward).bind(*node.args, **node.kwargs)
        node.args, node.kwargs = bound.args, bound.kwargs
    elif node.op == "call_function":
        placed: Any = tuple(map(_kind, node.args))  # torch's annotation knows tuples of one only
        by_name = {name: _kind(value) for name, value in node.kwargs.items()}
        try:
            named = node.normalized_arguments(traced, placed, by_name, normalize_to_only_use_kwargs=True)
        except RuntimeError:  # overloads that their arguments do not tell apart: the call stays as it is
            return
        if named is not None:
            tensors = [place for place, value in enumerate(named.kwargs.values()) if isinstance(value, fx.Node)]
            places = max(len(node.args), tensors[-1] + 1)
            rest = set(list(named.kwargs)[places:])
            node.args = tuple(named.kwargs.values())[:places]
            node.kwargs = {name: value for name, value in node.kwargs.items() if name in rest}


def _kind(value: object) -> type:
    """Of an argument, by which torch tells the overloads of a function apart."""
    return Tensor if isinstance(value, fx.Node) else type(value)


def _not_given(module: nn.Module) -> dict[str, object] | None:
    """Optional arguments of a module's forward pass at their defaults, since nobody gives them; None without any."""
    parameters = list(inspect.signature(module.forward).parameters.values())
    optional = {one.name: one.default for one in parameters[1:] if one.default is not inspect.Parameter.empty}
    return optional or None


def measured(traced: fx.GraphModule, inputs: Inputs | Shape, images: int = 1) -> fx.GraphModule:
    """The same graph, each node with the shape of its tensor for so many blank images, see `shape`."""
    with torch.inference_mode():
        _Shapes(traced).run(Inputs.of(inputs).blank(images).to(device_of(traced)))
    return traced


def trace(module: nn.Module, inputs: Inputs | Shape, need: str, images: int = 1) -> fx.GraphModule:
    """The module's graph with shapes; raises InputError where there is none, or one that computes something else.

    `images` 2 tell the batch apart from other dimensions of size 1.
    """
    traced = record(module, need)
    try:
        measured(traced, inputs, images)
        agrees = _agrees(module, traced, Inputs.of(inputs))
    except Exception as error:  # whatever the traced code raises
        raise InputError(f"{need} a network that torch.fx can trace, but tracing fails with: {error}") from error
    if not agrees:
        raise InputError(f"{need} a network that torch.fx can trace, but its record computes something else")
    return traced


def shape(node: fx.Node) -> tuple[int, ...]:
    """Of the tensor that a node of a measured graph computes; empty where it computes none."""
    return tuple(getattr(node.meta.get("tensor_meta"), "shape", ()))


def calls(traced: fx.GraphModule, layer: str) -> list[fx.Node]:
    """The calls of one layer, by its name."""
    return [node for node in traced.graph.nodes if node.op == "call_module" and node.target == layer]


def behind(traced: fx.GraphModule, layer: str) -> Iterator[tuple[str, nn.Module | None]]:
    """The modules and functions that a layer's output runs through, one after the other, while it has one reader.

    A module with its name in the network, a function as torch calls it with None: a module may have the same name.
    Ends before what joins other tensors to it.
    """
    found = calls(traced, layer)
    node = found[0] if len(found) == 1 else None
    while node is not None and len(node.users) == 1:
        node = next(iter(node.users))
        if node.op == "output" or len(node.all_input_nodes) != 1:
            return
        if node.op == "call_module":
            yield str(node.target), traced.get_submodule(str(node.target))
        else:
            yield getattr(node.target, "__name__", str(node.target)), None


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters lie."""
    return next(module.parameters()).device


def _agrees(module: nn.Module, traced: fx.GraphModule, inputs: Inputs) -> bool:
    """Whether a record computes what the module does, on random images."""
    images = inputs.random(2).to(device_of(module))
    with torch.inference_mode():
        expected, found = module(images.clone()), traced(images.clone())
    if not isinstance(expected, Tensor) or not isinstance(found, Tensor) or expected.shape != found.shape:
        return False
    spread = float(expected.max() - expected.min()) or 1.0
    return float((expected - found).abs().max()) <= AGREE * spread
