"""What a node of a network's graph asks for, as those see it who make steps of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from .plan import Unsupported
from .steps import Pending, Steps
from .values import Value


@dataclass(frozen=True)
class Stored:
    """A parameter or buffer of the network, by its name in the state dict."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A node with its arguments, where tensors are values or steps that wait, and what is not known is None."""

    node: fx.Node
    module: nn.Module  # called, if it calls one; else the network's own
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    steps: Steps
    fused: bool  # whether what is fused hides a layer's own output

    @property
    def value(self) -> Any:
        """The first argument, as it is."""
        return self.arguments[0]

    @property
    def source(self) -> Value:
        """The first argument in memory."""
        return self.steps.ready(self.value)

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by its place or name."""
        return self.arguments[place] if len(self.arguments) > place else self.named.get(name, default)

    @property
    def tensors(self) -> int:
        """How many of the arguments are tensors that the network computes."""
        return sum(isinstance(value, Value | Pending) for value in _flat((*self.arguments, *self.named.values())))


Handler = Callable[[Call], Any]


def passed(call: Call) -> Any:
    """What hands on its input, as dropout does in evaluation."""
    return call.value.with_(call.node) if call.steps.open(call.node, call.value) else call.value


def ignored(call: Call) -> None:
    """A number that shapes are told by, which are known."""


def _flat(values: Any) -> Any:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def switched_off(place: int) -> Handler:
    """What hands on its input where its argument `training`, at this place, is False."""

    def handle(call: Call) -> Any:
        if call.get(place, "training", True):
            raise Unsupported("it drops some of what it computes at random")
        return passed(call)

    return handle
