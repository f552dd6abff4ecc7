"""What the kernel multiplies: the kept weights of candidates, with batch norm folded in."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..network import Network
from .library import Floats, Kept, address
from .plan import LANES, Plan, Weights
from .prefix import ORDER, Key

State = dict[str, Tensor]


@dataclass(frozen=True)
class Pruned:
    """One candidate as the kernel sees it: its weights, what is kept of them, scale and bias of every output."""

    state: State
    keep: dict[str, NDArray[np.bool_]]
    scales: Floats  # [outputs of all layers]
    biases: Floats


class Affine:
    """Scale and bias of every output of all layers: their biases and batch norms, folded."""

    def __init__(self, network: Network, plan: Plan) -> None:
        self._network = network
        self._layers = [weights for weights in plan.weights if weights is not None]
        self._last: tuple[State, dict[str, NDArray[np.float64]]] | None = None

    def __call__(self, state: State, statistics: State, keep: dict[str, NDArray[np.bool_]]) -> tuple[Floats, Floats]:
        values = self._of(state)
        if statistics or any(name in keep for layer in self._layers for name in _vectors(layer)):
            values = self._gather({**state, **statistics}, keep)
        scales = values["weight"] / np.sqrt(values["variance"])
        biases = values["shift"] + (values["bias"] - values["mean"]) * scales
        return scales.astype(np.float32), biases.astype(np.float32)

    def _of(self, state: State) -> dict[str, NDArray[np.float64]]:
        """The values under a mask that touches none of them, remembered for the last state."""
        if self._last is None or self._last[0] is not state:
            self._last = state, self._gather(state, {})
        return self._last[1]

    def _gather(self, state: State, keep: dict[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.float64]]:
        parts: dict[str, list[NDArray]] = {name: [] for name in ("bias", "weight", "shift", "mean", "variance")}

        def add(what: str, name: str | None, outputs: int, otherwise: float) -> None:
            if name is None or name not in state:
                parts[what].append(np.full(outputs, otherwise))
            else:
                value = state[name].double().numpy()
                parts[what].append(value * keep[name] if name in keep else value)

        for layer in self._layers:
            n, norm = layer.outputs, layer.norm
            add("bias", f"{layer.layer}.bias", n, 0.0)
            for what, leaf, otherwise in (
                ("weight", "weight", 1.0),
                ("shift", "bias", 0.0),
                ("mean", "running_mean", 0.0),
                ("variance", "running_var", 1.0),
            ):
                add(what, norm and f"{norm}.{leaf}", n, otherwise)
            if norm is not None:
                parts["variance"][-1] = parts["variance"][-1] + float(self._network.norms[norm].eps)  # type: ignore[arg-type]
        return {what: np.concatenate(values) for what, values in parts.items()}


def _vectors(layer: Weights) -> Iterable[str]:
    """The parameters of a layer and its norm with one value per output."""
    yield f"{layer.layer}.bias"
    if layer.norm is not None:
        yield from (f"{layer.norm}.weight", f"{layer.norm}.bias")


class Lists:
    """The kept weights of all steps to be done: where each output's begin, where they read, their values, biases."""

    def __init__(
        self,
        library: ctypes.CDLL,
        processor: int,
        plan: Plan,
        candidates: Sequence[Pruned],
        keys: Sequence[Key],
        orders: Sequence[dict[str, int]],
    ) -> None:
        self._places: dict[tuple[int, int], tuple[int, int]] = {}
        self._keys = keys
        self._library, self._processor = library, processor
        wanted: dict[tuple[int, int], tuple[Weights, Pruned]] = {}
        for order in orders:
            step, candidate = order["step"], order.get("candidate", 0)
            weights = plan.weights[step]
            if weights is not None:
                wanted.setdefault((step, keys[candidate][step]), (weights, candidates[candidate]))
        rows = sum(weights.outputs * weights.blocks + 1 for weights, _ in wanted.values())
        kept = sum(_kept(weights, pruned) for weights, pruned in wanted.values())
        self.starts = np.zeros(rows, dtype=np.int64)
        kept += LANES  # the kernel writes weights before it knows whether to keep them
        self.offsets = np.empty(kept, dtype=np.int32)
        self.weights = np.empty(kept, dtype=np.float32)
        biases, row, used, outputs = [], 0, 0, 0
        for name, (weights, pruned) in wanted.items():
            self._places[name] = row, outputs
            self.starts[row] = used
            used = self._list(weights, pruned, row)
            biases.append(pruned.biases[weights.first : weights.first + weights.outputs])
            row += weights.outputs * weights.blocks + 1
            outputs += weights.outputs
        self.biases = np.concatenate(biases)

    def place(self, step: int, candidate: int) -> tuple[int, int]:
        """Where a step's starts and biases begin for a candidate."""
        return self._places.get((step, self._keys[candidate][step]), (0, 0))

    def _list(self, weights: Weights, pruned: Pruned, row: int) -> int:
        mask = pruned.keep.get(f"{weights.layer}.weight")
        arrays = (
            None if mask is None else np.ascontiguousarray(mask),
            np.ascontiguousarray(pruned.state[f"{weights.layer}.weight"].numpy(), dtype=np.float32),
            pruned.scales[weights.first : weights.first + weights.outputs],
            *(weights.offsets, weights.origins),
        )
        kept = Kept(
            *map(address, arrays),
            *(weights.outputs, len(weights.offsets), weights.run),
            *map(address, (self.starts[row:], self.offsets, self.weights)),
        )
        return int(self._library.pruneframe_list(ctypes.c_int64(self._processor), ctypes.byref(kept)))


def _kept(weights: Weights, pruned: Pruned) -> int:
    """Weights of a layer that are left."""
    kept = pruned.keep.get(f"{weights.layer}.weight")
    return weights.outputs * len(weights.offsets) if kept is None else int(np.count_nonzero(kept))


def table(orders: Sequence[dict[str, int]], lists: Lists) -> NDArray[np.int64]:
    """Orders for the kernel, int64[orders, columns]."""
    rows = []
    for order in orders:
        starts, biases = lists.place(order["step"], order.get("candidate", 0))
        rows.append([(order | {"starts": starts, "biases": biases}).get(name, 0) for name in ORDER])
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(ORDER))
