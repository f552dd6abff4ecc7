"""Residual branches, read off the network's torch.fx graph, and the network without some of them.

A branch is one side of an addition whose other side is a shortcut: the same tensor, or what fewer layers make of it.
All that leads to this side alone belongs to it, such as layer scale or stochastic depth. With its parameters zero it
adds nothing, and so the addition can be replaced by the shortcut.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import fx, nn

from ..errors import InputError
from ..mask import Group, Slices
from .layers import Layer
from .memory import shares
from .trace import shape, trace

if TYPE_CHECKING:
    from .network import Network

SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
IMAGES = 2  # traced at once, so that the batch is told apart from other dimensions of size 1


@dataclass(frozen=True)
class Branch:
    """A branch that can go, by the places of its nodes in the graph."""

    group: Group
    sum: int
    shortcut: int  # which argument of the sum remains
    nodes: frozenset[int]


@dataclass(frozen=True)
class Branches:
    """All branches of a network, in forward order, and the graph that they are in."""

    traced: fx.GraphModule
    found: tuple[Branch, ...]


_known: WeakKeyDictionary[nn.Module, Branches] = WeakKeyDictionary()  # tracing takes longer than taking branches out


def block_groups(network: Network) -> tuple[Group, ...]:
    """A group of one unit for each residual branch, in forward order, named by the branch's last prunable layer.

    Its slices are all parameters that the branch alone uses, whole. Raises InputError if torch.fx cannot trace the
    module.
    """
    try:
        return tuple(branch.group for branch in branches(network).found)
    except InputError as error:
        raise InputError(f"{error}; use units=weight") from error


def branches(network: Network) -> Branches:
    """The branches of a network, none inside another; raises InputError if torch.fx cannot trace the module.

    Where branches lie inside another, it is a branch as a whole, unless several of them could go alone.
    """
    if network.module not in _known:
        traced = trace(network.module, network.inputs, "blocks need", IMAGES)
        _known[network.module] = Branches(traced, _apart(_Search(traced, network.layers).branches()))
    return _known[network.module]


def without(network: Network, module: nn.Module, groups: Collection[Group]) -> nn.Module:
    """A module like the network's without those of the groups that are branches; itself where none of them is one.

    What remains is shared with `module`, and what nothing ever used is still there.
    """
    known = branches(network)
    gone = [branch for branch in known.found if branch.group in groups]
    if not gone:
        return module
    small = fx.GraphModule(module, _cut(known.traced, gone))
    accounted = {part.parameter for branch in gone for part in branch.group.slices}
    accounted |= {name for name, _ in small.named_parameters(remove_duplicate=False)}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if name not in accounted:
            owner, _, leaf = name.rpartition(".")
            if owner not in dict(small.named_modules(remove_duplicate=False)):
                small.add_submodule(owner, nn.Module())
            small.get_submodule(owner).register_parameter(leaf, parameter)
    return small


def _cut(traced: fx.GraphModule, gone: list[Branch]) -> fx.Graph:
    """A graph without some branches."""
    graph = copy.deepcopy(traced.graph)
    nodes = list(graph.nodes)
    readers = [reader for branch in gone for reader in nodes[branch.sum].users]
    for branch in gone:
        nodes[branch.sum].replace_all_uses_with(nodes[branch.sum].args[branch.shortcut])
    dead = {place for branch in gone for place in (*branch.nodes, branch.sum)}
    for place in sorted(dead, reverse=True):
        graph.erase_node(nodes[place])
    for reader in [nodes[place] for place in range(len(nodes)) if place not in dead and nodes[place] in readers]:
        # It may write in the place of what it reads: of the sum once, but now of what others read as well.
        source = reader.all_input_nodes[0]
        if shares(reader, traced) and not _alone(source, traced):
            with graph.inserting_before(reader):
                reader.replace_input_with(source, graph.call_function(torch.clone, (source,)))
    return graph


def _alone(node: fx.Node, module: nn.Module) -> bool:
    """Whether a node's value is computed in the graph, and has one reader wherever it is looked at."""
    while len(node.users) == 1 and node.op not in ("placeholder", "get_attr"):
        if not shares(node, module):
            return True
        node = node.all_input_nodes[0]
    return False


def _apart(found: list[Branch]) -> tuple[Branch, ...]:
    """Of branches inside others, those within that are several, else the one around; in the order of their sums."""
    chosen: list[Branch] = []
    for branch in found:  # what lies inside comes before, since its sum does
        inside = [other for other in chosen if other.nodes & branch.nodes]
        if len(inside) < 2:
            chosen = [other for other in chosen if other not in inside] + [branch]
    return tuple(chosen)


