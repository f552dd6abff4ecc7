"""Sub-networks: layers between two cuts, their error at a detector, and their training. Nothing is charged here.

Shang et al., "A Multi-objective Complex Network Pruning Framework Based on Divide-and-conquer and Global Performance
Impairment Ranking", arXiv 2303.16212.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..mask import Masks
from ..model.cut import Cutter
from ..model.network import State, reweighted
from ..model.rows import Source, Stream
from ..model.training import Recipe, train
from ..objective import classified
from .workbench import DENSE, Images, Workbench

BATCH = 125  # features that are pooled at once
REST = "rest"  # the head that is the untouched rest of the network


@dataclass(frozen=True)
class Predecessor:
    """A pruned network whose earlier layers send features to a part: `masks` holds one, `weights` is its id."""

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
        self._received: tuple[str, Images, Source] | None = None  # from the latest predecessor
        part = bench.network.cutter.part(start, stop)  # raises where it cannot be cut
        self.owned = frozenset(part.state_dict())  # names of the parameters and buffers of these layers

    def error(self, masks: Masks, weights: str, head: str, images: Images) -> float:
        """Share misclassified at the head, one mask."""
        sent = self.bench.sent(masks, weights, images, self.start, self.end if head == REST else self.stop)
        out = torch.cat([batch if head == REST else pooled(batch) for batch in sent])
        with torch.inference_mode():
            logits = out if head == REST else linear(self.bench.shelf.get(head), out)
        return float((~classified(logits.cpu().numpy(), images.labels)).mean())

    def fit_head(self, images: Images, recipe: Recipe, seed: int) -> State:
        """A pooling and linear detector of the classes, trained on the unpruned part's features."""
        features = torch.cat([pooled(batch) for batch in self.bench.entering(images, self.stop).split(BATCH)])
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
        target = trainable(self.bench.entering(images, self.stop))
        device = torch.device(self.bench.device)
        labels = torch.from_numpy(images.labels).to(device)
        whole = reweighted(self.bench.network.module, self._revived(weights))
        whole.to(device)
        cutter = Cutter(whole, self._layers)
        part, detect = cutter.part(self.start, self.stop), self._detector(head, cutter, device)

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

    def _source(self, before: Predecessor | None, images: Images, seed: int) -> Source:
        """The part's inputs: what the unpruned network sends, half of them replaced by what a pruned one does."""
        unpruned = self.bench.entering(images, self.start)
        if before is None or self.start == 0:
            return trainable(unpruned)
        coin = torch.rand(len(unpruned), generator=torch.Generator().manual_seed(seed)) < 0.5
        pruned = self._receive(before, images)

        def mixed(rows: NDArray[np.int64]) -> Tensor:
            chosen = torch.from_numpy(rows)
            ours, theirs = unpruned[chosen], pruned[chosen]
            return torch.where(coin[chosen].to(ours.device).view(-1, *[1] * (ours.dim() - 1)), ours, theirs)

        found = Stream(tuple(pruned.shape), mixed)
        return found if isinstance(pruned, Stream) else trainable(found[:])

    def _receive(self, before: Predecessor, images: Images) -> Source:
        """What a pruned predecessor sends; the latest is kept, since a front is trained on one."""
        if self._received is None or self._received[0] != before.key or self._received[1] is not images:
            sent = self.bench.features(before.masks, before.weights, images, 0, self.start)
            self._received = before.key, images, sent
        return self._received[2]

    @property
    def head_share(self) -> float:
        """Multiply-adds of a linear detector behind this part, as a share of the dense network's."""
        shape = next(cut.shape for cut in self.bench.network.cuts if cut.layer == self.stop)
        inputs = shape[0] if len(shape) >= 3 else math.prod(shape)
        return inputs * self.bench.loaded.data.classes / self.bench.network.total_macs

    def groups(self) -> slice:
        """Which of the layout's layers lie here; they are in forward order."""
        places = [self._layers.index(group.layer) for group in self.bench.network.layout.groups]
        return slice(sum(place < self.start for place in places), sum(place < self.stop for place in places))


def trainable(features: Source) -> Source:
    """Features that gradients may be computed with; those of a stream are so as they are."""
    return features.clone() if isinstance(features, Tensor) and features.is_inference() else features


def pooled(features: Tensor) -> Tensor:
    """Feature maps averaged over their positions, [n, channels]; others in one row each."""
    return features.mean(dim=tuple(range(2, features.dim()))) if features.dim() >= 4 else features.flatten(1)


def linear(head: State, features: Tensor) -> Tensor:
    """A detector's logits [n, classes]."""
    return F.linear(pooled(features), head["weight"].to(features.device), head["bias"].to(features.device))
