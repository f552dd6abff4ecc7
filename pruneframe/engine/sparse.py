"""The sparse path: float32, multiplying what is left of a network and nothing else."""

from __future__ import annotations

import ctypes
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..mask import Masks
from ..network import Network
from .plan import LANES, Unsupported, Weights, compiled

State = dict[str, Tensor]
ALIGNMENT = 64  # bytes; the kernel's vectors


@cache
def kernel() -> ctypes.CDLL | None:
    """The compiled kernel, or None where it could not be built when pruneframe was installed."""
    found = importlib.util.find_spec("pruneframe.engine._kernel")
    return None if found is None or found.origin is None else ctypes.CDLL(found.origin)


class Sparse:
    """Runs masked networks with the kernel; raises Unsupported, with the reason, where it cannot."""

    def __init__(self, network: Network) -> None:
        library = kernel()
        if library is None:
            raise Unsupported("the kernel is not built")
        self._run = library.pruneframe_run
        self._run.restype = None
        self.network = network
        self.plan = compiled(network)
        self._outputs = sum(len(weights.offsets) for weights in self.plan.weights)

    def groups(self, images: Tensor) -> NDArray[np.float32]:
        """Images float32[n, channels, rows, columns] for the kernel: [groups, channels, rows, columns, 16]."""
        n, channels, rows, columns = images.shape
        border = self.plan.image_border
        count = -(-n // LANES)
        laid = _aligned((count, channels, rows + 2 * border, columns + 2 * border, LANES))
        padded = np.zeros((count * LANES, channels, rows, columns), dtype=np.float32)
        padded[:n] = images.numpy()
        inner = slice(border, border + rows), slice(border, border + columns)
        laid[:, :, inner[0], inner[1]] = padded.reshape(count, LANES, channels, rows, columns).transpose(0, 2, 3, 4, 1)
        return laid

    def logits(
        self, masks: Masks, row: int, state: State, statistics: State, groups: NDArray[np.float32], n: int
    ) -> NDArray[np.float32]:
        """Outputs float32[n, classes] of one candidate; `statistics` are its batch norms' running ones."""
        starts, offsets, weights, biases = self._lists(masks, row, state, statistics)
        plan = self.plan
        logits = np.empty((len(groups), plan.classes, LANES), dtype=np.float32)
        steps, per_group = np.ascontiguousarray(plan.steps), groups[0].size

        def run(first: int, last: int) -> None:
            arena = _aligned((plan.arena,))
            self._run(
                _address(steps),
                ctypes.c_int64(len(steps)),
                *[_address(array) for array in (starts, offsets, weights, biases, groups)],
                *map(ctypes.c_int64, (per_group, first, last)),
                _address(arena),
                *map(ctypes.c_int64, (plan.result, plan.classes)),
                _address(logits),
            )

        bounds = np.linspace(0, len(groups), min(torch.get_num_threads(), len(groups)) + 1).astype(int).tolist()
        with ThreadPoolExecutor(len(bounds) - 1) as threads:
            list(threads.map(run, bounds[:-1], bounds[1:]))
        return logits.transpose(0, 2, 1).reshape(-1, plan.classes)[:n]

    def _lists(
        self, masks: Masks, row: int, state: State, statistics: State
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """The kept weights, output by output: where each output's begin, where they read, their values, biases."""
        keep = self.network.keep(masks, row)
        counts, offsets, values, biases = [], [], [], []
        for layer in self.plan.weights:
            scale, bias = self._affine(layer, state, statistics, keep)
            name = f"{layer.layer}.weight"
            weight = state[name].numpy().reshape(layer.offsets.shape)
            if scale is not None:
                weight = weight * scale[:, None]
            if name in keep:
                kept = keep[name].numpy().reshape(weight.shape)
                counts.append(np.count_nonzero(kept, axis=1))
                found = np.flatnonzero(kept)
                offsets.append(layer.offsets.ravel()[found])
                values.append(weight.ravel()[found])
            else:
                counts.append(np.full(len(weight), layer.offsets.shape[1]))
                offsets.append(layer.offsets.ravel())
                values.append(weight.ravel())
            biases.append(bias)
        starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
        return starts, np.concatenate(offsets), np.concatenate(values), np.concatenate(biases)

    def _affine(
        self, layer: Weights, state: State, statistics: State, keep: State
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32]]:
        """Scale (None: 1) and bias of each output: the layer's bias and its batch norm, folded."""

        def masked(name: str) -> NDArray[np.float64]:
            value = state[name].double().numpy()
            return value * keep[name].numpy() if name in keep else value

        bias_name = f"{layer.layer}.bias"
        bias = masked(bias_name) if bias_name in state else np.zeros(len(layer.offsets))
        if layer.norm is None:
            return None, bias.astype(np.float32)
        norm = self.network.module.get_submodule(layer.norm)
        mean, var = (
            statistics.get(name, state[name]).double().numpy()
            for name in (f"{layer.norm}.running_mean", f"{layer.norm}.running_var")
        )
        deviation = np.sqrt(var + float(norm.eps))  # type: ignore[arg-type] # every batch norm has one
        scale = (masked(f"{layer.norm}.weight") if norm.affine else 1.0) / deviation
        shift = masked(f"{layer.norm}.bias") if norm.affine else 0.0
        return scale.astype(np.float32), (shift + (bias - mean) * scale).astype(np.float32)


def _aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that begin where a vector may."""
    size = int(np.prod(shape))
    memory = np.zeros(size * 4 + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size * 4].view(np.float32).reshape(shape)


def _address(array: NDArray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
