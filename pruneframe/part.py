"""Parts: a sub-network searched and trained on its own, on features that the unpruned network sends it.

Shang et al., "A Multi-objective Complex Network Pruning Framework Based on Divide-and-conquer and Global Performance
Impairment Ranking", arXiv 2303.16212; what is charged is the dense share of the layers that run.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from .cut import Cutter
from .engine import State
from .mask import Masks
from .training import Recipe, train
from .workbench import DENSE, Images, Workbench

REST = "rest"  # the head that is the untouched rest of the network


@dataclass(frozen=True)
class Predecessor:
    """A pruned network whose earlier layers send features to a part: one mask, and its weights id."""

    masks: Masks
    weights: str = DENSE


class SubNetwork:
    """Layers [start, stop) of a workbench's network: their error at a head, and their training. Not charged here."""

    def __init__(self, bench: Workbench, start: int, stop: int) -> None:
        self.bench = bench
        self.start = start
        self.stop = stop
        self._layers = [layer.name for layer in bench.network.layers]
        Cutter(bench.network.module, self._layers).part(start, stop)  # raises where it cannot be cut

    def error(self, masks: Masks, weights: str, head: str, images: Images) -> float:
        """Share misclassified at the head, one mask."""
        stop = len(self.bench.network.layers) if head == REST else self.stop
        out = self.bench.features(masks, weights, images, self.start, stop)
        with torch.inference_mode():
            logits = out if head == REST else linear(self.bench.shelf.get(head), out)
        return float((logits.argmax(dim=1).cpu().numpy() != images.labels).mean())

    def fit_head(self, images: Images, recipe: Recipe, seed: int) -> State:
        """A pooling and linear detector of the classes, trained on the unpruned part's features."""
        dense = self.bench.network.layout.full()
        features = pooled(self.bench.features(dense, DENSE, images, 0, self.stop)).clone()
        labels = torch.from_numpy(images.labels).to(features.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = nn.Linear(features.shape[1], self.bench.loaded.data.classes).to(features.device)
        train(head, features, labels, recipe, seed)
        return {name: tensor.detach().cpu() for name, tensor in head.state_dict().items()}

    def fit(
        self,
        mask: Masks,
        weights: str,
        head: str,
        before: Predecessor | None,
        alpha: float,
        images: Images,
        recipe: Recipe,
        seed: int,
    ) -> State:
        """All weights after cross-network training of this part under one mask."""
        bench, dense = self.bench, self.bench.network.layout.full()
        unpruned = bench.features(dense, DENSE, images, 0, self.start) if self.start else images.tensor
        source = unpruned
        if before is not None and self.start:
            pruned = bench.features(before.masks, before.weights, images, 0, self.start)
            coin = torch.rand(len(pruned), generator=torch.Generator().manual_seed(seed)) < 0.5
            source = torch.where(coin.to(pruned.device).view(-1, *[1] * (pruned.dim() - 1)), unpruned, pruned)
        target = bench.features(dense, DENSE, images, self.start, self.stop).clone()
        labels = torch.from_numpy(images.labels).to(target.device)
        detector = {name: tensor.to(target.device) for name, tensor in bench.shelf.get(head).items()}

        def loss(outputs: Tensor, rows: Tensor) -> Tensor:
            detected = F.cross_entropy(linear(detector, outputs), labels[rows])
            return detected + alpha * F.mse_loss(outputs, target[rows])

        whole = copy.deepcopy(bench.network.module)
        whole.load_state_dict(bench.state(weights))
        whole.to(target.device)
        part = Cutter(whole, self._layers).part(self.start, self.stop)
        own = {name for name, _ in part.named_parameters()}
        keep = {name: kept for name, kept in bench.network.keep(mask, 0).items() if name in own}
        train(part, source.clone(), labels, recipe, seed, keep=keep, loss=loss)
        return {name: tensor.detach().cpu() for name, tensor in whole.state_dict().items()}


def pooled(features: Tensor) -> Tensor:
    """Features averaged over their positions, [n, channels]."""
    return features.mean(dim=(2, 3)) if features.dim() == 4 else features.flatten(1)


def linear(head: State, features: Tensor) -> Tensor:
    """A detector's logits [n, classes]."""
    return F.linear(pooled(features), head["weight"].to(features.device), head["bias"].to(features.device))


Ask = Callable[[str, str, float, Callable[[], list[Any]]], list[Any]]


class Part:
    """A sub-network as a method sees it, `task.part(start, stop)`: layers[start:stop], fed by the unpruned network.

    Masks are of the whole network; bits outside the part are to be kept. Everything is charged the dense share of the
    layers and images that run; features are computed and charged once.
    """

    def __init__(self, sub: SubNetwork, ask: Ask, seed: Sequence[int], surcharge: float) -> None:
        self._sub = sub
        self._ask = ask
        self._seed = tuple(seed)
        self._surcharge = surcharge  # units for the batch-norm images of one candidate
        self._fed: set[int] = set()
        self.start, self.stop = sub.start, sub.stop

    @property
    def share(self) -> float:
        """Share of the dense network's multiply-adds, and so the units of one evaluation with a linear head."""
        return self._sub.bench.network.share(self.start, self.stop)

    def evaluate(self, masks: Masks, head: str = REST, weights: str = DENSE) -> NDArray[np.float64]:
        """Share of the search images misclassified at the head (an id, or REST), float64[masks]."""
        bench = self._sub.bench
        price = self.share + self._surcharge
        if head == REST:
            price += bench.network.share(self.stop, len(bench.network.layers))
        self._feed(bench.search)
        found = []
        for row, digest in enumerate(masks.digests()):
            compute = partial(self._error, masks[[row]], weights, head)
            values = self._ask("part", f"{self.start}:{self.stop} {head} {digest} {weights}", price, compute)
            found.append(float(values[0]))
        return np.array(found)

    def _error(self, mask: Masks, weights: str, head: str) -> list[Any]:
        return [self._sub.error(mask, weights, head, self._sub.bench.search)]

    def fit_head(self, recipe: Recipe) -> str:
        """Train a pooling and linear detector on the unpruned part's features; returns its id for `evaluate`."""
        images = self._train_images(recipe)
        through = self._sub.bench.network.share(0, self.stop)
        key = f"{self.stop} {recipe}"
        price = through * self._passes(images)
        seed = self._seed_of(key)
        return self._ask("head", key, price, lambda: [self._put(self._sub.fit_head(images, recipe, seed))])[0]

    def fit(
        self,
        mask: Masks,
        head: str,
        recipe: Recipe,
        weights: str = DENSE,
        before: Predecessor | None = None,
        alpha: float = 1.0,
    ) -> str:
        """Cross-network training of the pruned part: cross-entropy at the head, plus alpha x mean squared distance to
        the unpruned features; with `before`, half of the input comes from that pruned network. Returns a weights id.
        """
        if len(mask) != 1:
            raise ValueError(f"fit takes one mask, but got {len(mask)}")
        images = self._train_images(recipe)
        passes = self._passes(images)
        earlier = self._sub.bench.network.share(0, self.start) * (1 if before is None else 2)
        price = passes * (earlier + self.share * (1 + 3 * recipe.epochs))
        origin = "" if before is None else f"{before.masks.digests()[0]} {before.weights}"
        key = f"{self.start}:{self.stop} {mask.digests()[0]} {weights} {head} {origin} {alpha} {recipe}"
        seed = self._seed_of(key)

        def compute() -> list[Any]:
            return [self._put(self._sub.fit(mask, weights, head, before, alpha, images, recipe, seed))]

        return self._ask("fit", key, price, compute)[0]

    def _feed(self, images: Images) -> None:
        """Charge once for the features that enter the part."""
        if self.start and id(images) not in self._fed:
            price = self._sub.bench.network.share(0, self.start) * self._passes(images)
            self._ask("features", str(self.start), price, lambda: [0])
            self._fed.add(id(images))

    def _train_images(self, recipe: Recipe) -> Images:
        bench = self._sub.bench
        return bench.subset("train", recipe.images or len(bench.loaded.data.train))

    def _passes(self, images: Images) -> float:
        return len(images.labels) / len(self._sub.bench.search.labels)

    def _seed_of(self, key: str) -> int:
        return zlib.crc32(f"{self._seed} {key}".encode())

    def _put(self, state: State) -> str:
        return self._sub.bench.shelf.put(state)
