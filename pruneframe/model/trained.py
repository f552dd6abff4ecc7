"""Weights that are trained here, by the recipe of their literature or its short form, and that can be handed on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from filelock import FileLock, Timeout
from torch import nn

from ..errors import InputError
from ..files import cache_folder, write_whole
from .data import Data
from .fetch import find
from .precision import multiplies_bfloat16
from .recipe import Recipe
from .sealed import read_sealed, write_sealed
from .session import Epoch, Session, Watch
from .weights import Progress, fill


@dataclass(frozen=True)
class Pupil:
    """An instance of a problem that is to be trained: an untrained module, and its data."""

    module: nn.Module
    data: Data
    instance: int = 0
    problem: str = ""  # its name

    @cached_property
    def key(self) -> str:
        """The network and its training images."""
        shapes = [tuple(p.shape) for p in self.module.parameters()]
        return f"{self.module} {shapes} {self.data.train.digest} {self.data.mean} {self.data.std}"

    @property
    def called(self) -> str:
        """Its name and instance, in a line."""
        return f"{self.problem or type(self.module).__name__}, instance {self.instance}"


@dataclass(frozen=True)
class Trained:
    """Weights that are trained here, on the train split alone, when first needed, and kept in the cache.

    An instance's are trained from it as a seed. `short` is a recipe for whoever has not the time for `recipe`: its
    weights are used where those of `recipe` are not at hand. Convolutions and products of the training are
    float32, or bfloat16 where the device multiplies it; weights, sums and batch norm are float32 always.
    """

    recipe: Recipe  # how they are trained
    short: Recipe | None = None
    precision: Literal["float32", "bfloat16"] = "float32"  # of convolutions and products
    vary: ClassVar[bool] = True  # from instance to instance

    def __post_init__(self) -> None:
        if self.recipe.epochs < 1:
            raise InputError(f"weights that are trained need epochs >= 1, but got epochs={self.recipe.epochs}")

    @property
    def lines(self) -> list[str]:
        """Where they come from, for people."""
        forms = [("trained here", self.recipe), *([("short form", self.short)] if self.short else [])]
        return [f"{name}: {form!r}" + (f"; {form.source}" if form.source else "") for name, form in forms]

    def at_hand(
        self, module: Callable[[], nn.Module], data: Callable[[], Data], instance: int = 0, problem: str = ""
    ) -> bool:
        """Whether nothing must be trained any more."""
        return self._found(Pupil(module(), data(), instance, problem)) is not None

    def load(
        self, module: nn.Module, data: Callable[[], Data], report: Progress, instance: int = 0, problem: str = ""
    ) -> None:
        """Fill the module from what is at hand, or train it first."""
        pupil = Pupil(module, data(), instance, problem)
        found = self._found(pupil)
        form, path = found or (self, self.learn(pupil, Lines(report, pupil, self.recipe.epochs)))
        if form is not self:
            report(f"{pupil.called} has weights of its short form, {form.recipe.epochs} epochs")
        form.read(path, pupil)

    def _found(self, pupil: Pupil) -> tuple[Trained, Path] | None:
        """What is at hand: weights of the recipe, or else of its short form, behind the form that they are of."""
        forms = (self,) if self.shortened is None else (self, self.shortened)
        return next(((form, path) for form in forms if (path := form.find(pupil)) is not None), None)

    @property
    def shortened(self) -> Trained | None:
        """The same by the short form alone."""
        return None if self.short is None else replace(self, recipe=self.short, short=None)

    def find(self, pupil: Pupil) -> Path | None:
        """Where the weights are, in the folder of data that the user names or in the cache."""
        return find(f"weights/{self.name(pupil)}.safetensors")

    def forget(self, pupil: Pupil) -> None:
        """Remove an instance's weights from the cache, and all of its training."""
        self._path(pupil).unlink(missing_ok=True)
        shutil.rmtree(self.folder(pupil), ignore_errors=True)

    def learn(self, pupil: Pupil, watch: Watch, device: str = "cpu") -> Path:
        """Train the module from scratch, whatever it was, or go on where a training was killed; returns the weights.

        Another process that trains the same is waited for.
        """
        path, folder = self._path(pupil), self.folder(pupil)
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, watch):
            if not path.exists():
                session = self.train(pupil, watch, device, folder)
                accuracy = {"accuracy": 1 - session.epochs[-1].search_error, "search_images": len(pupil.data.search)}
                write_sealed(path, pupil.module.state_dict(), self._facts(pupil, device) | accuracy)
                session.close()
        return path

    def train(self, pupil: Pupil, watch: Watch, device: str, folder: Path) -> Session:
        """Train the module, in a folder for what is written on the way, and keep nothing else of it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(pupil.instance)
            _reset(pupil.module)
        halves = self._multiplies(device) == "bfloat16"
        session = Session(folder, pupil.module, pupil.data, self.recipe, pupil.instance, device, halves)
        session.run(watch)
        return session

    def read(self, path: Path, pupil: Pupil) -> dict[str, Any]:
        """Fill the module from a file of weights, and return what it says; raises InputError for others' weights."""
        state, facts = read_sealed(path)
        if facts["name"] != self.name(pupil):
            what = f"{facts['problem']}, instance {facts['instance']}, {facts['recipe']['epochs']} epochs"
            raise InputError(
                f"{path} must hold weights of {pupil.called}, by its recipe of {self.recipe.epochs} epochs and on its "
                f"split, but holds those of {what}; choose a file that pruneframe train wrote for this one"
            )
        fill(pupil.module, state, "", str(path))
        return facts

    def take(self, path: Path, pupil: Pupil) -> Path:
        """Keep weights that someone else has trained; raises InputError where they are another's or damaged."""
        self.read(path, pupil)
        content = path.read_bytes()
        write_whole(self._path(pupil), lambda file: file.write(content))
        return self._path(pupil)

    def name(self, pupil: Pupil) -> str:
        """Of its file: the network, and 12 hex digits over all that its weights follow from but the machine."""
        key = f"{self.recipe!r} {self.precision} {pupil.instance} {pupil.key}"
        return f"{type(pupil.module).__name__.lower()}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def folder(self, pupil: Pupil) -> Path:
        """For what a training writes: its checkpoint, its log and its curves."""
        return cache_folder() / "training" / self.name(pupil)

    def _path(self, pupil: Pupil) -> Path:
        return cache_folder() / "weights" / f"{self.name(pupil)}.safetensors"

    def _multiplies(self, device: str) -> str:
        """What a device multiplies in."""
        return self.precision if multiplies_bfloat16(device) else "float32"

    def _facts(self, pupil: Pupil, device: str) -> dict[str, Any]:
        """What the file of weights says, besides its accuracy."""
        return {
            "name": self.name(pupil),
            "problem": pupil.problem,
            "instance": pupil.instance,
            "recipe": asdict(self.recipe),
            "precision": self._multiplies(device),
            "device": torch.device(device).type,
            "versions": {name: version(name) for name in ("pruneframe", "torch")},
        }


class Lines:
    """Watches a training, a line for every epoch."""

    def __init__(self, report: Progress, pupil: Pupil, epochs: int) -> None:
        self.say = report
        self._called, self._epochs = pupil.problem or type(pupil.module).__name__, epochs

    def ended(self, epoch: Epoch) -> None:
        self.say(
            f"training {self._called}: epoch {epoch.epoch}/{self._epochs}, loss {epoch.loss:.4f}, errors "
            f"{epoch.training_error:.2%} (training) and {epoch.search_error:.2%} (search), {epoch.seconds:.0f} s"
        )

    def share(self, done: float) -> None:
        """Nothing is said between epochs."""


@contextmanager
def _alone(folder: Path, watch: Watch) -> Iterator[None]:
    """No other process trains the same meanwhile."""
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        watch.say(f"another process trains the same, and holds {folder / 'lock'}; waiting until it has ended")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _reset(module: nn.Module) -> None:
    """Weights as torch draws them, whatever they were."""
    parts: list[Any] = list(module.modules())
    for part in parts:
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    for part in parts:
        if isinstance(part, nn.MultiheadAttention):  # which alone of torch's layers has no public one
            part._reset_parameters()
