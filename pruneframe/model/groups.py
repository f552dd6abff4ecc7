"""Which filters, hidden units and heads can be removed: what goes with them, read off what the network computes.

Every place along a layer's outputs is followed to all that must go with it: biases, norms and layer scales, the inputs
of the layers that read it, and, where tensors are added, the outputs of the other layers that write the same channel.
After Fang, Ma, Song, Mi and Wang, "DepGraph: Towards Any Structural Pruning", CVPR 2023, who follow whole layers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from ..mask import Group, Slices
from . import pieces, rules
from .flow import Flow
from .layers import CONVOLUTIONS
from .liveness import Liveness

if TYPE_CHECKING:
    from .network import Network

LINEAR = (nn.Linear, nn.BatchNorm1d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
NORMS = (*BATCH_NORMS, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.GroupNorm)
RESIZED = (nn.Linear, *CONVOLUTIONS, *NORMS, nn.PReLU, nn.Embedding)  # layers of torch's that can be made smaller
Place = tuple[str, int]  # a parameter's dimension


@dataclass(frozen=True)
class Unit:
    """All that goes together: of each parameter's dimension, the places.

    `lead` is the first layer that writes it, of a head the one that writes most of it.
    """

    lead: str
    own: Place  # the lead's among the parts
    parts: dict[Place, tuple[int, ...]]
    written: frozenset[Place]  # those of the parts that are a layer's outputs
    head: bool = False

    @property
    def signature(self) -> tuple[tuple[str, int, int], ...]:
        """What units have in common that stand side by side in a group."""
        return tuple(sorted((name, dim, len(places)) for (name, dim), places in self.parts.items()))


@dataclass(frozen=True)
class Found:
    """The units of a network by their lead and signature, and why others must stay."""

    units: tuple[Unit, ...]
    notes: tuple[str, ...]


def filter_groups(network: Network, inner: bool) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """The removable channels, in the order of the layers that write them first, and notes on those that stay.

    `inner`: those alone that one layer writes, and that all who read them read without others beside them.
    """
    found = follow(network)
    if not inner:
        return _groups(network, found.units), (*found.notes, *_alone(found.units))
    written_once = [unit for unit in found.units if [len(unit.parts[place]) for place in unit.written] == [1]]
    groups = _groups(network, written_once)
    return tuple(group for group in groups if _is_whole(network, group)), found.notes


def neuron_groups(network: Network) -> tuple[Group, ...]:
    """The removable hidden units between linear layers, in forward order."""
    found = follow(network)
    module = network.module
    linear = [
        unit
        for unit in found.units
        if all(isinstance(module.get_submodule(name.rpartition(".")[0]), LINEAR) for name, _ in unit.parts)
    ]
    return _groups(network, linear)


def head_groups(network: Network) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """The heads of attention, which may all go: what is left is the bias behind them. And notes on those that stay."""
    found = follow(network, heads=True)
    groups = _groups(network, [unit for unit in found.units if unit.head], least=0)
    return tuple(replace(group, kind="heads") for group in groups), found.notes


def follow(network: Network, heads: bool = False) -> Found:
    """Follow channels through the network until no pass unites more of them."""
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # one kernel for a whole layer, in which nothing is seen
        image = network.inputs.blank(1)
        given = image.clone()
        with torch.no_grad(), Liveness() as seen:
            out = network.module(given)
        flow = Flow(network.module, rules.RULES | pieces.RULES, seen.dead(out), heads)
        del seen  # and all that it holds
        before = -1
        while flow.atoms.unions != before:
            before = flow.atoms.unions
            flow.begin()
            given = image.clone()
            with torch.no_grad(), flow:
                out = network.module(given)
            flow.stay(flow.label(out), OUTPUTS)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return _collected(network, flow)


OUTPUTS = "they are the network's outputs"


def _collected(network: Network, flow: Flow) -> Found:
    """Units of all atoms that go together, none of which must stay."""
    parts = _parts(network.module, flow)
    staying = flow.atoms.staying()
    heads = {root for seen in flow.heads_seen for root in flow.atoms.find(seen).tolist()}
    order = {layer.parameter: row for row, layer in enumerate(network.layers)}
    layers = {layer.parameter: layer.name for layer in network.layers}
    units: list[Unit] = []
    reasons: dict[str, list[str]] = defaultdict(list)
    for root, own in parts.items():
        writing = [place for place in own if place in flow.written and place[0] in order]
        if not writing or (flow.heads and root not in heads):
            continue
        _, _, first = min((-len(own[place]) if flow.heads else 0, order[place[0]], place) for place in writing)
        lead = layers[first[0]]
        if root in staying:
            reasons[staying[root]] += [lead] * len(own[first])
            continue
        parts_of = {place: tuple(found) for place, found in own.items()}
        units.append(Unit(lead, first, parts_of, frozenset(own.keys() & flow.written), root in heads))
    return Found(tuple(units), tuple(_notes(reasons)))


def _parts(module: nn.Module, flow: Flow) -> dict[int, dict[Place, list[int]]]:
    """Of every class of atoms, the places along parameters' dimensions; those stay that cannot be made smaller."""
    parts: dict[int, dict[Place, list[int]]] = defaultdict(lambda: defaultdict(list))
    for (name, dim), ids in flow.dims.items():
        if name in flow.elements or not _resized(module, name, flow.heads):
            flow.atoms.stay(ids, f"{_owner(module, name)} reads or holds them")
        for place, root in enumerate(flow.atoms.find(ids).tolist()):
            parts[root][name, dim].append(place)
    for name, ids in flow.elements.items():
        roots = flow.atoms.find(ids)
        long = [d for d, n in enumerate(roots.shape) if n > 1]
        dims = [d for d in long if (roots != roots.take([0], axis=d)).any()] or long
        if len(dims) != 1 or not _resized(module, name, flow.heads):
            flow.atoms.stay(ids, f"{_owner(module, name)} reads or holds them")
            continue
        first = np.moveaxis(roots, dims[0], 0).reshape(roots.shape[dims[0]], -1)[:, 0]
        for place, root in enumerate(first.tolist()):
            parts[root][name, dims[0]].append(place)
    return parts


