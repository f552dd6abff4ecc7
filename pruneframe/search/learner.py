"""A network whose weights change, on training images.

It may learn from labels and, beside them, from what the unpruned network makes of the images: the mean squared distance
of logits, half of which the divergence of Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network",
arXiv 1503.02531, section 2.1, tends to at high temperatures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch

from ..engine import Trainable
from ..mask import Masks
from ..model.recipe import Recipe
from ..model.rows import Source
from ..model.state import State, versioned
from ..model.trace import device_of
from ..model.training import Aim, train
from ..problem import LoadedProblem
from .answer import Question
from .images import Images
from .shelf import copied
from .spool import spooled

CHUNK = 100  # images of which the unpruned network's outputs are computed at once


def lesson(mask: Masks, weights: str, recipe: Recipe, alpha: float) -> Question:
    """What is asked of a training; raises ValueError for what cannot be learned."""
    if len(mask) != 1:
        raise ValueError(f"train takes one mask, but got {len(mask)}")
    if not 0 <= alpha < math.inf:
        raise ValueError(f"alpha must be a finite number >= 0, but got {alpha}")
    if alpha and recipe.augments:
        raise ValueError(f"alpha must be 0 where a recipe crops or flips images, but got {alpha}")
    taught = {"alpha": repr(alpha)} if alpha else {}
    return Question.of("train", mask=mask.digests()[0], weights=weights, recipe=repr(recipe), **taught)


class Learner:
    """A copy of a problem's network that is trained, `own`; `dense` are the unpruned one's parameters and buffers.

    What it has learned from last is kept: the images, and the unpruned network's outputs for them, in `folder` where
    they are many.
    """

    def __init__(self, loaded: LoadedProblem, own: Trainable, dense: State, folder: Path | None) -> None:
        self._loaded = loaded
        self._own = own
        self._dense = dense
        self._folder = folder
        self._device = device_of(own.module)
        self._latest: Images | None = None
        self._logits: Source | None = None

    def train(
        self,
        mask: Masks,
        state: State,
        recipe: Recipe,
        count: int,
        seed: int,
        alpha: float,
        tell: Callable[[float], None] | None,
    ) -> State:
        """The weights, on the CPU, after masked training from a state on so many images; `tell` hears the share done.

        The loss has alpha x mean squared distance to the unpruned network's logits in it.
        """
        images = self._images(count)
        labels = torch.from_numpy(images.labels).to(self._device)
        aim = Aim(labels, target=self._taught(images), alpha=alpha) if alpha else Aim(labels)
        self._become(state)
        keep = self._loaded.network.keep(mask, 0)
        train(self._own.module, images.tensor, aim, recipe, seed, keep=keep, steps=self._own.steps, tell=tell)
        return copied(self._own.module)

    def _become(self, state: State) -> None:
        self._own.module.load_state_dict(versioned(state, self._loaded.network.module.state_dict()))

    def _images(self, count: int) -> Images:
        """Training images as they are trained on, and their labels; those of the latest count are kept."""
        if self._latest is None or len(self._latest.labels) != count:
            self._latest = self._logits = None  # before others take memory
            split = self._loaded.training_images(count)
            self._latest = Images(split, lambda: self._own.place(self._loaded.data.source(split)))
        return self._latest

    def _taught(self, images: Images) -> Source:
        """What the unpruned network makes of the latest images, float32[n, classes]."""
        if self._logits is None:
            self._become(self._dense)
            count = len(images.labels)
            rows = torch.arange(count, device=self._device).split(self._loaded.network.at_once(CHUNK))
            with torch.no_grad():
                self._logits = spooled((self._own(images.tensor[part]) for part in rows), count, self._folder)
        return self._logits
