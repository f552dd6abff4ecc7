"""Parts: a sub-network searched and trained on its own, on features that the unpruned network sends it.

Shang et al., "A Multi-objective Complex Network Pruning Framework Based on Divide-and-conquer and Global Performance
Impairment Ranking", arXiv 2303.16212; what is charged is the dense share of the layers that run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..mask import Layout, Masks
from ..model.recipe import Recipe
from ..model.state import State
from .answer import Question
from .desk import Desk
from .images import Images
from .shelf import for_each
from .subnetwork import REST, Predecessor, SubNetwork
from .workbench import DENSE, Workbench

Fed = dict[str, set[int]]  # by images: the layers whose features from the unpruned network have been paid for


class Part:
    """A sub-network as a method sees it, `task.part(start, stop)`: layers[start:stop], fed by the unpruned network.

    Masks are of the whole network; bits outside the part are to be kept. Everything is charged the dense share of the
    layers and images that run; features are computed and charged once for all parts. `layout` is of the units inside,
    which may be none, and `units` says where they lie in an unpacked mask of the network.
    """

    def __init__(self, sub: SubNetwork, desk: Desk, fed: Fed) -> None:
        self._sub = sub
        self._desk = desk
        self._fed = fed
        self._prices = sub.bench.prices
        self._share = sub.bench.network.share
        self.start, self.stop = sub.start, sub.stop
        whole, own = sub.bench.network.layout, sub.groups()
        first = sum(whole.sizes[: own.start])
        self.layout = Layout(whole.units, whole.groups[own])
        self.units = slice(first, first + self.layout.total)

    def __str__(self) -> str:
        last = self.stop - 1
        return f"layer {last}" if self.start == last else f"layers {self.start} to {last}"

    @property
    def share(self) -> float:
        """Share of the dense network's multiply-adds."""
        return self._share(self.start, self.stop)

    def widened(self, masks: Masks) -> Masks:
        """Masks of the part's own units, of `layout`, as masks of the network that keep all others."""
        whole = self._sub.bench.network.layout
        found, keep = whole.full(len(masks)), np.ones(whole.total, dtype=bool)
        for row, bits in enumerate(found.bits):
            keep[self.units] = masks.unpack(row)
            bits[:] = np.packbits(keep)
        return found

    def through(self, head: str = REST) -> float:
        """Share of the dense network's multiply-adds from where the part begins to a head's logits."""
        return self._share(self.start, self._sub.end if head == REST else self.stop)

    def price(self, head: str = REST) -> float:
        """Passes that one evaluation at a head costs, once there are features."""
        return self.through(head) + self._prices.new_weights

    def evaluate(self, masks: Masks, head: str = REST, weights: str | Sequence[str] = DENSE) -> NDArray[np.float64]:
        """Share of the search images misclassified at the head (an id, or REST), float64[masks].

        `weights` is one id, or one per mask.
        """
        weights, price = for_each(masks, weights), self.price(head)
        self._feed("search", self._sub.bench.search, self.start)
        found = []
        for row, mask in enumerate(masks.digests()):
            compute = partial(self._error, masks[[row]], weights[row], head)
            question = Question.of("part", layers=self._layers, head=head, mask=mask, weights=weights[row])
            found.append(float(self._desk.ask(question, price, compute).values[0]))
        return np.array(found)

    def _error(self, mask: Masks, weights: str, head: str) -> list[Any]:
        return [self._sub.error(mask, weights, head, self._sub.bench.search)]

    def price_of_head(self, recipe: Recipe) -> float:
        """Passes that `fit_head` costs, without the features, which are charged once for all that reads them."""
        return self._prices.part_training(recipe, self._sub.head_share)

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
        question = Question.of("head", layer=str(self.stop), recipe=repr(recipe))
        seed, price = self._desk.seed_of(question), self.price_of_head(recipe)
        compute = lambda: [self._put(self._sub.fit_head(images, recipe, seed))]  # noqa: E731
        return self._desk.ask(question, price, compute).values[0]

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
            self._feed(f"{self._name(images)} {before.key} into {self.start}", images, self.start, pruned=True)
        price = self._prices.part_training(recipe, self.through(head)) + self._prices.new_weights
        question = Question.of(
            "fit",
            layers=self._layers,
            mask=mask.digests()[0],
            weights=weights,
            head=head,
            before="" if before is None else before.key,
            alpha=str(alpha),
            recipe=repr(recipe),
        )
        seed = self._desk.seed_of(question)

        def compute() -> list[Any]:
            return [self._put(self._sub.fit(mask, weights, head, before, alpha, images, recipe, seed))]

        return self._desk.ask(question, price, compute).values[0]

    def _feed(self, name: str, images: Images, layer: int, pruned: bool = False) -> None:
        """Charge once for what enters a layer, from the last layer on that features are kept for."""
        fed = self._fed.setdefault(name, {0})
        if layer not in fed:
            earlier = max(known for known in fed if known < layer)
            price = self._share(earlier, layer) * self._prices.images(len(images.labels))
            price += self._prices.new_weights if pruned else 0.0
            self._desk.ask(Question.of("features", layer=str(layer), images=name), price, lambda: [0])
            fed.add(layer)

    def _train_images(self, recipe: Recipe) -> Images:
        return self._sub.bench.subset("train", self._prices.epoch(recipe))

    def _name(self, images: Images) -> str:
        return f"train {len(images.labels)}"

    @property
    def _layers(self) -> str:
        """Which layers these are, for the journal."""
        return f"{self.start}:{self.stop}"

    def _put(self, state: State) -> str:
        return self._sub.bench.shelf.put(state)


def assembled(bench: Workbench, parts: Sequence[tuple[Part, str]]) -> State:
    """The trained network's weights, those of each part taken from a weights id."""
    whole = dict(bench.state(DENSE))
    for part, weights in parts:
        state = bench.state(weights)
        whole |= {name: state[name] for name in part._sub.owned}
    return whole
