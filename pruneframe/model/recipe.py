"""How to train: the settings of stochastic gradient descent, its learning rate over time, its images."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from operator import lt
from typing import Literal, get_args

from ..errors import InputError

Schedule = Literal["cosine", "constant", "steps", "one-cycle"]
USUAL = 6  # fields that every recipe states; what comes behind is stated where it is not as it would be anyway


@dataclass(frozen=True, repr=False)
class Recipe:
    """How to train by SGD.

    `batch` is the images of a step; `momentum`, `nesterov`, `weight_decay` and `label_smoothing` are torch's. The
    learning rate rises from 0 to `learning_rate` in a line over the first `warmup` epochs, and then

    - `cosine`: falls to 0 along one half of a cosine (Loshchilov and Hutter, ICLR 2017, without restarts);
    - `constant`: stays;
    - `steps`: is multiplied by `gamma` at each of the `milestones`, shares of the whole training;
    - `one-cycle`: falls to 0 in a line (Smith and Topin, arXiv 1708.07120); it needs a warm-up.

    `crop` pads images, as the network sees them, by so many zeros on each side, and takes a random piece of the old
    size; `flip` mirrors each with probability 1/2, left to right (He et al., CVPR 2016, section 4.2, have both).
    `source` says where the recipe comes from, and is no part of what it does. Raises InputError for what cannot be.
    """

    epochs: int = 1
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 128
    images: int | None = None  # how many training images an epoch uses; None: all
    schedule: Schedule = "cosine"  # of the learning rate
    warmup: float = 0.0  # epochs
    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1
    nesterov: bool = False
    label_smoothing: float = 0.0
    crop: int = 0  # pixels
    flip: bool = False
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.schedule not in get_args(Schedule):
            raise InputError(f"schedule must be one of {', '.join(get_args(Schedule))}, but got {self.schedule!r}")
        shares = (0.0, *self.milestones, 1.0)
        for name, rule, holds in (
            ("epochs", "epochs >= 0", self.epochs >= 0),
            ("batch", "batch >= 1", self.batch >= 1),
            ("learning_rate", "learning_rate >= 0, a finite one", 0 <= self.learning_rate < math.inf),
            ("momentum", "0 <= momentum < 1", 0 <= self.momentum < 1),
            ("label_smoothing", "0 <= label_smoothing < 1", 0 <= self.label_smoothing < 1),
            ("crop", "crop >= 0", self.crop >= 0),
            ("warmup", "0 <= warmup < epochs", self.warmup == 0 or 0 < self.warmup < self.epochs),
            ("warmup", "warmup > 0 for one-cycle", self.warmup > 0 or self.schedule != "one-cycle"),
            ("momentum", "momentum > 0 for nesterov", self.momentum > 0 or not self.nesterov),
            ("milestones", "milestones in (0, 1) that ascend", all(map(lt, shares, shares[1:]))),
        ):
            if not holds:
                raise InputError(f"a recipe needs {rule}, but got {name}={getattr(self, name)}")

    def __repr__(self) -> str:
        """What it does. A search draws its seeds from this text, so a recipe without new fields keeps its old one."""
        own = [one for one in fields(self) if one.compare]
        told = own[:USUAL] + [one for one in own[USUAL:] if getattr(self, one.name) != one.default]
        return f"Recipe({', '.join(f'{one.name}={getattr(self, one.name)!r}' for one in told)})"

    def rate(self, done: float) -> float:
        """The learning rate when so large a share of the training is done."""
        warm = self.warmup / self.epochs
        if done < warm:
            return self.learning_rate * done / warm
        left = (done - warm) / (1 - warm)
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * left)) / 2
        if self.schedule == "one-cycle":
            return self.learning_rate * (1 - left)
        if self.schedule == "steps":
            return self.learning_rate * self.gamma ** sum(done >= share for share in self.milestones)
        return self.learning_rate

    @property
    def augments(self) -> bool:
        """Whether an epoch sees other images than there are."""
        return self.crop > 0 or self.flip

    @property
    def plain(self) -> bool:
        """Whether its steps are those of momentum and cross-entropy alone, which the kernel takes."""
        return not self.nesterov and self.label_smoothing == 0
