"""A training that outlives its process: after every epoch all that it changes is written down, to go on from there."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..files import sweep, write_whole
from .data import Data, Split
from .precision import precision
from .recipe import Recipe
from .rows import Source, Stream
from .sealed import read_sealed, write_sealed
from .state import State, versioned
from .training import Aim, Keep, Steps, TorchPass, TorchSteps, train

SEEN = 2000  # training images behind the training error, at most
BATCH = 250  # images that are evaluated at once
MODULE, VELOCITY = "module/", "velocity/"  # what names in a checkpoint begin with


@dataclass(frozen=True)
class Epoch:
    """One epoch: the learning rate at its end, the mean loss while it trained, and then errors, as shares of images."""

    epoch: int  # from 1
    rate: float
    loss: float
    training_error: float  # on SEEN training images
    search_error: float
    seconds: float


class Watch(Protocol):
    """Whoever wants to know how far a training is."""

    def ended(self, epoch: Epoch) -> None:
        """After every epoch."""

    def share(self, done: float) -> None:
        """After some steps: the share of the whole training that is done."""

    def say(self, line: str) -> None:
        """What else there is to know."""


class Session:
    """The training of a module on the train split, by a recipe and from a seed, in a `folder` of its own.

    The folder holds `checkpoint.safetensors`, all that an epoch left behind, until it is closed, and `epochs.jsonl`, a
    line of `Epoch` each. Who trains again in the same folder, after a kill or not, gets the same weights to the bit;
    the epoch that was under way is lost. Convolutions and products are bfloat16 where `bfloat16` says so.
    """

    def __init__(
        self, folder: Path, module: nn.Module, data: Data, recipe: Recipe, seed: int, device: str, bfloat16: bool
    ) -> None:
        self.log, self.checkpoint = folder / "epochs.jsonl", folder / "checkpoint.safetensors"
        self.epochs: list[Epoch] = []
        self._module, self._data, self._recipe, self._seed = module, data, recipe, seed
        self._device = torch.device(device)
        self._halves = torch.autocast(self._device.type, torch.bfloat16, enabled=bfloat16)
        image = len(data.input_shape) == 3
        self._layout = torch.channels_last if bfloat16 and image else torch.contiguous_format
        # Under anything else other bits would come out than those of a training that was never interrupted.
        self._same = {"recipe": repr(recipe), "seed": seed, "device": self._device.type, "bfloat16": bfloat16}
        self._same["torch"] = torch.__version__

    def run(self, watch: Watch) -> None:
        """Train, or go on training; the module ends on the processor, in evaluation mode."""
        self._watch, self._began = watch, time.monotonic()
        sweep(self.checkpoint.parent)
        self._module.to(self._device)
        self._module.to(memory_format=self._layout)
        wanted = self._recipe.images or len(self._data.train)
        split = self._data.train.chosen(min(wanted, len(self._data.train)))
        images, labels = self._source(split), self._labels(split)
        with _repeatable():
            train(
                *(self._module, images, labels, self._recipe, self._seed),
                steps=self._start,
                resume=self._resume,
                progress=self._ended,
                tell=watch.share,
            )
        self._module.to("cpu")
        self._module.to(memory_format=torch.contiguous_format)

    def _error(self, split: Split) -> float:
        """The share of a split that the module, in evaluation mode, gets wrong, in float32."""
        images, labels = self._source(split), self._labels(split)
        with torch.no_grad():
            found = torch.cat([self._module(batch).argmax(1) for batch in images.split(BATCH)])
        return int((found != labels).sum()) / len(labels)

    def close(self) -> None:
        """What was learned is kept elsewhere: the checkpoint goes."""
        self.checkpoint.unlink(missing_ok=True)

    @cached_property
    def _seen(self) -> Split:
        return self._data.train.chosen(min(SEEN, len(self._data.train)))

    def _source(self, split: Split) -> Source:
        images = self._data.source(split)
        return images.then(self._placed) if isinstance(images, Stream) else self._placed(images)

    def _placed(self, images: Tensor) -> Tensor:
        return images.to(self._device).contiguous(memory_format=self._layout)

    def _labels(self, split: Split) -> Tensor:
        return torch.from_numpy(split.labels).to(self._device)

    def _start(self, images: Source, aim: Aim, recipe: Recipe, keep: Keep) -> Steps:
        self._steps = TorchSteps(self._module, images, aim, recipe, keep, self._forward)
        return self._steps

    def _forward(self, images: Tensor) -> TorchPass:
        with self._halves:
            outputs = self._module(images)
        return TorchPass(outputs.float())

    def _resume(self, generator: torch.Generator) -> int:
        """Put all back as the latest epoch left it; returns how many are done."""
        self._generator = generator
        found = self._read()
        if found is None:
            return 0
        state, facts = found
        like = self._module.state_dict()
        self._module.load_state_dict(versioned({name: state[MODULE + name] for name in like}, like))
        self._steps.velocities = {
            one: state[VELOCITY + name].to(self._device)
            for name, one in self._module.named_parameters()
            if VELOCITY + name in state
        }
        generator.set_state(state["order"])
        torch.set_rng_state(state["torch"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self._device)
        self.epochs = [Epoch(**one) for one in facts["epochs"]]
        self._watch.say(f"going on behind epoch {len(self.epochs)}")
        return len(self.epochs)

    def _read(self) -> tuple[State, dict[str, Any]] | None:
        """The checkpoint; None where there is none to go on from."""
        if not self.checkpoint.exists():
            return None
        try:
            state, facts = read_sealed(self.checkpoint)
        except InputError as error:
            self._watch.say(f"training anew: {error}")
            return None
        if facts["same"] != self._same:
            self._watch.say(f"training anew: {self.checkpoint} is of another recipe, device or version of torch")
            return None
        return state, facts

    def _ended(self, epoch: int, loss: float) -> None:
        """An epoch is over: evaluate, and write down everything; InputError where training has diverged."""
        if not math.isfinite(loss):
            raise InputError(
                f"training must keep its loss finite, but at a learning rate of {self._recipe.learning_rate:g} it is "
                f"{loss} in epoch {epoch}; a recipe with a lower rate may do"
            )
        self._module.eval()
        errors = self._error(self._seen), self._error(self._data.search)
        self._module.train()
        now = time.monotonic()
        rate = self._recipe.rate(epoch / self._recipe.epochs)
        told = Epoch(epoch, rate, loss, *errors, round(now - self._began, 3))
        self._began = now
        self.epochs.append(told)
        epochs = [asdict(one) for one in self.epochs]
        write_sealed(self.checkpoint, self._state(), {"same": self._same, "epochs": epochs})
        lines = "".join(json.dumps(one) + "\n" for one in epochs)
        write_whole(self.log, lambda file: file.write(lines.encode()))
        self._watch.ended(told)

    def _state(self) -> State:
        """All that training changes, on the processor."""
        names = {one: VELOCITY + name for name, one in self._module.named_parameters()}
        found = {MODULE + name: tensor for name, tensor in self._module.state_dict().items()}
        found |= {names[one]: tensor for one, tensor in self._steps.velocities.items()}
        found |= {"order": self._generator.get_state(), "torch": torch.get_rng_state()}
        if self._device.type == "cuda":
            found["cuda"] = torch.cuda.get_rng_state(self._device)
        return {name: tensor.detach().cpu() for name, tensor in found.items()}


def read_epochs(log: Path) -> list[Epoch]:
    """What a session's log says."""
    return [Epoch(**json.loads(line)) for line in log.read_text().splitlines()]


@contextmanager
def _repeatable() -> Iterator[None]:
    """One thread, since more would add in another order: other weights, and studies that do not merge.

    On a GPU, algorithms that always add in the same order, and float32 proper.
    """
    threads, deterministic = torch.get_num_threads(), torch.backends.cudnn.deterministic
    torch.set_num_threads(1)
    torch.backends.cudnn.deterministic = True
    try:
        with precision(tf32=False):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic = deterministic
