"""Sub-networks: layers between two cuts, their error at a detector, and their training. Nothing is charged here.

Shang et al., "A Multi-objective Complex Network Pruning Framework Based on Divide-and-conquer and Global Performance
Impairment Ranking", arXiv 2303.16212.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..engine import Trainable
from ..mask import Masks
from ..model.cut import Cutter
from ..model.inputs import Shape
from ..model.recipe import Recipe
from ..model.rows import Source, Stream
from ..model.state import State, versioned
from ..model.training import Aim, train
from ..objective import classified
from .images import Images
from .shelf import copied
from .workbench import DENSE, Workbench

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
        self._heads: dict[str, Trainable] = {}  # detectors, by their id
        self._received: tuple[str, Images, Source] | None = None  # from the latest predecessor
        part = bench.network.cutter.part(start, stop)  # raises where it cannot be cut
        self.owned = frozenset(part.state_dict())  # names of the parameters and buffers of these layers

    def error(self, masks: Masks, weights: str, head: str, images: Images) -> float:
        """Share misclassified at the head, one mask."""
        sent = self.bench.sent(masks, weights, images, self.start, self.end if head == REST else self.stop)
        judge = (
            nn.Identity() if head == REST else detector(self.bench.shelf.get(head), self._sent).to(self.bench.device)
        )
        with torch.inference_mode():
            logits = torch.cat([judge(batch) for batch in sent])
        return float((~classified(logits.cpu().numpy(), images.labels)).mean())

    @property
    def _sent(self) -> Shape:
        """The shape of what one image becomes here."""
        return self.bench.network.entering(self.stop).shape

    def fit_head(self, images: Images, recipe: Recipe, seed: int) -> State:
        """A pooling and linear detector of the classes, trained on the unpruned part's features."""
        features = torch.cat([pooled(batch) for batch in self.bench.entering(images, self.stop).split(BATCH)])
        labels = torch.from_numpy(images.labels).to(features.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = nn.Linear(features.shape[1], self.bench.loaded.data.classes)
        module = nn.Sequential(head)
        learner = self.bench.trainable(module, (head.in_features,), self.head_share)
        train(module, features, labels, recipe, seed, steps=learner.steps)
        return copied(head)

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
        source, target = self._source(before, images, seed), self.bench.entering(images, self.stop)
        labels = torch.from_numpy(images.labels).to(self.bench.device)
        module, part = self.bench.network.module, self._part
        self._whole.load_state_dict(versioned(self._revived(weights), module.state_dict()))
        aim = Aim(labels, self._judge(head), target, alpha)
        own = {name for name, _ in part.module.named_parameters()}
        keep = {name: kept for name, kept in self.bench.network.keep(mask, 0).items() if name in own}
        source = part.place(source)
        train(part.module, source, aim, recipe, seed, keep=keep, steps=part.steps)
        return copied(self._whole)

    @cached_property
    def _whole(self) -> nn.Module:
        """A copy of the network whose weights change from training to training."""
        return copy.deepcopy(self.bench.network.module)

    @cached_property
    def _part(self) -> Trainable:
        return self._between(self.start, self.stop)

    @cached_property
    def _rest(self) -> Trainable:
        return self._between(self.stop, self.end)

    def _between(self, start: int, stop: int) -> Trainable:
        """Layers of the copy, as they are trained or let gradients through."""
        network, cutter = self.bench.network, self._cutter
        inputs, share = network.entering(start), network.share(start, stop)
        return self.bench.trainable(cutter.part(start, stop), inputs, share, partial(cutter.pieces, start, stop))

    @cached_property
    def _cutter(self) -> Cutter:
        return Cutter(self._whole, self._layers)

    def _revived(self, weights: str) -> State:
        """Weights with the dense network's values for those parameters of this part that are zero."""
        state, dense = self.bench.state(weights), self.bench.state(DENSE)
        names = [name for name, _ in self.bench.network.module.named_parameters() if name in self.owned]
        return state | {name: torch.where(state[name] == 0, dense[name], state[name]) for name in names}

    def _judge(self, head: str) -> Trainable | None:
        """What makes logits of the part's outputs; None where they are logits."""
        if head == REST:
            return None if self.stop == self.end else self._rest
        if head not in self._heads:
            module = detector(self.bench.shelf.get(head), self._sent)
            self._heads[head] = self.bench.trainable(module, self._sent, self.head_share)
        return self._heads[head]

    def _source(self, before: Predecessor | None, images: Images, seed: int) -> Source:
        """The part's inputs: what the unpruned network sends, half of them replaced by what a pruned one does."""
        unpruned = self.bench.entering(images, self.start)
        if before is None or self.start == 0:
            return unpruned
        coin = torch.rand(len(unpruned), generator=torch.Generator().manual_seed(seed)) < 0.5
        pruned = self._receive(before, images)

        def mixed(rows: NDArray[np.int64]) -> Tensor:
            chosen = torch.from_numpy(rows)
            ours, theirs = unpruned[chosen], pruned[chosen]
            return torch.where(coin[chosen].to(ours.device).view(-1, *[1] * (ours.dim() - 1)), ours, theirs)

        found = Stream(tuple(pruned.shape), mixed)
        return found if isinstance(pruned, Stream) else found[:]

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


def pooled(features: Tensor) -> Tensor:
    """Feature maps averaged over their positions, [n, channels]; others in one row each."""
    return features.mean(dim=tuple(range(2, features.dim()))) if features.dim() >= 4 else features.flatten(1)


def detector(head: State, shape: Shape) -> nn.Module:
    """What gives logits [n, classes] of features [n, *shape], by weights of `SubNetwork.fit_head`."""
    classes, features = head["weight"].shape
    layer = nn.utils.skip_init(nn.Linear, features, classes)  # drawing weights would move torch's random state
    layer.load_state_dict(head)
    pooling: dict[int, nn.Module] = {3: nn.AdaptiveAvgPool2d(1), 4: nn.AdaptiveAvgPool3d(1)}
    return nn.Sequential(pooling.get(len(shape), nn.Identity()), nn.Flatten(), layer).eval().requires_grad_(False)
