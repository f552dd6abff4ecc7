"""The path on a GPU: a few launches per candidate, one synchronisation per population.

Weights and images stay on the device. A population's masks go there as packed bits; everything else about a candidate
is one CUDA graph: bits unpacked, weights masked, statistics shifted, all images computed. Small networks, for which
launching takes longer than computing, run several candidates side by side. On the CPU the same is done without a graph.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ..mask import Masks
from ..model.network import Network
from ..model.precision import Precision, bfloat16, precision
from ..model.rows import Source
from ..model.state import State
from .batch_norm import shifted_statistics, statistics
from .capture import Capture, Work
from .flat import Flat
from .plain import memory_format

IMAGES = 1000  # at most in one batch
LAUNCH = 2**37  # multiply-adds of one batch at most, which bounds the memory of its activations
BUSY = 2**33  # multiply-adds of IMAGES images that keep a GPU busy; smaller networks run side by side up to it
TOGETHER = 64  # candidates side by side at most
ANSWERS = 2**26  # outputs kept on the device at most; larger populations are synchronised more than once
PIECE = 2**30  # bytes of streamed images that are on the device at once, about
NO_GRAPH = "no CUDA graph"


@dataclass(frozen=True)
class _Pass:
    """The forward pass of the candidates in place over some images."""

    images: Tensor  # as they were given: while they are held, no other images get their id
    placed: Tensor  # as they are read; a graph knows but their address, where the next of a stream take their place
    outputs: Tensor  # float32[together, images, classes], written by every run
    run: Work


class Gpu:
    """Computes outputs of masked networks on one device, `together` candidates at a time.

    `calibration` are the images behind batch_norm=shifted, [n, ...]; None for frozen. `precision` is the search's.
    """

    def __init__(
        self, network: Network, device: str, calibration: Source | None = None, precision: Precision = "tf32"
    ) -> None:
        self.network = network
        self._precision = precision
        self.device = torch.device(device)
        self._capture = Capture(self.device)
        self._not_beside = ""  # why a small network computes one candidate at a time
        self.together = self._side_by_side()
        # Torch computes candidates side by side as groups of one convolution, and those in its default format.
        self._format = torch.contiguous_format if self.together > 1 else memory_format(network)
        self._batch = max(1, min(IMAGES, LAUNCH // max(1, network.total_macs)))
        self._module = copy.deepcopy(network.module).to(self.device).to(memory_format=self._format)
        self._calibration = None if calibration is None else self._held(calibration)
        self._statistics = _Statistics(self._module)
        self._flat = Flat(self._module)
        self._needs = self._flat.needs(network).to(self.device)
        self._shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=self.device)  # numpy's order of bits
        self._bits = torch.zeros((self.together, network.layout.width), dtype=torch.uint8, device=self.device)
        self._dense = torch.zeros(self._flat.size, device=self.device)
        self._rows = torch.zeros((self.together, self._flat.size), device=self.device)
        self._dense_statistics: State = {}
        self._loaded: State | None = None
        self._passes: dict[tuple[bool, int, bool], _Pass] = {}

    @property
    def notice(self) -> str:
        """How candidates are computed, and why not otherwise."""
        beside = f"{self.together} candidates side by side" if self.together > 1 else "one candidate at a time"
        without = {"not side by side": self._not_beside, NO_GRAPH: self._capture.failure}
        how = ", in bfloat16" if self._precision == "bfloat16" else ""
        return "; ".join([f"GPU, {beside}{how}", *(f"{what}: {why}" for what, why in without.items() if why)])

    def logits(
        self, masks: Masks, states: Sequence[State], images: Source, exact: bool = False
    ) -> Iterator[NDArray[np.float32]]:
        """Outputs float32[images, classes] of each candidate in turn; states[i] are the weights under masks[i].

        The first is there when all are. `exact` computes in float32, otherwise in the precision of the search.
        """
        most = max(1, ANSWERS // (len(images) * self.network.outputs))
        for first in range(0, len(masks), most):
            rows = slice(first, first + most)
            yield from self._population(masks[rows], states[rows], images, exact)

    @torch.no_grad()
    def _population(
        self, masks: Masks, states: Sequence[State], images: Source, exact: bool
    ) -> list[NDArray[np.float32]]:
        """All answers; the device is waited for once, at the end."""
        teams = self._teams(states)
        # Short teams are filled up: the work of every team has one shape, so no answer depends on who else is in it.
        full = np.array([team + team[-1:] * (self.together - len(team)) for team in teams])
        bits = self._sent(torch.from_numpy(masks.bits[full]))
        answers = torch.empty((len(masks), len(images), self.network.outputs), device=self.device)
        sizes = [len(team) for team in teams]
        for rows, through in self._through(images, exact):
            for team, packed, answer in zip(teams, bits, answers[:, rows].split(sizes), strict=True):
                self._load(states[team[0]])
                self._bits.copy_(packed)
                through.run()
                answer.copy_(through.outputs[: len(team)])
        found = answers.cpu().numpy()
        place = {row: i for i, row in enumerate(chain.from_iterable(teams))}
        return [found[place[row]] for row in range(len(masks))]

    def _teams(self, states: Sequence[State]) -> list[list[int]]:
        """Rows that are computed side by side: such with the same weights."""
        alike: dict[int, list[int]] = {}
        for row, state in enumerate(states):
            alike.setdefault(id(state), []).append(row)
        size = self.together
        return [rows[i : i + size] for rows in alike.values() for i in range(0, len(rows), size)]

    def _sent(self, tensor: Tensor) -> Tensor:
        """A tensor on the device, without waiting for it."""
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _placed(self, images: Tensor) -> Tensor:
        return images.to(self.device).contiguous(memory_format=self._format)

    def _load(self, state: State) -> None:
        """Other weights, and their unmasked batch statistics, in the place of the earlier ones."""
        if state is self._loaded:
            return
        self._dense.copy_(self._sent(self._flat.row(state)))
        own = self._module.state_dict()
        for name in own.keys() - self._flat.views(self._dense).keys():
            own[name].copy_(self._sent(state[name]), non_blocking=True)
        if self._calibration is not None:
            self._rows.copy_(self._dense)
            found = self._moments()
            for name in found:
                self._dense_statistics.setdefault(name, torch.empty_like(found[name])).copy_(found[name])
        self._loaded = state

    def _through(self, images: Source, exact: bool) -> Iterator[tuple[slice, _Pass]]:
        """Which images, and the pass over them: all at once, or those of a stream a few batches at a time."""
        if isinstance(images, Tensor):
            yield slice(None), self._pass(images, exact, (False, id(images)))
            return
        size, start = self._batch * max(1, PIECE // (4 * self._batch * math.prod(images.shape[1:]))), 0
        for piece in images.split(size):
            through = self._pass(piece, exact, (True, len(piece)))
            through.placed.copy_(piece)
            yield slice(start, start + len(piece)), through
            start += len(piece)

    def _held(self, images: Source) -> Tensor:
        """Images that every pass needs, in the device's memory."""
        return self._placed(images if isinstance(images, Tensor) else images[:])

    def _pass(self, images: Tensor, exact: bool, what: tuple[bool, int]) -> _Pass:
        """The pass over images, or over so many of a stream, prepared once: on a GPU as a graph, if torch can."""
        key = *what, exact
        if key not in self._passes:
            outputs = torch.empty((self.together, len(images), self.network.outputs), device=self.device)
            placed = self._placed(images)
            run = self._capture(partial(self._compute, placed, outputs, exact))
            self._passes[key] = _Pass(images, placed, outputs, run)
        return self._passes[key]

    def _compute(self, images: Tensor, outputs: Tensor, exact: bool) -> None:
        """From the bits in place to the outputs: nothing here leaves the device or waits for it."""
        bits = (self._bits[:, :, None] >> self._shifts & 1).flatten(1)[:, : self.network.layout.total]
        keep = torch.cat([bits, torch.ones_like(bits[:, :1])], dim=1)
        self._rows.copy_(self._dense)
        for units in self._needs:
            self._rows.mul_(keep.index_select(1, units))
        rows = self._flat.views(self._rows)
        if self._calibration is not None:
            state = self._flat.views(self._dense)
            shifted = shifted_statistics(self.network, state, self._dense_statistics, self._moments())
            for name, values in shifted.items():
                rows[name].copy_(values)
        rounded = None if exact else self._precision
        with precision(tf32=rounded == "tf32"), bfloat16(self.device, rounded == "bfloat16"):
            for batch, part in zip(images.split(self._batch), outputs.split(self._batch, dim=1), strict=True):
                part.copy_(self._call(self._module, rows, batch))

    def _moments(self) -> State:
        """Batch statistics of the candidates in place, [together, channels] by buffer name; always in float32."""
        rows = {f"module.{name}": values for name, values in self._flat.views(self._rows).items()}
        with precision(tf32=False):
            return self._call(self._statistics, rows, self._calibration)

    def _call(self, module: nn.Module, rows: State, images: Tensor | None) -> Any:
        """What a module makes of images under each row of weights; every tensor begins with the rows' dimension."""
        if self.together > 1:
            return vmap(lambda weights: functional_call(module, weights, (images,)))(rows)
        alone = functional_call(module, {name: values[0] for name, values in rows.items()}, (images,))
        return {name: value[None] for name, value in alone.items()} if isinstance(alone, dict) else alone[None]

    def _side_by_side(self) -> int:
        """How many candidates are computed at a time: a function of the network alone."""
        wanted = min(TOGETHER, BUSY // max(1, self.network.total_macs * IMAGES))
        if wanted < 2:
            return 1
        module = self.network.module
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        two = {name: torch.stack([t, t]) for name, t in tensors.items() if t.dtype == torch.float32}
        blank = self.network.inputs.blank(2).to(next(module.parameters()).device)
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("error")  # torch warns of operations that it would do one by one
                vmap(lambda weights: functional_call(module, weights, (blank,)))(two)
        except Exception as error:  # some operations have no form for several weights, and fail in any way
            self._not_beside = str(error).partition("\n")[0]
            return 1
        return wanted


class _Statistics(nn.Module):
    """A module's batch statistics as a module, so that torch can call it with other weights."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> State:
        return statistics(self.module, images)
