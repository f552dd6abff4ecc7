"""What the kernel multiplies: the kept weights of candidates, with batch norm folded in."""

from __future__ import annotations

import ctypes
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model.network import Network
from ..model.state import State
from .library import Floats, Kept, Packed, address
from .plan import FIELDS, LANES, Plan, Weights
from .prefix import ORDER, Key
from .winograd import words


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
        outputs = [layer.outputs for layer in self._layers]
        self._factors = np.repeat([layer.factor for layer in self._layers], outputs)
        self._shifts = np.repeat([layer.shift for layer in self._layers], outputs)
        self._last: tuple[State, dict[str, NDArray[np.float64]]] | None = None

    def __call__(self, state: State, statistics: State, keep: dict[str, NDArray[np.bool_]]) -> tuple[Floats, Floats]:
        values = self._of(state)
        if statistics or any(name in keep for layer in self._layers for name in _vectors(layer)):
            values = self._gather({**state, **statistics}, keep)
        scales = values["weight"] / np.sqrt(values["variance"])
        biases = values["shift"] + (values["bias"] - values["mean"]) * scales
        scales, biases = scales * self._factors, biases * self._factors + self._shifts
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
            add("bias", layer.bias, n, 0.0)
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
    if layer.bias is not None:
        yield layer.bias
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
        dense: Container[int] = (),  # steps that may be computed in bfloat16
    ) -> None:
        self._places: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        self._keys = keys
        self._library, self._processor = library, processor
        wanted: dict[tuple[int, int], _Layer] = {}
        for order in orders:
            step, candidate = order["step"], order.get("candidate", 0)
            weights, name = plan.weights[step], (step, keys[candidate][step])
            if weights is not None and name not in wanted:
                wanted[name] = _Layer(weights, candidates[candidate])
        self.starts = np.zeros(sum(layer.starts for layer in wanted.values()), dtype=np.int64)
        # the kernel writes weights before it knows whether to keep them
        kept = sum(layer.kept for layer in wanted.values()) + LANES
        self.offsets = np.empty(kept, dtype=np.int32)
        self.weights = np.empty(kept, dtype=np.float32)
        room = sum(words(layer.weights) for (step, _), layer in wanted.items() if step in dense)
        self.packed = np.empty(room, dtype=np.int32)
        biases, row, used, outputs, filled = [], 0, 0, 0, 0
        for name, layer in wanted.items():
            taken = self._pack(layer, plan.steps[name[0]], filled) if name[0] in dense else 0
            self._places[name] = row, outputs, layer.runs, filled if taken else -1
            filled += taken
            self.starts[row] = used
            used = used if taken else self._list(layer, row)
            biases.append(layer.pruned.biases[layer.outputs])
            row += layer.starts
            outputs += layer.weights.outputs
        self.biases = np.concatenate(biases)

    def place(self, step: int, candidate: int) -> tuple[int, int, int, int]:
        """Where a step's starts and biases begin for a candidate, how many runs of weights an output has, and where
        its weights in bfloat16 begin, -1 for none."""
        return self._places.get((step, self._keys[candidate][step]), (0, 0, 0, -1))

    def _list(self, layer: _Layer, row: int) -> int:
        weights = layer.weights
        arrays = (*layer.arrays(), weights.offsets, weights.origins)
        kept = Kept(
            *map(address, arrays),
            *(weights.outputs, len(weights.offsets), layer.run),
            *map(address, (self.starts[row:], self.offsets, self.weights)),
        )
        return int(self._library.pruneframe_list(ctypes.c_int64(self._processor), ctypes.byref(kept)))

    def _pack(self, layer: _Layer, step: NDArray[np.int64], place: int) -> int:
        weights, arrays = layer.weights, layer.arrays()
        shape = (int(step[FIELDS.index(name)]) for name in ("rows", "columns"))
        inputs = len(weights.offsets) // weights.taps
        packed = Packed(*map(address, arrays), weights.outputs, inputs, *shape, address(self.packed[place:]))
        return int(self._library.pruneframe_pack(ctypes.byref(packed)))


class _Layer:
    """One layer of a candidate, and how its kept weights are listed."""

    def __init__(self, weights: Weights, pruned: Pruned) -> None:
        self.weights = weights
        self.pruned = pruned
        self.mask = None if weights.weight is None else pruned.keep.get(weights.weight)
        inputs = len(weights.offsets)
        self.kept = weights.outputs * inputs if self.mask is None else int(np.count_nonzero(self.mask))
        self.run = weights.run(self.kept)
        self.runs = -(-inputs // self.run)

    @property
    def starts(self) -> int:
        """How many numbers say where the runs begin and end."""
        return self.weights.outputs * self.runs + 1

    def arrays(self) -> tuple[NDArray | None, NDArray, NDArray]:
        """Its mask, weights and scales as the kernel reads them."""
        mask = None if self.mask is None else np.ascontiguousarray(self.mask)
        name, shape = self.weights.weight, (self.weights.outputs, len(self.weights.offsets))
        weights = np.ones(shape, dtype=np.float32) if name is None else self.pruned.state[name].numpy()
        return mask, np.ascontiguousarray(weights, dtype=np.float32), self.pruned.scales[self.outputs]

    @property
    def outputs(self) -> slice:
        """Its outputs among those of all layers."""
        return slice(self.weights.first, self.weights.first + self.weights.outputs)


def table(orders: Sequence[dict[str, int]], lists: Lists) -> NDArray[np.int64]:
    """Orders for the kernel, int64[orders, columns]."""
    rows = []
    for order in orders:
        place = lists.place(order["step"], order.get("candidate", 0))
        known = order | dict(zip(("starts", "biases", "runs", "packed"), place, strict=True))
        rows.append([known.get(name, 0) for name in ORDER])
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(ORDER))
