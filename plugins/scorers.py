"""Importance scorers, for every kind of unit.

A unit's score is a mean over its weights in its layer, not a sum, so that filters of different sizes can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import pruneframe as pf


def weights_behind(network: pf.Network, group: pf.Group) -> list[str]:
    """The parameters that units are judged by: their layer's weights, or those of all layers that are one unit."""
    if group.kind != "branch":
        return [group.parameter]
    layers = {layer.parameter for layer in network.layers}
    return [part.parameter for part in group.slices if part.parameter in layers]


def unit_weights(network: pf.Network) -> list[Tensor]:
    """The weights of every unit, group by group: [units, weights of a unit]."""
    return by_unit(network, [network.parameter(name).detach() for name in all_behind(network)])


def all_behind(network: pf.Network) -> list[str]:
    """The parameters behind the units of every group, one group after the other."""
    return [name for group in network.layout.groups for name in weights_behind(network, group)]


def by_unit(network: pf.Network, values: list[Tensor]) -> list[Tensor]:
    """Values of the shapes of the parameters behind all groups, group by group: [units, weights of a unit]."""
    left = iter(values)
    return [
        torch.cat([of_units(group, next(left)) for _ in weights_behind(network, group)], dim=1)
        for group in network.layout.groups
    ]


def of_units(group: pf.Group, values: Tensor) -> Tensor:
    """One value per weight of a group's layer, of the weights' shape, as [units, weights of a unit]."""
    if not group.slices or group.kind == "branch":
        return values.reshape(group.size, -1)
    own = group.slices[0]
    return values.movedim(own.dim, 0)[torch.from_numpy(own.along(group.size).ravel())].reshape(group.size, -1)


def per_unit(values: list[Tensor]) -> pf.Scores:
    """Scores float32[units] from one value per weight [units, weights of a unit], averaged over each unit."""
    return torch.cat([value.mean(dim=1) for value in values]).numpy().astype(np.float32)


def relative(total: np.ndarray) -> pf.Scores:
    """Scores as shares of the largest, so that tiny ones do not vanish in float32."""
    return (total / max(float(total.max()), np.finfo(np.float64).tiny)).astype(np.float32)


def refuse_single(network: pf.Network, name: str, instead: str) -> None:
    """Raise InputError where single weights are the units."""
    if network.layout.single:
        raise pf.InputError(f"scorer {name!r} is not defined for single weights; use units=filter, or {instead}")


def refuse_whole(network: pf.Network, name: str) -> None:
    """Raise InputError where every layer is one unit, which has no other to be compared with."""
    if all(group.size == 1 for group in network.layout.groups):
        raise pf.InputError(
            f"scorer {name!r} compares the units of a layer, but a {network.layout.units} has no others beside it; "
            "use the scorer magnitude"
        )


@dataclass(frozen=True, repr=False)
class Magnitude(pf.Scorer):
    """|w|, the mean over a filter (L1 norm; Li et al., "Pruning Filters for Efficient ConvNets", 2017)."""

    name = "magnitude"

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        return per_unit([w.abs() for w in unit_weights(network)])


@dataclass(frozen=True, repr=False)
class L2(pf.Scorer):
    """w squared, the mean over a filter: the order of the L2 norms (He et al., soft filter pruning, IJCAI 2018)."""

    name = "l2"

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        return per_unit([w.square() for w in unit_weights(network)])


@dataclass(frozen=True, repr=False)
class Lamp(pf.Scorer):
    """w squared over the sum of the squares of the layer's weights that are not smaller; comparable between layers.

    Lee, Park, Mo, Ahn and Shin, "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021. For filters the
    squared norm of a filter takes the place of the squared weight.
    """

    name = "lamp"

    def check(self, network: pf.Network) -> None:
        refuse_whole(network, self.name)

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        self.check(network)
        units = [w.square().sum(dim=1) for w in unit_weights(network)]
        return np.concatenate([self._layer(unit.double().numpy()) for unit in units]).astype(np.float32)

    @staticmethod
    def _layer(squares: np.ndarray) -> np.ndarray:
        order = np.argsort(squares, kind="stable")
        tails = np.cumsum(squares[order][::-1])[::-1]
        scores = np.empty_like(squares)
        scores[order] = squares[order] / np.maximum(tails, np.finfo(np.float64).tiny)
        return scores


@dataclass(frozen=True, repr=False)
class Fpgm(pf.Scorer):
    """A filter's mean distance to the other filters of its layer; near the geometric median means replaceable.

    He, Liu, Wang, Hu and Yang, "Filter Pruning via Geometric Median", CVPR 2019.
    """

    name = "fpgm"

    def check(self, network: pf.Network) -> None:
        refuse_single(network, self.name, "the scorer magnitude")
        refuse_whole(network, self.name)

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        self.check(network)
        layers = unit_weights(network)
        sums = [torch.cdist(w, w).sum(dim=1) / w.shape[1] ** 0.5 for w in layers]
        return torch.cat([total / max(1, len(total) - 1) for total in sums]).numpy()


