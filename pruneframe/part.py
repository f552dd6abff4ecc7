"""Parts: a sub-network searched and trained on its own, on features that the unpruned network sends it.

Shang et al., "A Multi-objective Complex Network Pruning Framework Based on Divide-and-conquer and Global Performance
Impairment Ranking", arXiv 2303.16212; what is charged is the dense share of the layers that run.
"""

from __future__ import annotations

import copy
import math
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
from .mask import Layout, Masks
from .training import Recipe, train
from .workbench import DENSE, Images, Workbench

REST = "rest"  # the head that is the untouched rest of the network


@dataclass(frozen=True)
class Predecessor:
    """A pruned network whose earlier layers send features to a part: one mask, and its weights id."""

    masks: Masks
    weights: str = DENSE

    @property
    def key(self) -> str:
        """Its name in the journal."""
        return f"{self.masks.digests()[0]} {self.weights}"


class SubNetwork:
    """Layers [start, stop) of a workbench's network: their error at a head, and their training. Not charged here."""

    def __init__(self, bench: Workbench, start: int, stop: int) -> None:
        self.bench = bench
        self.start = start
        self.stop = stop
        self.end = len(bench.network.layers)
        self._layers = [layer.name for layer in bench.network.layers]
        self._received: tuple[str, Images, Tensor] | None = None  # from the latest predecessor
        part = Cutter(bench.network.module, self._layers).part(start, stop)  # raises where it cannot be cut
        self.owned = frozenset(part.state_dict())  # names of the parameters and buffers of these layers

    def error(self, masks: Masks, weights: str, head: str, images: Images) -> float:
        """Share misclassified at the head, one mask."""
        out = self.bench.features(masks, weights, images, self.start, self.end if head == REST else self.stop)
        with torch.inference_mode():
            logits = out if head == REST else linear(self.bench.shelf.get(head), out)
        return float((logits.argmax(dim=1).cpu().numpy() != images.labels).mean())

    def fit_head(self, images: Images, recipe: Recipe, seed: int) -> State:
        """A pooling and linear detector of the classes, trained on the unpruned part's features."""
        features = pooled(self.bench.entering(images, self.stop)).clone()
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
        """All weights after cross-network training of this part under one mask, zeros in place of what it prunes.

        What is zero at the start begins with the dense network's value, if the mask keeps it.
        """
        source = self._source(before, images, seed)
        target = self.bench.entering(images, self.stop).clone()
        labels = torch.from_numpy(images.labels).to(target.device)
        whole = copy.deepcopy(self.bench.network.module)
        whole.load_state_dict(self._revived(weights))
        whole.to(target.device)
        cutter = Cutter(whole, self._layers)
        part, detect = cutter.part(self.start, self.stop), self._detector(head, cutter, target.device)

        def loss(outputs: Tensor, rows: Tensor) -> Tensor:
            return F.cross_entropy(detect(outputs), labels[rows]) + alpha * F.mse_loss(outputs, target[rows])

        own = {name for name, _ in part.named_parameters()}
        keep = {name: kept for name, kept in self.bench.network.keep(mask, 0).items() if name in own}
        train(part, source, labels, recipe, seed, keep=keep, loss=loss)
        return {name: tensor.detach().cpu() for name, tensor in whole.state_dict().items()}

    def _revived(self, weights: str) -> State:
        """Weights with the dense network's values for those parameters of this part that are zero."""
        state, dense = self.bench.state(weights), self.bench.state(DENSE)
        names = [name for name, _ in self.bench.network.module.named_parameters() if name in self.owned]
        return state | {name: torch.where(state[name] == 0, dense[name], state[name]) for name in names}

    def _detector(self, head: str, cutter: Cutter, device: torch.device) -> Callable[[Tensor], Tensor]:
        """What makes logits of the part's outputs."""
        if head != REST:
            state = {name: tensor.to(device) for name, tensor in self.bench.shelf.get(head).items()}
            return partial(linear, state)
        return nn.Identity() if self.stop == self.end else cutter.part(self.stop, self.end)

    def _source(self, before: Predecessor | None, images: Images, seed: int) -> Tensor:
        """The part's inputs: what the unpruned network sends, half of them replaced by what a pruned one does."""
        unpruned = self.bench.entering(images, self.start)
        if before is None or self.start == 0:
            return unpruned.clone()
        coin = torch.rand(len(unpruned), generator=torch.Generator().manual_seed(seed)) < 0.5
        pruned = self._receive(before, images)
        return torch.where(coin.to(pruned.device).view(-1, *[1] * (pruned.dim() - 1)), unpruned, pruned).clone()

    def _receive(self, before: Predecessor, images: Images) -> Tensor:
        """What a pruned predecessor sends; the latest is kept, since a front is trained on one."""
        if self._received is None or self._received[0] != before.key or self._received[1] is not images:
            sent = self.bench.features(before.masks, before.weights, images, 0, self.start)
            self._received = before.key, images, sent
        return self._received[2]

    @property
    def head_share(self) -> float:
        """Multiply-adds of a linear detector behind this part, as a share of the dense network's."""
        shape = next(cut.shape for cut in self.bench.network.cuts if cut.layer == self.stop)
        inputs = shape[0] if len(shape) == 3 else math.prod(shape)
        return inputs * self.bench.loaded.data.classes / self.bench.network.total_macs

    def groups(self) -> slice:
        """Which of the layout's layers lie here; they are in forward order."""
        places = [self._layers.index(name) for name in self.bench.network.layout.names]
        return slice(sum(place < self.start for place in places), sum(place < self.stop for place in places))


