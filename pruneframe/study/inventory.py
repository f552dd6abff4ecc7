"""Inventory: what a problem consists of, as far as it is at hand: data, layers, units, errors, references, noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from ..component import Lookup
from ..engine import Engine
from ..errors import InputError
from ..model.data import Data, Split
from ..model.layers import PRUNABLE
from ..model.network import Network
from ..model.shrink import proved_network
from ..objective import Objective
from ..problem import LoadedProblem, Problem
from ..search.shelf import Shelf
from ..search.workbench import Workbench
from ..units import Units
from .noise import Noise, known
from .truth import truths

Say = Callable[[str], None]

SHOWN = 8  # members of a true front, about


@dataclass
class Inventory:
    """All that is known of a problem; what is None could not be had, and `missing` says in a line each why.

    `weights` say where they come from, and by what recipe; `layers` are by name, kind, shape of the weights, positions
    and multiply-adds (None without data); `units` by kind, with what they reach, or the `reason` why there are none;
    `errors` those of the unpruned network by split.
    """

    missing: list[str] = field(default_factory=list)
    weights: list[str] | None = None
    images: dict[str, dict[str, Any]] | None = None
    classes: int | None = None
    params: int | None = None
    macs: int | None = None
    layers: list[dict[str, Any]] | None = None
    units: list[dict[str, Any]] | None = None
    evaluated_by: str | None = None
    errors: dict[str, float] | None = None
    references: dict[str, float | None] | None = None
    noise: Noise | None = None
    truth: dict[str, dict[str, Any]] | None = None  # of a tabular problem, by split

    @property
    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return vars(self) | {"noise": None if self.noise is None else self.noise.record}

    @property
    def sections(self) -> dict[str, list[str]]:
        """For people: lines by heading."""
        network = [f"{self.params:,} parameters" + ("" if self.macs is None else f", {self.macs:,} multiply-adds")]
        network += [f"error {100 * error:.2f} % on {name}" for name, error in (self.errors or {}).items()]
        network += [f"evaluated by {self.evaluated_by}"] if self.evaluated_by else []
        told = {
            "missing": self.missing,
            "weights": self.weights or [],
            "data": _data(self.images, self.classes),
            "network": network,
            "layers": [_layer(one) for one in self.layers or ()],
            "units": [line for one in self.units or () for line in _reached(one)],
            "references": [f"{name}: 1 is {_reference(value)}" for name, value in (self.references or {}).items()],
            **{f"true front on {split}": _front(**one) for split, one in (self.truth or {}).items()},
            "noise": self.noise.lines if self.noise else ["not measured here; `pruneframe noise` does"],
        }
        return {heading: lines for heading, lines in told.items() if lines}


def _data(images: dict[str, dict[str, Any]] | None, classes: int | None) -> list[str]:
    lines = [
        f"{name:7} {one['images']:>7,} images {'x'.join(map(str, one['shape']))} {one['dtype']}"
        for name, one in (images or {}).items()
    ]
    return [*lines, f"{classes} classes"] if lines else []


def _layer(one: dict[str, Any]) -> str:
    shape = "x".join(map(str, one["shape"]))
    computed = "" if one["macs"] is None else f"  {one['macs']:>13,} multiply-adds"
    return f"{one['name']:28} {one['kind']:18} {shape:>16}{computed}"


def _reached(one: dict[str, Any]) -> list[str]:
    """A kind of units, and below it the notes on what is not among them."""
    if not one["units"]:
        return [f"{one['kind']}: none"]
    reach = f"{one['reach']:.1%} of the parameters and {one['reach_macs']:.1%} of the multiply-adds"
    return [
        f"{one['kind']}: {one['units']:,} in {one['groups']} groups reach {reach}",
        *(f"  {note}" for note in one["notes"]),
    ]


def _front(hypervolume: float, front: list[dict[str, float]]) -> list[str]:
    """How large a true front is, and some of its members, evenly spread."""
    step = max(1, (len(front) - 1) // (SHOWN - 1))
    rows = [list(front[0]), *([f"{value:.6g}" for value in one.values()] for one in front[::step])]
    return [
        f"{len(front)} members, hypervolume {hypervolume:.4f}; some of them:",
        *("".join(f"{cell:>12}" for cell in row) for row in rows),
    ]


def _reference(value: float | None) -> str:
    return "the unpruned network, measured on the target" if value is None else f"{value:,.12g}"


def inventory(problem: Problem, kinds: Sequence[str], lookup: Lookup, say: Say) -> Inventory:
    """Everything about a problem and its units of some kinds; says what takes long, and never trains."""
    found = Inventory(weights=None if problem.weights is None else problem.weights.lines)
    say(f"loading {problem.called}; published files that are not here are fetched")
    module = problem.module()
    found.params = sum(parameter.numel() for parameter in module.parameters())
    try:
        data = problem.images()
    except (InputError, OSError) as error:
        found.missing.append(f"data: {error}")
        found.layers = [
            {
                "name": name,
                "kind": type(part).__name__,
                "shape": list(part.weight.shape),
                "positions": None,
                "macs": None,
            }
            for name, part in module.named_modules()
            if isinstance(part, PRUNABLE)
        ]
        return found
    found.images = {name: _images(getattr(data, name)) for name in ("train", "search", "test")}
    found.classes = data.classes
    trained = _weighted(problem, module, data, found, say)
    say(f"looking for {', '.join(kinds)}s")
    networks = _units(problem, module, data, [*dict.fromkeys([*kinds, problem.units])], found, lookup)
    if networks:
        network = networks.get(problem.units, next(iter(networks.values())))
        found.macs, found.layers = network.total_macs, _layers(network)
        if trained:
            _measured(problem, network, data, found, lookup, say)
        else:
            found.evaluated_by = Engine(network).notice
    return found


def _images(split: Split) -> dict[str, Any]:
    return {"images": len(split), "shape": list(split.images.shape[1:]), "dtype": str(split.images.dtype)}


def _weighted(problem: Problem, module: nn.Module, data: Data, found: Inventory, say: Say) -> bool:
    """Fill the module where that takes no training; whether it is trained now."""
    weights = problem.weights
    if weights is None:
        return True
    if not weights.at_hand(lambda: module, lambda: data, problem.instance, problem.name):
        found.missing.append(f"weights: not trained here yet; `pruneframe train {problem.name}` does")
        return False
    try:
        weights.load(module, lambda: data, say, problem.instance, problem.name)
    except (InputError, OSError) as error:
        found.missing.append(f"weights: {error}")
        return False
    return True


def _units(
    problem: Problem, module: nn.Module, data: Data, kinds: Sequence[str], found: Inventory, lookup: Lookup
) -> dict[str, Network]:
    """Say what units there are of each kind; returns the network seen as such units, for those that it has."""
    networks: dict[str, Network] = {}
    found.units = []
    for kind in kinds:
        try:
            network = proved_network(Network(module, data.inputs, lookup(Units, kind)))
        except InputError as error:
            found.units.append({"kind": kind, "units": 0, "reason": str(error)})
            continue
        networks[kind] = network
        nothing = network.layout.full() - network.layout.full()
        found.units.append(
            {
                "kind": kind,
                "units": network.layout.total,
                "groups": len(network.layout.groups),
                "removable": network.units.removable,
                "reach": network.reach,
                "reach_macs": 1 - int(network.macs(nothing)[0]) / network.total_macs,
                "notes": list(network.notes),
            }
        )
    return networks


def _layers(network: Network) -> list[dict[str, Any]]:
    owners = [type(network.module.get_submodule(layer.owner)).__name__ for layer in network.layers]
    return [
        _layer_of(layer.name, owner, layer.shape, layer.positions)
        for layer, owner in zip(network.layers, owners, strict=True)
    ]


def _layer_of(name: str, kind: str, shape: Sequence[int], positions: int | None = None) -> dict[str, Any]:
    macs = None if positions is None else math.prod(shape) * positions
    return {"name": name, "kind": kind, "shape": list(shape), "positions": positions, "macs": macs}


def _measured(problem: Problem, network: Network, data: Data, found: Inventory, lookup: Lookup, say: Say) -> None:
    """What takes passes: errors of the unpruned network on all search and test images, and references."""
    loaded = LoadedProblem(replace(problem, units=network.units.name), network, data)
    bench = Workbench(loaded, "cpu", Shelf(None))
    found.evaluated_by = bench.notice
    say(f"measuring the unpruned network on {len(loaded.search)} search and {len(data.test)} test images")
    found.errors = {
        "search": bench.dense(bench.search).error,
        "test": bench.dense(bench.images(data.test)).error,
    }
    objectives = [lookup(Objective, name) for name in problem.objectives]
    dense = bench.dense(bench.search)
    found.references = {
        objective.name: None if objective.physical else bench.judge.reference(objective, dense)
        for objective in objectives
    }
    found.noise = known(loaded)
    found.truth = {split: one.record(problem.objectives) for split, one in truths(loaded).items()} or None
