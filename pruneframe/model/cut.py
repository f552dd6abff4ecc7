"""A network cut into parts that run one after the other, read off its torch.fx graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import fx, nn

from ..errors import InputError
from .inputs import Inputs, Shape
from .trace import measured, record, shape


@dataclass(frozen=True)
class Cut:
    """A place where all that was computed so far passes through one tensor; `layer` is the first prunable behind."""

    layer: int
    shape: tuple[int, ...]  # of that tensor for one image


class Cutter:
    """Cuts a module between its prunable layers, named in forward order.

    Raises InputError if torch.fx cannot trace the module. The parts share the module's parameters and buffers.
    """

    def __init__(self, module: nn.Module, layers: list[str]) -> None:
        self._traced = record(module, "parts need")
        self._nodes = list(self._traced.graph.nodes)
        self._layers = layers
        self._places = {0: 0, len(layers): len(self._nodes)} | self._find()

    def _find(self) -> dict[int, int]:
        """For every layer that can begin a part, how many nodes of the graph lie before the cut."""
        calls = {name: [i for i, n in enumerate(self._nodes) if _runs(n, name)] for name in self._layers}
        hidden = [name for name, places in calls.items() if not places]
        if hidden:
            raise InputError(f"parts need layers that torch.fx sees, but {hidden[0]!r} is called by nobody")
        places = {}
        for layer in range(1, len(self._layers)):
            first = max(i for name in self._layers[:layer] for i in calls[name]) + 1
            last = min(i for name in self._layers[layer:] for i in calls[name])
            found = [place for place in range(last, first - 1, -1) if len(self._crossing(place)) == 1]
            if found:
                places[layer] = found[0]
        return places

    def _crossing(self, place: int) -> list[fx.Node]:
        """The values computed before a place that are used behind it; parameters do not count."""
        behind = set(self._nodes[place:])
        return [node for node in self._nodes[:place] if node.op != "get_attr" and behind & set(node.users)]

    def cuts(self, inputs: Inputs | Shape) -> tuple[Cut, ...]:
        """All places between two layers where the network can be cut, in forward order."""
        measured(self._traced, inputs)
        inner = [layer for layer in sorted(self._places) if 0 < layer < len(self._layers)]
        crossing = [self._crossing(self._places[layer])[0] for layer in inner]
        return tuple(Cut(layer, shape(node)[1:]) for layer, node in zip(inner, crossing, strict=True))

    def part(self, start: int, stop: int) -> nn.Module:
        """The sub-network of layers[start:stop]: what enters layer `start` goes in, what enters layer `stop` comes out.

        Raises InputError where the network cannot be cut.
        """
        for layer in (start, stop):
            if layer not in self._places:
                raise InputError(f"parts begin and end at {sorted(self._places)}, but got {layer}")
        if start >= stop:
            raise InputError(f"start < stop must hold, but got ({start}, {stop})")
        return self._between(start, stop).eval()

    def pieces(self, start: int, stop: int) -> list[nn.Module]:
        """What `part` gives, cut wherever it can be: modules that compute the same one after the other."""
        places = [layer for layer in sorted(self._places) if start <= layer <= stop]
        return [self._between(*ends) for ends in pairwise(places)]

    def _between(self, start: int, stop: int) -> nn.Module:
        """The sub-network between two layers where the network can be cut, its layers in the mode that they are in."""
        graph = fx.Graph()
        copies: dict[fx.Node, fx.Node] = {}

        def copied(node: fx.Node) -> fx.Node:
            if node not in copies:  # a parameter that an earlier part already read
                copies[node] = graph.node_copy(node, copied)
            return copies[node]

        if start > 0:
            copies[self._crossing(self._places[start])[0]] = graph.placeholder("features")
        for node in self._nodes[self._places[start] : self._places[stop]]:
            if node.op == "output":
                graph.output(fx.map_arg(node.args[0], copied))
            else:
                copies[node] = graph.node_copy(node, copied)
        if stop < len(self._layers):
            graph.output(copied(self._crossing(self._places[stop])[0]))
        return fx.GraphModule(self._traced, graph)


def _runs(node: fx.Node, layer: str) -> bool:
    """Whether a node calls a layer, or a module that torch.fx does not look into, such as attention, with it inside."""
    return node.op == "call_module" and f"{layer}.".startswith(f"{node.target}.")


def stages(resolutions: Sequence[int | None], places: Sequence[int]) -> tuple[int, ...]:
    """The layers that begin a new stage, where convolutions begin to compute another number of output pixels.

    `resolutions` are those numbers, layer by layer, None where a layer is no convolution; `places` are the layers
    before which the network can be cut: the last one that lies not behind the change counts. A lone first convolution
    before a stage of several is a stem, and belongs to that stage.
    """
    starts: list[int] = []
    convolutions = [0]  # of each stage so far
    current = None
    for layer, pixels in enumerate(resolutions):
        if pixels is None:
            continue
        place = max((place for place in places if place <= layer), default=0)
        if current not in (None, pixels) and place > max(starts, default=0):
            starts.append(place)
            convolutions.append(0)
        current = pixels
        convolutions[-1] += 1
    return tuple(starts[1:] if starts and convolutions[0] == 1 < convolutions[1] else starts)