def pooled(features: Tensor) -> Tensor:
    """Features averaged over their positions, [n, channels]."""
    return features.mean(dim=(2, 3)) if features.dim() == 4 else features.flatten(1)


def linear(head: State, features: Tensor) -> Tensor:
    """A detector's logits [n, classes]."""
    return F.linear(pooled(features), head["weight"].to(features.device), head["bias"].to(features.device))


Ask = Callable[[str, str, float, Callable[[], list[Any]]], list[Any]]
Fed = dict[str, set[int]]  # by images: the layers whose features from the unpruned network have been paid for


class Part:
    """A sub-network as a method sees it, `task.part(start, stop)`: layers[start:stop], fed by the unpruned network.

    Masks are of the whole network; bits outside the part are to be kept. Everything is charged the dense share of the
    layers and images that run; features are computed and charged once for all parts.
    """

    def __init__(self, sub: SubNetwork, ask: Ask, fed: Fed, seed: Sequence[int], surcharge: float) -> None:
        self._sub = sub
        self._ask = ask
        self._fed = fed
        self._seed = tuple(seed)
        self._surcharge = surcharge  # units for the batch-norm images of one candidate
        self._share = sub.bench.network.share
        self.start, self.stop = sub.start, sub.stop
        whole, own = sub.bench.network.layout, sub.groups()
        first = sum(whole.sizes[: own.start])
        self.layout = Layout(whole.units, whole.names[own], whole.sizes[own])  # of the units inside; may be empty
        self.units = slice(first, first + self.layout.total)  # where they lie in an unpacked mask of the network

    def __str__(self) -> str:
        return f"layers {self.start} to {self.stop - 1}"

    @property
    def share(self) -> float:
        """Share of the dense network's multiply-adds."""
        return self._share(self.start, self.stop)

    def widened(self, masks: Masks) -> Masks:
        """Masks of the part's own units, of `layout`, as masks of the network that keep all others."""
        whole = self._sub.bench.network.layout
        keep = np.ones((len(masks), whole.total), dtype=bool)
        for row in range(len(masks)):
            keep[row, self.units] = masks.unpack(row)
        return Masks.pack(keep, whole)

    def through(self, head: str = REST) -> float:
        """Share of the dense network's multiply-adds from where the part begins to a head's logits."""
        return self._share(self.start, self._sub.end if head == REST else self.stop)

    def price(self, head: str = REST) -> float:
        """Units that one evaluation at a head costs, once there are features."""
        return self.through(head) + self._surcharge

    def evaluate(self, masks: Masks, head: str = REST, weights: str | Sequence[str] = DENSE) -> NDArray[np.float64]:
        """Share of the search images misclassified at the head (an id, or REST), float64[masks].

        `weights` is one id, or one per mask.
        """
        ids = [weights] * len(masks) if isinstance(weights, str) else list(weights)
        if len(ids) != len(masks):
            raise ValueError(f"one weights id, or one per mask, but got {len(ids)} for {len(masks)} masks")
        price = self.price(head)
        self._feed("search", self._sub.bench.search, self.start)
        found = []
        for row, digest in enumerate(masks.digests()):
            compute = partial(self._error, masks[[row]], ids[row], head)
            values = self._ask("part", f"{self.start}:{self.stop} {head} {digest} {ids[row]}", price, compute)
            found.append(float(values[0]))
        return np.array(found)

    def _error(self, mask: Masks, weights: str, head: str) -> list[Any]:
        return [self._sub.error(mask, weights, head, self._sub.bench.search)]

    def fit_head(self, recipe: Recipe) -> str:
        """Train a pooling and linear detector on the unpruned part's features; returns its id for `evaluate`.

        The features are charged, and three passes of the detector for an image of an epoch. Raises ValueError for the
        last part, behind which the network itself classifies: evaluate it at REST.
        """
        if self.stop == self._sub.end:
            raise ValueError(
                f"a detector stands behind a part that ends before layer {self.stop}, but this is the last"
            )
        images = self._train_images(recipe)
        self._feed(self._name(images), images, self.stop)
        key = f"{self.stop} {recipe}"
        seed, price = self._seed_of(key), 3 * recipe.epochs * self._passes(images) * self._sub.head_share
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
        the unpruned features; with `before`, half of the input comes from that pruned network. Returns a weights id;
        training for another mask may begin there, with the dense network's values for what is zero.

        An image of an epoch is charged as three forward passes of the part, and of the rest where that is the head; the
        new weights' batch-norm images are charged as well.
        """
        if len(mask) != 1:
            raise ValueError(f"fit takes one mask, but got {len(mask)}")
        images = self._train_images(recipe)
        self._feed(self._name(images), images, self.start)
        self._feed(self._name(images), images, self.stop)
        if before is not None and self.start:
            self._feed(f"{self._name(images)} {before.key} into {self.start}", images, self.start, self._surcharge)
        price = self._passes(images) * self.through(head) * 3 * recipe.epochs + self._surcharge
        origin = "" if before is None else before.key
        key = f"{self.start}:{self.stop} {mask.digests()[0]} {weights} {head} {origin} {alpha} {recipe}"
        seed = self._seed_of(key)

        def compute() -> list[Any]:
            return [self._put(self._sub.fit(mask, weights, head, before, alpha, images, recipe, seed))]

        return self._ask("fit", key, price, compute)[0]

    def _feed(self, name: str, images: Images, layer: int, surcharge: float = 0.0) -> None:
        """Charge once for what enters a layer, from the last layer on that features are kept for."""
        fed = self._fed.setdefault(name, {0})
        if layer not in fed:
            earlier = max(known for known in fed if known < layer)
            price = self._share(earlier, layer) * self._passes(images) + surcharge
            self._ask("features", f"{layer} {name}", price, lambda: [0])
            fed.add(layer)

    def _train_images(self, recipe: Recipe) -> Images:
        bench = self._sub.bench
        return bench.subset("train", recipe.images or len(bench.loaded.data.train))

    def _name(self, images: Images) -> str:
        return f"train {len(images.labels)}"

    def _passes(self, images: Images) -> float:
        return len(images.labels) / len(self._sub.bench.search.labels)

    def _seed_of(self, key: str) -> int:
        return zlib.crc32(f"{self._seed} {key}".encode())

    def _put(self, state: State) -> str:
        return self._sub.bench.shelf.put(state)


def assembled(bench: Workbench, parts: Sequence[tuple[Part, str]]) -> State:
    """The trained network's weights, those of each part taken from a weights id."""
    whole = dict(bench.state(DENSE))
    for part, weights in parts:
        state = bench.state(weights)
        whole |= {name: state[name] for name in part._sub.owned}
    return whole