def _notes(reasons: dict[str, list[str]]) -> Iterable[str]:
    for reason, layers in reasons.items():
        if reason != OUTPUTS:
            names = list(dict.fromkeys(layers))
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"{len(layers)} channels of {names[0]}{more} stay: {reason}"


def _owner(module: nn.Module, name: str) -> str:
    owner = name.rpartition(".")[0]
    return f"{owner or 'the network'} ({type(module.get_submodule(owner)).__name__})"


def _resized(module: nn.Module, name: str, heads: bool) -> bool:
    """Whether the module that holds a parameter still computes the same when the parameter is smaller.

    With fewer `heads`, another takes the place of one for attention.
    """
    owner = module.get_submodule(name.rpartition(".")[0])
    if heads and isinstance(owner, nn.MultiheadAttention | NonDynamicallyQuantizableLinear):
        return True
    if not type(owner).__module__.startswith("torch.nn"):
        return True
    return isinstance(owner, RESIZED) and not isinstance(owner, NonDynamicallyQuantizableLinear)


def _groups(network: Network, units: Iterable[Unit], least: int = 1) -> tuple[Group, ...]:
    """Units of one lead and signature side by side; those that stand alone cannot go where one must remain."""
    order = [layer.name for layer in network.layers]
    made = [_group(network, found, least) for found in _alike(units) if len(found) > least]
    return tuple(sorted(made, key=lambda group: (order.index(group.layer), group.slices[0].along(group.size).min())))


def _alike(units: Iterable[Unit]) -> Iterable[list[Unit]]:
    """Units by their lead and signature."""
    together: dict[tuple[object, ...], list[Unit]] = defaultdict(list)
    for unit in units:
        together[unit.lead, unit.signature].append(unit)
    return together.values()


def _alone(units: Iterable[Unit]) -> Iterable[str]:
    """Notes on channels that stay since they could go at once alone, all of their kind."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for unit in (found[0] for found in _alike(units) if len(found) == 1):
        width = len(unit.parts[unit.own])
        if width > 1:
            reasons["all of them go together"] += [unit.lead] * width
    return _notes(reasons)


def _group(network: Network, units: list[Unit], least: int) -> Group:
    own = units[0].own
    layer = next(layer for layer in network.layers if layer.parameter == own[0])
    units.sort(key=lambda unit: unit.parts[own])
    order = {name: i for i, (name, _) in enumerate(network.module.named_parameters())}

    def rank(place: Place) -> tuple[bool, int, Place]:
        return place != own, order.get(place[0], len(order)), place

    slices = [_slices(place, [unit.parts[place] for unit in units]) for place in sorted(units[0].parts, key=rank)]
    return replace(layer.group(len(units)), slices=tuple(slices), least=least)


def _slices(place: Place, found: list[tuple[int, ...]]) -> Slices:
    places = tuple(one for own in found for one in own)
    width, start = len(found[0]), places[0]
    if places == tuple(range(start, start + len(places))):
        return Slices(*place, width, start)
    return Slices(*place, width, start, places)


def _is_whole(network: Network, group: Group) -> bool:
    """Whether nothing that a group's units are part of has others beside them."""
    shapes = [entries(network.module, part.parameter).shape[part.dim] for part in group.slices]
    return all(length == group.size * part.width for length, part in zip(shapes, group.slices, strict=True))


def entries(module: nn.Module, name: str) -> Tensor:
    """A parameter or buffer by its name; a buffer need not be in the state dict."""
    owner, _, leaf = name.rpartition(".")
    found: Tensor = getattr(module.get_submodule(owner), leaf)
    return found
