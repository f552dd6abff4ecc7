"""Prices: what each kind of question costs, in passes: one pass is one dense forward pass over the search images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..errors import Faulty, InputError
from ..model.recipe import Recipe
from ..objective import Objective
from ..problem import LoadedProblem
from ..scorer import Scorer
from ..target import Meter
from .tuning import Tuning

PROOF = 8  # images on which a shrunk network must predict what the masked one does


@dataclass(frozen=True)
class Prices:
    """What questions about a problem cost; fields count images.

    A pass goes over the `search_images`; training and scoring draw on the `train_images`. `meter` is what physical
    objectives measure with, None where there are none.
    """

    trained: ClassVar[int] = 3  # forward passes that training on an image costs: the pass, and back, which is two
    tuned: ClassVar[int] = 4  # the same for tuning: the unpruned network's, the pruned one's, and back, which is two

    search_images: int
    train_images: int
    batch_norm_images: int  # behind the statistics of one candidate; 0 where they are frozen
    forwards: int = 0  # of one image, that are timed for a candidate and for the unpruned network beside it
    meter: Meter | None = None

    @classmethod
    def of(cls, loaded: LoadedProblem, meter: Meter | None) -> Prices:
        """Those of a loaded problem."""
        shifted, forwards = loaded.batch_norm_images, 0 if meter is None else meter.forwards
        sizes = len(loaded.search), len(loaded.data.train), 0 if shifted is None else len(shifted)
        return cls(*sizes, forwards, meter)

    def images(self, count: float) -> float:
        """The unpruned network's outputs for so many images, where its statistics are known."""
        return count / self.search_images

    def outputs(self, count: int) -> float:
        """A pruned network's outputs for so many images, and its statistics where they shift."""
        return self.images(count) + self.new_weights

    @property
    def new_weights(self) -> float:
        """The statistics of a network with new weights that is not pruned: the batch-norm images, where they shift."""
        return self.batch_norm_images / self.search_images

    @property
    def timing(self) -> float:
        """The forward passes that are timed for one candidate."""
        return self.forwards / self.search_images

    @property
    def evaluation(self) -> float:
        """One evaluation: a pass over the search images, the batch-norm images', and what is timed."""
        return self.outputs(self.search_images) + self.timing

    def scores(self, scorer: Scorer) -> float:
        """A scorer's answer, by the passes that it declares for each of its images; raises Faulty where it does not."""
        declared = scorer.images, scorer.passes
        if not all(isinstance(number, int) and number >= 0 for number in declared):
            spec = repr(scorer)
            told = f"must declare whole numbers of images and passes, 0 or more, but declares {declared}"
            raise Faulty(f"scorer {spec} {told}", "scorer", spec)
        return scorer.passes * min(scorer.images, self.train_images) / self.search_images

    def tuning(self, tuning: Tuning) -> float:
        """The tuning of a score."""
        return self.tuned * tuning.images / self.search_images

    def training(self, recipe: Recipe, taught: bool = False) -> float:
        """New weights for a whole network: an image of an epoch is three forward passes; and their statistics.

        `taught`: the unpruned network's outputs for each of the images as well, once.
        """
        visits = self.trained * recipe.epochs + taught
        return visits * self.epoch(recipe) / self.search_images + self.new_weights

    def part_training(self, recipe: Recipe, share: float) -> float:
        """Training of layers with so large a share of the network's multiply-adds, without statistics."""
        return self.images(self.epoch(recipe)) * share * self.trained * recipe.epochs

    def epoch(self, recipe: Recipe) -> int:
        """Images of one epoch."""
        return min(recipe.images or self.train_images, self.train_images)

    def trainable(self, passes: float, taught: bool = False) -> float:
        """How often training can look at an image for so many passes, as a number of images.

        `taught`: where it asks for the unpruned network's outputs for each as well, which it does once.
        """
        images = passes * self.search_images
        return max(images / (self.trained + taught), (images - taught * self.train_images) / self.trained)

    def probe(self, objectives: Sequence[Objective], count: int) -> float:
        """Objectives of one candidate on so many images: their outputs, and statistics, proof and timed passes.

        Raises InputError where a physical objective is asked for that the problem has no target for.
        """
        meter = self.meter
        if any(objective.physical and (meter is None or objective.timed > meter.timed) for objective in objectives):
            raise InputError("a physical objective, such as latency, must be among the problem's own")
        estimates = meter is not None and not meter.target.measured  # from widths, without the shrunk network
        predicts = any(objective.predicts for objective in objectives)
        shrinks = any(objective.physical and not (objective.timed and estimates) for objective in objectives)
        price = self.images(count) if predicts else 0.0
        price += self.new_weights if predicts or shrinks else 0.0
        price += self.images(2 * PROOF) if shrinks else 0.0
        return price + (self.timing if any(objective.timed for objective in objectives) else 0.0)
