"""Importance scores by what runs through a network: feature maps, the zeros in them, and the norms of inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pruneframe as pf

from .reconstruction import columns_of, modules_of, opened
from .scorers import all_behind, by_unit, per_unit, refuse_single, unit_weights

BATCH = 50
AT_ONCE = 2**22  # entries of the matrices whose norms are computed together
RELUS = ("ReLU", "ReLU6", "relu", "relu_", "relu6")
Seen = Callable[[str, Any, Tensor, Tensor], None]  # a module's name, the module, its inputs and outputs


def observe(network: pf.Network, names: Iterable[str], images: Tensor, seen: Seen) -> None:
    """Run images through the unpruned network, and tell what goes through some of its modules."""
    module = opened(network)

    def hook(name: str, layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen(name, layer, inputs[0], output)

    for name in dict.fromkeys(names):
        module.get_submodule(name).register_forward_hook(partial(hook, name))
    with torch.no_grad():
        for batch in images.split(network.at_once(BATCH)):
            module(batch)


def channels_first(values: Tensor, convolutional: bool) -> Tensor:
    """What a layer reads or gives, [n, channels, positions], or [n, channels, rows, columns] of an image."""
    if not convolutional:
        return values.flatten(1, -2).transpose(1, 2) if values.dim() > 2 else values[..., None]
    return values if values.dim() == 4 else values.flatten(2)


@dataclass(frozen=True)
class Maps:
    """Where the feature maps of a group's units are seen: behind their layer, its batch norm, and a ReLU."""

    module: str
    convolutional: bool
    relu: bool
    channels: Tensor  # int64[units, channels of a unit]


def maps_of(network: pf.Network, scorer: str) -> list[Maps]:
    """Those of every group; raises InputError where units are not channels of a layer."""
    refuse_single(network, scorer, "the scorer wanda")
    layers, found = {layer.name: layer for layer in network.layers}, []
    for group in network.layout.groups:
        if group.kind != "channels":
            raise pf.InputError(
                f"scorer {scorer!r} needs units that are channels of a layer, but a {network.layout.units} is none; "
                "use the scorer magnitude"
            )
        seen, relu = network.norm_behind(group.layer), network.activation_behind(group.layer) in RELUS
        channels = torch.from_numpy(group.slices[0].along(group.size))
        found.append(Maps(seen or group.layer, layers[group.layer].convolutional, relu, channels))
    return found


def of_maps(network: pf.Network, scorer: str, images: Tensor, measure: Callable[[Tensor], Tensor]) -> pf.Scores:
    """Mean over images of what `measure` says of feature maps [n, channels, ...], as [n, channels], float32[units]."""
    groups = maps_of(network, scorer)
    totals = [torch.zeros(())] * len(groups)

    def seen(name: str, layer: Any, inputs: Tensor, output: Tensor) -> None:
        for row, group in enumerate(groups):
            if group.module == name:
                maps = channels_first(output, group.convolutional)
                found = measure(maps.relu() if group.relu else maps).double()
                totals[row] = totals[row] + found.sum(dim=0)[group.channels].mean(dim=1)

    observe(network, (group.module for group in groups), images, seen)
    return (torch.cat(totals) / len(images)).numpy().astype(np.float32)


@dataclass(frozen=True, repr=False)
class HRank(pf.Scorer):
    """The mean rank of a filter's feature maps behind the ReLU, as a share of the largest that a map can have.

    Lin, Ji, Wang, Zhang, Zhang, Tian and Shao, "HRank: Filter Pruning using High-Rank Feature Map", CVPR 2020; the
    share, which makes layers comparable, is ours. Where maps are single numbers it says how often they are not 0.
    """

    name = "hrank"
    images = 100
    passes = 1

    def check(self, network: pf.Network) -> None:
        maps_of(network, self.name)

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        return of_maps(network, self.name, images, self._ranks)

    @staticmethod
    def _ranks(maps: Tensor) -> Tensor:
        maps = maps if maps.dim() == 4 else maps[..., None]
        return torch.linalg.matrix_rank(maps) / min(maps.shape[2:])


