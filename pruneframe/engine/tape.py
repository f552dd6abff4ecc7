"""A tape: a small network that the kernel runs forwards and backwards, as a function that torch differentiates.

Python and torch spend more time between the operations of a small network than in them. Here a pass is one call, and
every operation takes 16 images at a time. All of it is float32.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from .operations import STORE, Op, Recording

HELD = 2**26  # bytes of a pass that stay for the next one


@dataclass(frozen=True, eq=False)
class Done:
    """A pass forwards: its outputs, and what the pass back reads."""

    outputs: Tensor
    images: Tensor
    parameters: Sequence[Tensor | None]
    rows: NDArray
    values: Tensor


class Tape:
    """A recording to be run.

    Called like the module that it stands for, in whose mode its norms are: in training they take the batch's own
    statistics, and move the running ones.
    """

    def __init__(self, recording: Recording) -> None:
        self._shape = recording.shape
        self._table = recording.ending([Op(STORE, recording.result, recording.result)])
        self._free: list[Tensor] = []

    @property
    def parameters(self) -> list[Tensor | None]:
        """Weight and bias of every operation, as they are now."""
        return self._table.parameters

    def __call__(self, images: Tensor) -> Tensor:
        """Outputs of images float32[n, ...], which torch can differentiate."""
        return _Run.apply(self, images, *self.parameters)

    def run(self, images: Tensor, parameters: Sequence[Tensor | None]) -> Done:
        """The outputs with some parameters in place of the module's own, and what `back` needs."""
        images = images.contiguous()
        parameters = [None if one is None else one.contiguous() for one in parameters]
        outputs, values = torch.empty(len(images), *self._shape), self._memory(len(images))
        rows = self._table.rows(parameters, values)
        rows["rows"][0], rows["rows"][-1] = images.data_ptr(), outputs.data_ptr()
        for norm in self._table.training:
            norm.num_batches_tracked.add_(1)
        self._run(rows, len(images), values, None)
        return Done(outputs, images, parameters, rows, values)

    def back(self, done: Done, slopes: Tensor, wanted: tuple[bool, ...]) -> list[Tensor | None]:
        """Gradients by the images and the parameters, those that are wanted, where the outputs' are `slopes`; once."""
        rows, slopes, inputs = done.rows, slopes.contiguous(), (done.images, *done.parameters)
        found = [
            None if one is None or not own else torch.empty_like(one) for one, own in zip(inputs, wanted, strict=True)
        ]
        self._table.ask(rows, found[1:], wanted)
        rows["rows_gradient"][0] = 0 if found[0] is None else found[0].data_ptr()
        rows["rows_gradient"][-1] = slopes.data_ptr()
        gradients = self._memory(len(done.images))
        self._run(rows, len(done.images), done.values, gradients)
        self._free += [memory for memory in (done.values, gradients) if memory.nbytes <= HELD]
        return found

    def _memory(self, n: int) -> Tensor:
        """Floats for so many images: those of an earlier pass, whose pages the system has handed out already."""
        size = self._table.floats(n)
        while self._free:
            memory = self._free.pop()
            if len(memory) >= size:
                return memory
        return torch.empty(size)

    def _run(self, rows: NDArray, n: int, values: Tensor, gradients: Tensor | None) -> None:
        table = self._table
        call = table.call(rows, n, values, gradients)
        table.library.pruneframe_tape(table.processor, ctypes.byref(call), ctypes.c_int64(gradients is not None))


class _Run(torch.autograd.Function):
    """A tape between torch's own functions."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, images: Tensor, *parameters: Tensor | None) -> Tensor:
        done = tape.run(images, parameters)
        ctx.tape, ctx.done = tape, replace(done, outputs=done.outputs.detach())  # those that torch sees hold ctx
        return done.outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        done, ctx.done = ctx.done, None
        return None, *ctx.tape.back(done, slopes, tuple(ctx.needs_input_grad[1:]))
