"""Importance scorers, for single weights and for filters.

A filter's score is a mean over its weights, not a sum, so that filters of different sizes can be compared.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import pruneframe as pf

Reduce = Callable[[Tensor], Tensor]


def layer_weights(network: pf.Network) -> list[Tensor]:
    """The weights behind each layer of the layout: [weights] of every layer, or [filters, weights of a filter]."""
    weights = [network.parameter(f"{name}.weight").detach() for name in network.layout.names]
    return [w.flatten() if network.layout.units == "weight" else w.flatten(1) for w in weights]


def per_unit(values: list[Tensor], units: str) -> pf.Scores:
    """Scores float32[units] from one value per weight, averaged over each filter where filters are the units."""
    flat = [value if units == "weight" else value.mean(dim=1) for value in values]
    return torch.cat(flat).numpy().astype(np.float32)


def relative(total: np.ndarray) -> pf.Scores:
    """Scores as shares of the largest, so that tiny ones do not vanish in float32."""
    return (total / max(float(total.max()), np.finfo(np.float64).tiny)).astype(np.float32)


def filters_only(network: pf.Network, name: str, instead: str) -> None:
    """Raise InputError where single weights are the units."""
    if network.layout.units != "filter":
        raise pf.InputError(f"scorer {name!r} is defined for filters alone; use units=filter, or {instead}")


@dataclass(frozen=True, repr=False)
class Magnitude(pf.Scorer):
    """|w|, the mean over a filter (L1 norm; Li et al., "Pruning Filters for Efficient ConvNets", 2017)."""

    name = "magnitude"

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        return per_unit([w.abs() for w in layer_weights(network)], network.layout.units)


@dataclass(frozen=True, repr=False)
class L2(pf.Scorer):
    """w squared, the mean over a filter: the order of the L2 norms (He et al., soft filter pruning, IJCAI 2018)."""

    name = "l2"

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        return per_unit([w.square() for w in layer_weights(network)], network.layout.units)


@dataclass(frozen=True, repr=False)
class Lamp(pf.Scorer):
    """w squared over the sum of the squares of the layer's weights that are not smaller; comparable between layers.

    Lee, Park, Mo, Ahn and Shin, "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021. For filters the
    squared norm of a filter takes the place of the squared weight.
    """

    name = "lamp"

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        squares = [w.square() for w in layer_weights(network)]
        units = [s if network.layout.units == "weight" else s.sum(dim=1) for s in squares]
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

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        filters_only(network, self.name, "the scorer magnitude")
        layers = layer_weights(network)
        sums = [torch.cdist(w, w).sum(dim=1) / w.shape[1] ** 0.5 for w in layers]
        return torch.cat([total / max(1, len(total) - 1) for total in sums]).numpy()


@dataclass(frozen=True, repr=False)
class BnScale(pf.Scorer):
    """The absolute scale of the filter's batch norm (Liu et al., "Network Slimming", ICCV 2017)."""

    name = "bn-scale"

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        filters_only(network, self.name, "the scorer magnitude")
        return np.concatenate([self._scale(network, group.vectors) for group in network.groups])

    def _scale(self, network: pf.Network, vectors: Sequence[str]) -> np.ndarray:
        scales = [name for name in vectors if name.rpartition(".")[0] in network.norms and name.endswith(".weight")]
        if not scales:
            raise pf.InputError(
                f"scorer {self.name!r} needs a batch norm after every prunable layer, but {vectors[0]!r} has none; "
                "use the scorer magnitude"
            )
        return network.parameter(scales[0]).detach().abs().numpy()


def gradients(network: pf.Network, images: Tensor, labels: Tensor, batch: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """For each batch of images: (weight, gradient of the mean cross-entropy) behind each layer of the layout.

    Both as `layer_weights` shapes them. Batch norm stays in evaluation mode.
    """
    module = copy.deepcopy(network.module).eval()
    parameters = [module.get_parameter(f"{name}.weight").requires_grad_(True) for name in network.layout.names]
    start = 0 if network.layout.units == "weight" else 1
    for x, y in zip(images.split(batch), labels.split(batch), strict=True):
        found = torch.autograd.grad(F.cross_entropy(module(x), y), parameters)
        yield [(w.detach().flatten(start), g.flatten(start)) for w, g in zip(parameters, found, strict=True)]


@dataclass(frozen=True, repr=False)
class Taylor(pf.Scorer):
    """(gradient x weight) squared, summed over a filter before squaring, averaged over batches of 100 images.

    Molchanov, Mallya, Tyree, Frosio and Kautz, "Importance Estimation for Neural Network Pruning", CVPR 2019.
    """

    name = "taylor"
    images = 1000
    passes = 3

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        total = np.zeros(network.layout.total)
        for pairs in gradients(network, images, labels, batch=100):
            products = [w * g if network.layout.units == "weight" else (w * g).sum(dim=1) for w, g in pairs]
            total += torch.cat(products).square().numpy()
        return relative(total)


@dataclass(frozen=True, repr=False)
class Snip(pf.Scorer):
    """|gradient x weight| of the loss over all images, summed over a filter (Lee, Ajanthan and Torr, ICLR 2019)."""

    name = "snip"
    images = 1000
    passes = 3

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        sums: list[Tensor] = [torch.zeros(1)] * len(network.layout.names)
        sizes = [len(part) for part in labels.split(100)]
        for size, pairs in zip(sizes, gradients(network, images, labels, batch=100), strict=True):
            sums = [s + size * w * g for s, (w, g) in zip(sums, pairs, strict=True)]
        products = [(s / len(labels)).abs() for s in sums]
        flat = [p if network.layout.units == "weight" else p.sum(dim=1) for p in products]
        return torch.cat(flat).numpy()


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
        total = np.zeros(network.layout.total)
        for pairs in gradients(network, images, labels, batch=10):
            damages = [0.5 * w.square() * g.square() for w, g in pairs]
            flat = [d if network.layout.units == "weight" else d.sum(dim=1) for d in damages]
            total += torch.cat(flat).numpy()
        return relative(total)


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
