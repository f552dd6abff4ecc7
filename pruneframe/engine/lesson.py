"""Training of a small network in the kernel, many steps in one call."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..model.recipe import Recipe
from ..model.rows import Source, Stream
from ..model.training import Aim
from .operations import CLASSES, DISTANCE, Op, Recording, Value, addresses

LEARNED = np.dtype([(name, np.int64) for name in ("value", "gradient", "velocity", "kept", "size")])  # as in tape.h
WORK = 1e9  # multiply-adds of a call forwards, about: an interrupt is heard between two


class Training(ctypes.Structure):
    """Mirrors Training in tape.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("order", "bounds", "rates")),
        ("steps", ctypes.c_int64),
        *((name, ctypes.c_double) for name in ("momentum", "decay")),
        ("learned", ctypes.c_void_p),
        ("parameters", ctypes.c_int64),
        ("losses", ctypes.c_void_p),
    ]


class Lesson:
    """Steps of SGD for some `learned` parameters of a recording, which judges what `middle` holds.

    images float32[n, ...] and the aim's target stay where they lie; of streams a batch is
    read at a time. `kept` holds 1 for what stays of a parameter and 0 for what is pruned.
    """

    def __init__(
        self,
        recording: Recording,
        middle: Value,
        images: Source,
        aim: Aim,
        recipe: Recipe,
        learned: Sequence[nn.Parameter],
        kept: Mapping[nn.Parameter, Tensor],
        macs: float,
    ) -> None:
        streams = isinstance(images, Stream) or isinstance(aim.target, Stream)
        self.at_once = 1 if streams else max(1, int(WORK / (macs * recipe.batch)))
        near = [] if aim.target is None else [Op(DISTANCE, middle, middle)]
        self._table = recording.ending([*near, Op(CLASSES, recording.result, recording.result)])
        self._images, self._aim, self._recipe, self._streams = images, aim, recipe, streams
        self._parameters, own = self._table.parameters, set(map(id, learned))
        self._wanted = tuple(id(parameter) in own for parameter in self._parameters)
        self._gradients = [
            torch.empty_like(parameter) if parameter is not None and wanted else None
            for parameter, wanted in zip(self._parameters, self._wanted, strict=True)
        ]
        trained = [
            (parameter, gradient, torch.zeros_like(gradient), kept.get(parameter))  # type: ignore[call-overload] # it is one
            for parameter, gradient in zip(self._parameters, self._gradients, strict=True)
            if gradient is not None
        ]
        self._held = trained  # the kernel knows their addresses
        self._learned = np.array([(*addresses(part), part[1].numel()) for part in trained], dtype=LEARNED)

    def __call__(self, batches: Sequence[Tensor], rates: Sequence[float]) -> float:
        """Train on batches of rows, at a rate each; the sum of their mean losses, each times its images."""
        images, labels, target = self._images, self._aim.labels, self._aim.target
        if self._streams:
            (rows,) = batches
            images, labels, target = images[rows], labels[rows], None if target is None else target[rows]
            batches = [torch.arange(len(rows))]
        assert isinstance(images, Tensor)
        assert not isinstance(target, Stream)
        return self._steps(batches, rates, images, labels, target)

    def _steps(
        self, batches: Sequence[Tensor], rates: Sequence[float], images: Tensor, labels: Tensor, target: Tensor | None
    ) -> float:
        sizes = np.array([len(batch) for batch in batches])
        order, bounds = torch.cat(list(batches)), np.concatenate([[0], np.cumsum(sizes)])
        steps, losses = np.array(rates, dtype=np.float64), np.zeros(len(batches))
        n = int(sizes.max())
        values, gradients = (torch.empty(self._table.floats(n)) for _ in range(2))  # each begins where a vector may
        rows = self._table.rows(self._parameters, values)
        images, labels = images.contiguous(), labels.contiguous()
        rows["rows"][0], rows["labels"][-1] = images.data_ptr(), labels.data_ptr()
        if target is not None:
            target = target.contiguous()
            rows["rows"][-2], rows["alpha"][-2] = target.data_ptr(), self._aim.alpha
        self._table.ask(rows, self._gradients, (False, *self._wanted))
        call = self._table.call(rows, n, values, gradients)
        training = Training(
            *(order.data_ptr(), bounds.ctypes.data, steps.ctypes.data, len(batches)),
            *(self._recipe.momentum, self._recipe.weight_decay),
            *(self._learned.ctypes.data, len(self._learned), losses.ctypes.data),
        )
        self._table.library.pruneframe_train(self._table.processor, ctypes.byref(call), ctypes.byref(training))
        for norm in self._table.training:
            norm.num_batches_tracked.add_(len(batches))
        return float(losses @ sizes)
