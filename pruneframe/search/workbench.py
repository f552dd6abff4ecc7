"""The workbench: where a problem's images and weights lie, and where candidates are measured, scored and trained.

Nothing here is charged or logged; the door (`pruneframe.task`) and the study use it, methods never see it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..encoding import Scores
from ..engine import Engine, Pieces, Precision, Trainable, memory_format, multiplies_bfloat16, search_precision
from ..errors import Overstepped
from ..mask import Masks
from ..model.data import Split
from ..model.inputs import Inputs, Shape
from ..model.network import Network
from ..model.recipe import Recipe
from ..model.rows import Source
from ..model.shrink import proved
from ..model.state import State, reweighted
from ..objective import Candidate, Logits, Objective
from ..problem import LoadedProblem
from ..scorer import Scorer
from ..target import Meter
from .images import Images
from .judge import Judge
from .learner import Learner
from .loans import changed, tensors
from .prices import PROOF, Prices
from .scoring import scored
from .shelf import Shelf
from .slopes import Slopes
from .spool import spooled
from .tuning import Tuning, tune

FEW = 8  # images on which the engine must compute what the module does
SERIES = 10  # candidates that take turns where something is measured, at most
DENSE = "dense"  # the id of the trained weights that the problem came with


class Workbench:
    """A loaded problem on one device, and the weights that a run has trained, by id, on its shelf.

    `meter` is what physical objectives measure on; None where there are none. `precision` is the search's, the
    device's default where none is given; what is asked for exactly is float32.
    """

    def __init__(
        self,
        loaded: LoadedProblem,
        device: str,
        shelf: Shelf,
        meter: Meter | None = None,
        precision: Precision | None = None,
    ) -> None:
        self.loaded = loaded
        self.meter = meter
        self.precision = precision or search_precision(device)
        self.network = loaded.network
        self.prices = Prices.of(loaded, meter)
        self.shelf = shelf
        self._device = device
        if loaded.outcomes is None:  # what is wrong with it is told early
            self._engine  # noqa: B018
        self._original = {name: tensor.detach().clone() for name, tensor in tensors(loaded.network.module).items()}
        self.judge = Judge(loaded.network)
        self._subsets: dict[tuple[str, int], Images] = {}
        self._dense: dict[Images, Candidate] = {}
        self._entering: dict[tuple[Images, int], Source] = {}  # features of the dense network, by images and layer

    @cached_property
    def _engine(self) -> Engine:
        loaded = self.loaded
        calibration = loaded.batch_norm_images
        shifting = None if calibration is None else loaded.data.source(calibration)
        sample = loaded.data.tensor(loaded.search.take(np.arange(min(FEW, len(loaded.search)))))
        return Engine(loaded.network, self._device, shifting, sample, self.precision)

    @property
    def notice(self) -> str:
        """How candidates are computed here, and why."""
        outcomes = self.loaded.outcomes
        if outcomes is None or self.precision != "float32":
            return self._engine.notice
        return f"a table of all {outcomes.masks} masks"

    @property
    def device(self) -> str:
        """Where candidates are computed."""
        return self._engine.device

    def images(self, split: Split) -> Images:
        """A split on the device; one that is too large to be held in memory is streamed."""
        return Images(split, lambda: self._engine.place(self.loaded.data.source(split)), self.loaded.told(split))

    @cached_property
    def search(self) -> Images:
        """The search split."""
        return self.images(self.loaded.search)

    def subset(self, images: Literal["train", "search"], count: int) -> Images:
        """A fixed stratified subset of a split, all of it when it has no more."""
        if (images, count) not in self._subsets:
            if images == "train":
                split = self.loaded.training_images(count)
            else:
                split = self.loaded.search.chosen(min(count, len(self.loaded.search)))
            self._subsets[images, count] = self.images(split)
        return self._subsets[images, count]

    def state(self, weights: str) -> State:
        """The parameters and buffers of a weights id."""
        return self._dense_state if weights == DENSE else self.shelf.get(weights)

    @cached_property
    def _dense_state(self) -> State:
        return {name: self._original[name] for name in self.network.module.state_dict()}

    def candidates(
        self, masks: Masks, weights: Sequence[str], images: Images, exact: bool = False
    ) -> Iterator[Candidate]:
        """Each pruned network in turn, its outputs on `images` computed; weights[i] is the id under masks[i].

        `exact`: in float32, whatever the precision of the search, as what is reported must be.
        """
        if self._tells(images, exact) and all(name == DENSE for name in weights):
            yield from self._unseen(masks, weights, images, exact)
            return
        outputs = self._engine.logits(masks, list(map(self.state, weights)), images.tensor, exact)
        dense = self.dense(images)
        for row, logits in enumerate(outputs):
            yield self._candidate(masks[[row]], weights[row], images, partial(np.asarray, logits), dense)

    def measure(
        self, masks: Masks, weights: Sequence[str], objectives: Sequence[Objective], images: Images
    ) -> Iterator[list[float]]:
        """Objective values of each candidate in turn, computed as they are asked for."""
        if any(objective.predicts for objective in objectives):
            candidates = self.candidates(masks, weights, images)
        else:
            candidates = self._unseen(masks, weights, images)
        size = SERIES if self.meter is not None and self.meter.measured else 1
        while series := list(islice(candidates, size)):
            columns = [self.judge.values(objective, series) for objective in objectives]
            yield from ([float(value) for value in row] for row in zip(*columns, strict=True))

    def settle(self) -> None:
        """Raise Overstepped where an objective has changed its network or run it, or anybody the unpruned one."""
        self.judge.settle()
        if next(changed(tensors(self.network.module), self._original), None) is not None:
            raise Overstepped("nobody may change the unpruned network itself, but this run did; use what is handed out")

    def _unseen(self, masks: Masks, weights: Sequence[str], images: Images, exact: bool = False) -> Iterator[Candidate]:
        """Pruned networks whose outputs are computed when somebody asks for them."""
        dense = self.dense(images)
        for row in range(len(masks)):
            predict = partial(self._logits, masks[[row]], weights[row], images, exact)
            yield self._candidate(masks[[row]], weights[row], images, predict, dense, exact)

    def _logits(self, mask: Masks, weights: str, images: Images, exact: bool) -> Logits:
        return next(self._engine.logits(mask, [self.state(weights)], images.tensor, exact))

    def _tells(self, images: Images, exact: bool) -> bool:
        """Whether a table answers for these images; it is in float32."""
        return images.told is not None and (exact or self.precision == "float32")

    def dense(self, images: Images) -> Candidate:
        """The unpruned network on some images; its outputs are computed once, in float32, when first asked for."""
        if images not in self._dense:
            mask = self.network.layout.full()
            predict = partial(self._logits, mask, DENSE, images, True)
            self._dense[images] = self._candidate(mask, DENSE, images, predict, None, exact=True)
        return self._dense[images]

    def _candidate(
        self,
        mask: Masks,
        weights: str,
        images: Images,
        predict: Callable[[], Logits],
        dense: Candidate | None,
        exact: bool = False,
    ) -> Candidate:
        known = images.told if self._tells(images, exact) and weights == DENSE else None
        return Candidate(
            network=self.network,
            masks=mask,
            weights=weights,
            labels=images.labels,
            classes=self.loaded.data.classes,
            predict=predict,
            make_shrunk=lambda: proved(self.network, mask, self.masked(mask, weights), self._proof),
            dense=dense,
            target=None if self.meter is None else self.meter.target,
            told=None if known is None else known(mask),
        )

    @cached_property
    def _proof(self) -> Tensor:
        """The images on which a shrunk network is compared with the masked one."""
        return self.search.tensor[:PROOF].cpu().contiguous()

    def entering(self, images: Images, layer: int) -> Source:
        """What the dense network sends into a layer, or its outputs behind the last one; computed once and kept."""
        if layer == 0:
            return images.tensor
        if (images, layer) not in self._entering:
            earlier = max((known for other, known in self._entering if other is images and known < layer), default=0)
            dense, source = self.network.layout.full(), self.entering(images, earlier)
            sent = self._engine.outputs(dense, self.state(DENSE), source, earlier, layer)
            self._entering[images, layer] = spooled(sent, len(images.labels), self.shelf.folder)
        return self._entering[images, layer]

    def sent(self, mask: Masks, weights: str, images: Images, start: int, stop: int) -> Iterator[Tensor]:
        """What one candidate's layers[start:stop] make of images (start 0) or of what the dense network sends them.

        Batch by batch; all must be taken before anything else is computed here.
        """
        return self._engine.outputs(mask, self.state(weights), self.entering(images, start), start, stop)

    def features(self, mask: Masks, weights: str, images: Images, start: int, stop: int) -> Source:
        """The same as one tensor, or as a stream where that would be too large."""
        return spooled(self.sent(mask, weights, images, start, stop), len(images.labels), self.shelf.folder)

    def masked(self, mask: Masks, weights: str) -> State:
        """The state dict of one pruned network, zeros in place, statistics shifted where the problem says so."""
        return self._engine.masked(mask, self.state(weights))

    def score(self, scorer: Scorer, rng: np.random.Generator, weights: str = DENSE) -> Scores:
        """Importance of every unit, float32[units], by what a scorer sees of as many training images as it asks for."""
        network = self.network if weights == DENSE else self._reweighted(weights)
        split = self.loaded.training_images(scorer.images) if scorer.images else None
        return scored(network, scorer, self.loaded.data, split, rng)

    def _reweighted(self, weights: str) -> Network:
        """The dense network with other weights."""
        return self.network.twin(reweighted(self.network.module, self.state(weights)))

    def tune(
        self, scores: Scores, tuning: Tuning, rng: np.random.Generator, tell: Callable[[float], None] | None = None
    ) -> Scores:
        """A score that is tuned on training images, float32[units]; `tell` hears what share is done."""
        return tune(self.slopes, scores, tuning, rng, tell)

    @cached_property
    def slopes(self) -> Slopes:
        """What tuning follows; a guide alone, and so in bfloat16 wherever a processor multiplies it."""
        device = torch.device(self.device)
        guide = device.type == "cpu" and multiplies_bfloat16(device)
        halves = guide or self.precision == "bfloat16"
        return Slopes(self.network, self.loaded.data, device, self.loaded.batch_norm_images is not None, halves)

    def train(
        self,
        mask: Masks,
        weights: str,
        recipe: Recipe,
        seed: int,
        alpha: float = 0.0,
        tell: Callable[[float], None] | None = None,
    ) -> State:
        """What masked training on the train split makes of weights, on the CPU; see `Learner.train`."""
        return self._learner.train(mask, self.state(weights), recipe, self.prices.epoch(recipe), seed, alpha, tell)

    @cached_property
    def _learner(self) -> Learner:
        """A copy of the network whose weights change."""
        own = self.trainable(copy.deepcopy(self.network.module), self.network.inputs, 1.0)
        return Learner(self.loaded, own, self._dense_state, self.shelf.folder)

    def trainable(self, module: nn.Module, inputs: Inputs | Shape, share: float, pieces: Pieces = tuple) -> Trainable:
        """A module, or its `pieces`, that trains here: `share` of the network's multiply-adds, in its precision."""
        module.to(self.device)
        halves = self.precision == "bfloat16"
        return Trainable(module, inputs, share * self.network.total_macs, self._format, halves, pieces)

    @cached_property
    def _format(self) -> torch.memory_format:
        return memory_format(self.network)