@dataclass(frozen=True, repr=False)
class Chip(pf.Scorer):
    """How much of the nuclear norm of a layer's feature maps, one row a channel, is lost without a filter's own.

    Sui, Yin, Xie, Phan, Zonouz and Yuan, "CHIP: CHannel Independence-based Pruning for Compact Neural Networks",
    NeurIPS 2021. A share of the whole norm, the mean over images.
    """

    name = "chip"
    images = 50
    passes = 1

    def check(self, network: pf.Network) -> None:
        maps_of(network, self.name)

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        return of_maps(network, self.name, images, lambda maps: torch.stack([*map(self._losses, maps.flatten(2))]))

    @staticmethod
    def _losses(rows: Tensor) -> Tensor:
        """Of one image's maps [channels, places]: the share that each row adds, float64[channels]."""
        rows, every, parts = rows.double(), torch.arange(len(rows)), []
        wide = len(rows) <= rows.shape[1]
        product = rows @ rows.t() if wide else rows.t() @ rows  # the smaller of both has the same singular values
        for own in every.split(max(1, AT_ONCE // product.numel())):
            stays = (every != own[:, None]).double()
            left = (
                product * stays[:, :, None] * stays[:, None] if wide else product - rows[own, :, None] * rows[own, None]
            )
            parts.append(nuclear(left))
        whole = nuclear(product)
        return (whole - torch.cat(parts)).clamp_min(0) / whole.clamp_min(torch.finfo(torch.float64).tiny)


def nuclear(products: Tensor) -> Tensor:
    """Nuclear norms of matrices by their products with themselves [..., k, k]."""
    return torch.linalg.eigvalsh(products).clamp_min(0).sqrt().sum(dim=-1)


@dataclass(frozen=True, repr=False)
class ApoZ(pf.Scorer):
    """How rarely a filter's activations are 0 where the next layers read them; ReLUs make the zeros.

    1 - the average percentage of zeros of Hu, Peng, Tai and Tang, "Network Trimming: A Data-Driven Neuron Pruning
    Approach towards Efficient Deep Architectures", arXiv 1607.03250, 2016, who count right behind the ReLU.
    """

    name = "apoz"
    images = 1000
    passes = 1

    def check(self, network: pf.Network) -> None:
        refuse_single(network, self.name, "the scorer wanda")
        for group in network.layout.groups:
            self._readers(network, group)

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        self.check(network)
        layers = {layer.name: layer for layer in network.layers}
        active = {name: torch.zeros(()) for group in network.layout.groups for name, _ in self._readers(network, group)}

        def seen(name: str, layer: Any, inputs: Tensor, output: Tensor) -> None:
            read = channels_first(inputs, layers[name].convolutional).flatten(2)
            active[name] = active[name] + (read != 0).double().mean(dim=2).sum(dim=0)

        observe(network, active, images, seen)
        shares = [
            torch.stack([active[name][part].mean(dim=1) for name, part in self._readers(network, group)]).mean(dim=0)
            for group in network.layout.groups
        ]
        return (torch.cat(shares) / len(images)).numpy().astype(np.float32)

    def _readers(self, network: pf.Network, group: pf.Group) -> Sequence[tuple[str, Tensor]]:
        """The layers that read a group's units, and where, int64[units, inputs of a unit]."""
        layers = {layer.parameter: layer for layer in network.layers}
        found = [(layers[part.parameter], part) for part in group.slices if part.parameter in layers]
        reading = [(layer, part) for layer, part in found if part.dim == (0 if layer.turned else 1)]
        names = {name for name, _ in network.module.named_modules()}
        own = [
            (layer.name, torch.from_numpy(part.along(group.size)))
            for layer, part in reading
            if layer.name in names and getattr(network.module.get_submodule(layer.name), "groups", 1) == 1
        ]
        if group.kind != "channels" or not own:
            raise pf.InputError(
                f"scorer {self.name!r} needs a layer without groups that reads the units of {group.layer!r}, but there "
                "is none; use the scorer magnitude"
            )
        return own


@dataclass(frozen=True, repr=False)
class Wanda(pf.Scorer):
    """|w| x the root mean square of what the weight is multiplied with; the mean over a filter.

    Sun, Liu, Bair and Kolter, "A Simple and Effective Pruning Approach for Large Language Models", ICLR 2024, who
    compare the weights of one output alone, where a method here compares those of a layer or of all. Of a feature map
    as many places are looked at as `reconstruction` does. The mean over a filter is ours.
    """

    name = "wanda"
    images = 1000
    passes = 1
    draws = True

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        behind = set(all_behind(network))
        parts = {layer.parameter: modules_of(layer) for layer in network.layers if layer.parameter in behind}
        squares: dict[str, Tensor] = {}  # of the inputs of a module's filters, [groups, k], summed up
        counts: dict[str, int] = {}

        def seen(name: str, layer: Any, inputs: Tensor, output: Tensor) -> None:
            columns = columns_of(layer, inputs.double(), rng)
            squares[name] = squares.get(name, torch.zeros(())) + columns.square().sum(dim=1)
            counts[name] = counts.get(name, 0) + columns.shape[1]

        observe(network, [name for names in parts.values() for name in names], images, seen)
        means = {name: (total / counts[name]).sqrt() for name, total in squares.items()}
        norms = [self._spread(network, name, [means[part] for part in parts[name]]) for name in all_behind(network)]
        pairs = zip(unit_weights(network), by_unit(network, norms), strict=True)
        return per_unit([w.abs() * norm for w, norm in pairs])

    @staticmethod
    def _spread(network: pf.Network, parameter: str, means: Sequence[Tensor]) -> Tensor:
        """The root mean square of each weight's input, of the parameter's shape; one tensor for each module of it."""
        layer = next(layer for layer in network.layers if layer.parameter == parameter)
        group = layer.group(layer.weights)
        shape = group.matrix(np.zeros(layer.weights)).shape  # outputs, inputs of a group, places
        inputs = np.concatenate([mean.numpy().reshape(-1, shape[1] * shape[2]) for mean in means])
        matrix = np.repeat(inputs, shape[0] // len(inputs), axis=0).reshape(shape)
        return torch.from_numpy(group.in_order(matrix).astype(np.float32)).reshape(layer.shape)


@pf.hookimpl
def pruneframe_scorers() -> Sequence[type[pf.Scorer]]:
    return [HRank, Chip, ApoZ, Wanda]
