"""Batch statistics of a pruned network by the kernel: each layer for a whole batch before the next one."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..mask import Masks
from ..model.rows import Source, Stream
from ..model.state import State
from .batch_norm import batches
from .compiler import compiled
from .library import Call, Floats, Order, Stage, address, aligned, in_threads, threads_for
from .lists import Lists, Pruned
from .plan import FIELDS, LANES, Unsupported, Weights
from .sparse import Sparse

MEMORY = 2**30  # bytes at most for the activations of a batch


@dataclass(frozen=True)
class _Batch:
    groups: Floats
    images: NDArray[np.int64]  # in each group


class Moments:
    """Means and variances of what enters every batch norm, as `batch_norm.statistics`; raises Unsupported.

    `images` are float32[n, channels, rows, columns].
    """

    def __init__(self, sparse: Sparse, images: Source) -> None:
        self._sparse = sparse
        self._plan = plan = compiled(sparse.network, fused=False)
        normed = [step for step, weights in enumerate(plan.weights) if weights is not None and weights.norm]
        self._steps = range(max(normed) + 1)
        self._raw = plan.steps.copy()
        self._raw[np.ix_(normed, [FIELDS.index("add"), FIELDS.index("act")])] = [-1, 0]
        count = max(-(-len(batch) // LANES) for batch in batches(images))
        if count * (plan.arena + plan.wide) * 4 > MEMORY:
            raise Unsupported("its activations are too large")
        self._images = images
        self._held = None if isinstance(images, Stream) else list(self._laid_out())
        self._arenas, self._wide = aligned((count, plan.arena)), aligned((count, max(1, plan.wide)))

    def __call__(self, masks: Masks, row: int, state: State) -> State:
        """Batch statistics of one candidate, by buffer name; averaged over the batches."""
        keep = {name: kept.numpy() for name, kept in self._sparse.network.keep(masks, row).items()}
        pruned = self._without_norms(state, keep)
        orders = [{"step": step} for step in self._steps]
        lists = Lists(
            self._sparse.library, self._sparse.processor, self._plan, [pruned], [(0,) * len(self._plan.steps)], orders
        )
        found: dict[str, list[NDArray[np.float64]]] = {}
        for batch in self._laid_out() if self._held is None else self._held:
            for name, values in self._statistics(batch, pruned, lists):
                found.setdefault(name, []).append(values)
        return {name: torch.from_numpy(np.mean(values, axis=0)).float() for name, values in found.items()}

    def _laid_out(self) -> Iterator[_Batch]:
        return (_Batch(self._sparse.groups(part.contiguous()), _filled(len(part))) for part in batches(self._images))

    def _without_norms(self, state: State, keep: dict[str, NDArray[np.bool_]]) -> Pruned:
        """The layers alone: nothing is folded in."""
        scales, biases = np.ones(self._plan.outputs), np.zeros(self._plan.outputs)
        for weights in filter(None, self._plan.weights):
            outputs = slice(weights.first, weights.first + weights.outputs)
            if weights.bias is not None:
                biases[outputs] = _masked(state, keep, weights.bias)
            if weights.norm is None:
                scales[outputs] = weights.factor
                biases[outputs] = biases[outputs] * weights.factor + weights.shift
        return Pruned(state, keep, scales.astype(np.float32), biases.astype(np.float32))

    def _statistics(self, batch: _Batch, pruned: Pruned, lists: Lists) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Mean and variance of each norm's input over one batch, every norm using those before it."""
        plan, groups = self._plan, len(batch.images)
        call = Call(
            *(address(self._raw), None, None, 0, 0, 1),
            *map(address, (lists.starts, lists.offsets, lists.weights, lists.biases, lists.packed)),
            *map(address, (plan.spans, batch.groups)),
            *(batch.groups[0].size, plan.arena, plan.partial, plan.wide, plan.result, plan.classes, groups, None),
        )
        finish, scales, shifts = -1, np.empty(0, dtype=np.float32), np.empty(0, dtype=np.float32)
        for step in self._steps:
            weights = plan.weights[step]
            norm = None if weights is None else weights.norm
            starts, biases, runs, packed = lists.place(step, 0)
            channels = int(plan.column("channels")[step])
            means, squares = np.empty((groups, channels)), np.empty((groups, channels))
            stage = Stage(
                *(None if finish < 0 else address(plan.steps[finish]), address(scales), address(shifts)),
                Order(step, starts, biases, runs, 0, 0, 0, 0, packed),
                *(address(batch.images), address(self._arenas), address(self._wide)),
                *((address(means), address(squares)) if norm else (None, None)),
            )
            self._run(call, stage, groups)
            finish = -1
            if norm and weights is not None:
                pixels = batch.images * int(plan.column("rows")[step] * plan.column("columns")[step])
                mean, variance = _combined(means, squares, pixels)
                yield f"{norm}.running_mean", mean
                yield f"{norm}.running_var", variance
                scales, shifts = self._folded(weights, norm, pruned, mean, variance)
                finish = step

    def _run(self, call: Call, stage: Stage, groups: int) -> None:
        library, processor = self._sparse.library, ctypes.c_int64(self._sparse.processor)

        def work(thread: int, first: int, last: int) -> None:
            bounds = map(ctypes.c_int64, (first, last))
            library.pruneframe_stage(processor, ctypes.byref(call), ctypes.byref(stage), *bounds)

        in_threads(groups, work, threads_for(self._sparse.network.total_macs))

    def _folded(
        self, weights: Weights, norm: str, pruned: Pruned, mean: NDArray, variance: NDArray
    ) -> tuple[Floats, Floats]:
        """Scale and shift of each channel by the batch's own statistics."""
        eps = float(self._sparse.network.norms[norm].eps)  # type: ignore[arg-type] # every batch norm has one
        scales = 1 / np.sqrt(variance + eps)
        if f"{norm}.weight" in pruned.state:
            scales = scales * _masked(pruned.state, pruned.keep, f"{norm}.weight")
        shifts = -mean * scales
        if f"{norm}.bias" in pruned.state:
            shifts = shifts + _masked(pruned.state, pruned.keep, f"{norm}.bias")
        scales, shifts = scales * weights.factor, shifts * weights.factor + weights.shift
        return scales.astype(np.float32), shifts.astype(np.float32)


def _filled(n: int) -> NDArray[np.int64]:
    """How many of a group's images are real, for n images."""
    return np.minimum(LANES, n - np.arange(0, n, LANES)).astype(np.int64)


def _masked(state: State, keep: dict[str, NDArray[np.bool_]], name: str) -> NDArray[np.float64]:
    value = state[name].double().numpy()
    return value * keep[name] if name in keep else value


def _combined(means: NDArray, squares: NDArray, counts: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of all groups from those of each, float64[groups, channels] (Chan, Golub and LeVeque, 1983)."""
    weights = counts[:, None] / counts.sum()
    mean = (means * weights).sum(axis=0)
    return mean, squares.sum(axis=0) / counts.sum() + ((means - mean) ** 2 * weights).sum(axis=0)
