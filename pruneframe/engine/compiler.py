"""A network's torch.fx graph compiled to a plan for the sparse kernel.

Convolutions and linear layers become weighted sums with batch norm folded in and additions and activations attached;
pooling becomes windows. Slices, concatenations and padding are only other ways to walk through a tensor. Modules of the
same name as the kinds of layers say what becomes of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn

from ..errors import InputError
from ..model.network import Network
from ..model.trace import shape, trace
from . import layers, pointwise, pooling, views
from .call import Call, Handler, Stored
from .memory import Memory
from .plan import Plan, Unsupported
from .steps import Steps
from .values import Buffer, Value

MODULES: dict[type[nn.Module], Handler] = layers.MODULES | pointwise.MODULES | pooling.MODULES | views.MODULES
CALLS: dict[Any, Handler] = layers.CALLS | pointwise.CALLS | pooling.CALLS | views.CALLS


def compiled(network: Network, fused: bool = True) -> Plan:
    """The plan of a network; raises Unsupported with the reason where the kernel cannot run it.

    `fused` makes 2 x 2 pooling part of the convolution before it and has sums take the place of what is added to them:
    less memory to go through, but then a layer's own output is nowhere to be seen.
    """
    try:
        traced = trace(network.module, network.inputs, "it needs")
    except InputError as error:
        raise Unsupported(str(error)) from error
    if network.inputs.vocabulary is not None:
        raise Unsupported("it reads token ids")
    return _Compiler(traced, network.input_shape, fused).plan()


@dataclass
class _Compiler:
    traced: fx.GraphModule
    input_shape: tuple[int, ...]
    fused: bool
    values: dict[fx.Node, Any] = field(default_factory=dict)
    steps: Steps = field(default_factory=Steps)

    def plan(self) -> Plan:
        if len(self.input_shape) not in (1, 3):
            raise Unsupported(f"its inputs are {list(self.input_shape)}, neither images nor rows of features")
        channels, rows, columns = (*self.input_shape, 1, 1)[:3]  # a row of features is an image of one pixel
        images = Value(Buffer((channels, rows, columns), images=True), (channels, rows, columns))
        result = None
        for node in self.traced.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = Value(images.buffer, images.shape, flat=len(self.input_shape) == 1)
            elif node.op == "output":
                result = self.steps.ready(self._known(node.args[0]))
            else:
                self.values[node] = self._visit(node)
        assert result is not None
        return Memory(self.steps.done, images.buffer, reuse=self.fused).plan(result)

    def _visit(self, node: fx.Node) -> Any:
        """What a node becomes: a value, a step that waits, or None where it is no tensor."""
        if node.op == "get_attr":
            return Stored(str(node.target), shape(node))
        module: nn.Module = self.traced
        handler, name = CALLS.get(node.target), getattr(node.target, "__name__", node.target)
        if node.op == "call_module":
            module = self.traced.get_submodule(str(node.target))
            handler, name = MODULES.get(type(module)), type(module).__name__
        known = tuple(map(self._known, node.args)), {key: self._known(value) for key, value in node.kwargs.items()}
        call = Call(node, module, *known, self.steps, self.fused)
        if handler is None and node.op != "call_module" and not call.tensors:
            return None
        if handler is None:
            raise Unsupported(f"it {'has a' if node.op == 'call_module' else 'calls'} {name}")
        return handler(call)

    def _known(self, argument: Any) -> Any:
        """An argument with values in place of nodes."""
        if isinstance(argument, fx.Node):
            return self.values[argument]
        if isinstance(argument, list | tuple):
            return [self._known(part) for part in argument]
        return argument