@dataclass(frozen=True, repr=False)
class BnScale(pf.Scorer):
    """The absolute scale of a channel's batch norm, the mean of several (Liu et al., "Network Slimming", ICCV 2017)."""

    name = "bn-scale"

    def check(self, network: pf.Network) -> None:
        refuse_single(network, self.name, "the scorer magnitude")

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        self.check(network)
        return np.concatenate([self._scale(network, group) for group in network.layout.groups])

    def _scale(self, network: pf.Network, group: pf.Group) -> np.ndarray:
        owners = [(part, *part.parameter.rpartition(".")) for part in group.slices if part.dim == 0]
        scales = [part for part, owner, _, leaf in owners if owner in network.norms and leaf == "weight"]
        if not scales:
            raise pf.InputError(
                f"scorer {self.name!r} needs a batch norm after every prunable layer, but {group.layer!r} has none; "
                "use the scorer magnitude"
            )
        found = [network.parameter(part.parameter).detach().abs() for part in scales]
        places = [torch.from_numpy(part.along(group.size)) for part in scales]
        return torch.cat([one[own] for one, own in zip(found, places, strict=True)], dim=1).mean(dim=1).numpy()


def gradients(network: pf.Network, images: Tensor, labels: Tensor, batch: int) -> Iterator[list[Tensor]]:
    """For each batch of images: the gradients of the mean cross-entropy by the parameters behind all groups.

    Batch norm stays in evaluation mode.
    """
    gradient, most = pf.Gradients(network, all_behind(network)), network.at_once(batch, gradients=True)
    truths = F.one_hot(labels, network.outputs).float()
    for x, y in zip(images.split(batch), truths.split(batch), strict=True):
        total: list[Tensor] = []
        for part, truth in zip(x.split(most), y.split(most), strict=True):
            found = gradient(part, partial(errors, truth, len(y)))
            total = [before + now for before, now in zip(total, found, strict=True)] if total else found
        yield total


def errors(truth: Tensor, n: int, logits: Tensor) -> Tensor:
    """Gradient of the cross-entropy by the logits, as the share of these images in a mean over n of them."""
    return (logits.softmax(dim=1) - truth) / n


@dataclass(frozen=True, repr=False)
class Taylor(pf.Scorer):
    """(gradient x weight) squared, summed over a filter before squaring, averaged over batches of 100 images.

    Molchanov, Mallya, Tyree, Frosio and Kautz, "Importance Estimation for Neural Network Pruning", CVPR 2019.
    """

    name = "taylor"
    images = 1000
    passes = 3

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        total, weights = np.zeros(network.layout.total), unit_weights(network)
        for found in gradients(network, images, labels, batch=100):
            products = [(w * g).sum(dim=1) for w, g in zip(weights, by_unit(network, found), strict=True)]
            total += torch.cat(products).square().numpy()
        return relative(total)


@dataclass(frozen=True, repr=False)
class Snip(pf.Scorer):
    """|gradient x weight| of the loss over all images, summed over a filter (Lee, Ajanthan and Torr, ICLR 2019)."""

    name = "snip"
    images = 1000
    passes = 3

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        sizes = [len(part) for part in labels.split(100)]
        total = [torch.zeros(())] * len(all_behind(network))
        for size, found in zip(sizes, gradients(network, images, labels, batch=100), strict=True):
            total = [before + size / len(labels) * now for before, now in zip(total, found, strict=True)]
        pairs = zip(unit_weights(network), by_unit(network, total), strict=True)
        return torch.cat([(w * g).abs().sum(dim=1) for w, g in pairs]).numpy()


@dataclass(frozen=True, repr=False)
class Fisher(pf.Scorer):
    """Half of w squared x the diagonal of the empirical Fisher information, summed over a filter.

    Theis, Korshunova, Tejani and Huszár, "Faster gaze prediction with dense networks and Fisher pruning", 2018; squared
    gradients of batches of 10 images stand for those of single images, as in Singh and Alistarh, "WoodFisher", 2020.
    """

    name = "fisher"
    images = 1000
    passes = 3

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        total = [torch.zeros(())] * len(all_behind(network))
        for found in gradients(network, images, labels, batch=10):
            total = [torch.addcmul(before, now, now) for before, now in zip(total, found, strict=True)]
        pairs = zip(unit_weights(network), by_unit(network, total), strict=True)
        return relative(torch.cat([(0.5 * w.square() * g).sum(dim=1) for w, g in pairs]).double().numpy())


@dataclass(frozen=True, repr=False)
class Random(pf.Scorer):
    """A uniform random number per unit: what any score must beat."""

    name = "random"
    draws = True

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        return rng.random(network.layout.total, dtype=np.float32)


@pf.hookimpl
def pruneframe_scorers() -> Sequence[type[pf.Scorer]]:
    return [Magnitude, L2, Lamp, Fpgm, BnScale, Taylor, Snip, Fisher, Random]