class _Search:
    """Looks for branches in a measured graph; `layers` are the prunable ones, in forward order."""

    def __init__(self, traced: fx.GraphModule, layers: Sequence[Layer]) -> None:
        self._traced = traced
        self._nodes: list[fx.Node] = list(traced.graph.nodes)
        self._prunable = layers
        self._layers = {layer.parameter: place for place, layer in enumerate(layers)}
        self._shapes = {name: tuple(own.shape) for name, own in traced.named_parameters(remove_duplicate=False)}
        self._parameters = {node: self._owned(node) for node in self._nodes}
        self._users: dict[str, set[fx.Node]] = {}
        for node, names in self._parameters.items():
            for name in names:
                self._users.setdefault(name, set()).add(node)
        self._live: set[fx.Node] = set()  # what the output comes from; the rest are questions, such as assertions
        for node in reversed(self._nodes):
            if node.op == "output" or not self._live.isdisjoint(node.users):
                self._live.add(node)

    def branches(self) -> list[Branch]:
        """In the order of their sums."""
        sums = [node for node in self._nodes if node in self._live and _is_sum(node)]
        found = [self._branch(node, side) for node in sums for side in (0, 1)]
        return [branch for branch in found if branch is not None]

    def _branch(self, total: fx.Node, side: int) -> Branch | None:
        """The branch on one side of a sum, or None where it is none."""
        branch, shortcut = total.args[side], total.args[1 - side]
        assert isinstance(branch, fx.Node)
        assert isinstance(shortcut, fx.Node)
        nodes, others = self._leading(branch, total), self._leading(shortcut, total)
        names = self._exclusive(nodes)
        layers = self._layers.keys() & names
        if not layers or layers != self._layers.keys() & self._used(nodes) or shape(shortcut) != shape(total):
            return None
        forks = self._behind(branch) & self._behind(shortcut)
        far = self._far(forks)
        projected = forks & self._entering(nodes) and len(self._layers.keys() & self._exclusive(others)) < len(layers)
        if not forks or far[branch] == 0 or not (far[shortcut] == 0 or projected):
            return None
        last = max(layers, key=self._layers.__getitem__)
        slices = tuple(Slices(name, 0, (*self._shapes[name], 1)[0]) for name in dict.fromkeys((last, *names)))
        own = self._prunable[self._layers[last]]
        group = replace(own.group(1), slices=slices, least=0, kind="branch")
        places = frozenset(place for place, node in enumerate(self._nodes) if node in nodes)
        return Branch(group, self._nodes.index(total), 1 - side, places)

    def _leading(self, side: fx.Node, total: fx.Node) -> set[fx.Node]:
        """All that leads to one side of a sum and nowhere else, with the questions that it is asked."""
        found: set[fx.Node] = set()
        if set(side.users) & self._live != {total}:
            return found
        for node in reversed(self._nodes[: self._nodes.index(side) + 1]):
            users = set(node.users) & self._live
            if node is side or (users and users <= found and node.op != "placeholder"):
                found.add(node)
        for node in self._nodes:
            if node not in self._live and not found.isdisjoint(node.all_input_nodes):
                found.add(node)
        return found if side.op != "placeholder" else set()

    def _entering(self, nodes: set[fx.Node]) -> set[fx.Node]:
        """The tensors that enter some nodes from outside."""
        entering = {source for node in nodes for source in node.all_input_nodes} - nodes
        return {node for node in entering if _is_tensor(node)}

    def _behind(self, node: fx.Node) -> set[fx.Node]:
        """A node and all computed tensors that it comes from."""
        found = {node}
        for other in reversed(self._nodes[: self._nodes.index(node)]):
            if _is_tensor(other) and not found.isdisjoint(other.users):
                found.add(other)
        return found

    def _far(self, forks: set[fx.Node]) -> dict[fx.Node, float]:
        """For each node, the prunable layers on the shortest way from the forks; infinite where there is none."""
        far: dict[fx.Node, float] = {}
        for node in self._nodes:
            ways = [far[source] for source in node.all_input_nodes if _is_tensor(source)]
            own = [node, *(source for source in node.all_input_nodes if source.op == "get_attr")]
            layers = sum(name in self._layers for one in own for name in self._parameters[one])
            far[node] = 0 if node in forks else min(ways, default=inf) + layers
        return far

    def _exclusive(self, nodes: set[fx.Node]) -> list[str]:
        """The parameters that some nodes use and no other does, in forward order."""
        return [name for name in self._used(nodes) if self._users[name] <= nodes]

    def _used(self, nodes: set[fx.Node]) -> dict[str, None]:
        """The parameters that some nodes use, in forward order."""
        return dict.fromkeys(name for node in self._nodes if node in nodes for name in self._parameters[node])

    def _owned(self, node: fx.Node) -> list[str]:
        """The parameters that a node uses."""
        target = str(node.target)
        if node.op == "call_module":
            return [f"{target}.{name}" for name, _ in self._traced.get_submodule(target).named_parameters()]
        return [target] if node.op == "get_attr" and target in self._shapes else []


def _is_sum(node: fx.Node) -> bool:
    """Whether a node adds one tensor to another, nothing else."""
    sides = [argument for argument in node.args if isinstance(argument, fx.Node)]
    return node.target in SUMS and not node.kwargs and len(node.args) == len(set(sides)) == 2


def _is_tensor(node: fx.Node) -> bool:
    """Whether a node computes one tensor or several, from images."""
    return node.op != "get_attr" and "tensor_meta" in node.meta
