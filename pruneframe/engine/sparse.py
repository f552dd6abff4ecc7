"""The sparse path: float32, multiplying what is left of a network and nothing else."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..mask import Masks
from ..network import Network
from .compiler import compiled
from .plan import LANES, Plan, Unsupported, Weights
from .prefix import COPY, ORDER, Key, Work, families, shared_steps

State = dict[str, Tensor]
Floats = NDArray[np.float32]
ALIGNMENT = 64  # bytes; the kernel's vectors


class _Call(ctypes.Structure):
    """Mirrors Network in kernel.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("steps", "orders", "tail")),
        *((name, ctypes.c_int64) for name in ("order_count", "tail_count", "candidates")),
        *((name, ctypes.c_void_p) for name in ("starts", "offsets", "weights", "biases", "images")),
        *(
            (name, ctypes.c_int64)
            for name in ("image_group", "level", "partial", "wide_size", "result", "classes", "groups")
        ),
        ("logits", ctypes.c_void_p),
    ]


@cache
def kernel() -> ctypes.CDLL | None:
    """The compiled kernel, or None where it could not be built when pruneframe was installed."""
    found = importlib.util.find_spec("pruneframe.engine._kernel")
    if found is None or found.origin is None:
        return None
    library = ctypes.CDLL(found.origin)
    library.pruneframe_run.restype = None
    library.pruneframe_list.restype = library.pruneframe_processor.restype = ctypes.c_int64
    return library


@dataclass(frozen=True)
class Pruned:
    """One candidate as the kernel sees it: its weights, what is kept of them, scale and bias of every output."""

    state: State
    keep: dict[str, NDArray[np.bool_]]
    scales: Floats  # [outputs of all layers]
    biases: Floats


class Sparse:
    """Runs masked networks with the kernel; raises Unsupported, with the reason, where it cannot."""

    def __init__(self, network: Network) -> None:
        library = kernel()
        if library is None:
            raise Unsupported("the kernel is not built")
        self._library = library
        self.processor = int(library.pruneframe_processor())
        self.network = network
        self.plan = compiled(network)
        self._shared = shared_steps(self.plan)
        self._affine = _Affine(network, self.plan)
        self._arenas: dict[int, Floats] = {}  # by thread, kept from call to call
        self._wide: dict[int, Floats] = {}

    def groups(self, images: Tensor) -> Floats:
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

    def pruned(self, masks: Masks, row: int, state: State, statistics: State) -> Pruned:
        """A candidate; `statistics` are its batch norms' running ones where they are not those of its state."""
        keep = {name: kept.numpy() for name, kept in self.network.keep(masks, row).items()}
        return Pruned(state, keep, *self._affine(state, statistics, keep))

    def families(self, candidates: Sequence[Pruned]) -> list[list[int]]:
        """Which candidates, by their places, `logits` had better get together."""
        return families(self._keys(candidates), self._shared)

    def logits(self, candidates: Sequence[Pruned], groups: Floats, n: int) -> Floats:
        """Outputs float32[candidates, images, classes]; what several have in common is computed once."""
        plan, keys = self.plan, self._keys(candidates)
        work = Work(plan, self._shared, keys)
        tail = work.tail
        lists = _Lists(self._library, plan, candidates, keys, [*work.orders, *tail])
        orders, last = (_table(part, lists) for part in (work.orders, tail))
        logits = np.empty((len(candidates), len(groups), plan.classes, LANES), dtype=np.float32)
        arrays = (plan.steps, orders, last, lists.starts, lists.offsets, lists.weights, lists.biases, groups, logits)
        steps, order, rest, starts, offsets, weights, biases, images, answer = (array.ctypes.data for array in arrays)
        call = _Call(
            *(steps, order, rest),
            *(len(orders), len(last), len(candidates)),
            *(starts, offsets, weights, biases, images),
            *(groups[0].size, plan.arena, plan.partial, plan.wide, plan.result, plan.classes, len(groups)),
            answer,
        )
        self._run(call, len(groups), plan.arena * work.levels, plan.wide * len(candidates))
        return logits.transpose(0, 1, 3, 2).reshape(len(candidates), -1, plan.classes)[:, :n]

    def _run(self, call: _Call, groups: int, arena: int, wide: int) -> None:
        """All groups, an equal part for each of torch's threads, which get so many floats each."""
        threads = min(torch.get_num_threads(), groups)
        memory = [
            (_enough(self._arenas, thread, arena), _enough(self._wide, thread, wide)) for thread in range(threads)
        ]
        bounds = np.linspace(0, groups, threads + 1).astype(int).tolist()

        def run(thread: int) -> None:
            self._library.pruneframe_run(
                ctypes.c_int64(self.processor),
                ctypes.byref(call),
                *map(ctypes.c_int64, bounds[thread : thread + 2]),
                *(ctypes.c_void_p(floats.ctypes.data) for floats in memory[thread]),
            )

        if threads == 1:
            run(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run, range(threads)))

    def _keys(self, candidates: Sequence[Pruned]) -> list[Key]:
        """One number per step: equal ones have equal weights."""
        if len(candidates) == 1:
            return [(0,) * len(self.plan.steps)]
        seen: list[dict[object, int]] = [{} for _ in self.plan.steps]
        return [
            tuple(
                numbers.setdefault(candidate_part, len(numbers))
                for numbers, candidate_part in zip(seen, self._parts(candidate), strict=True)
            )
            for candidate in candidates
        ]

    def _parts(self, candidate: Pruned) -> Iterator[object]:
        """What each step's result depends on, but for its inputs."""
        for weights in self.plan.weights:
            if weights is None:
                yield None
            else:
                kept = candidate.keep.get(f"{weights.layer}.weight")
                outputs = slice(weights.first, weights.first + weights.outputs)
                affine = candidate.scales[outputs].tobytes() + candidate.biases[outputs].tobytes()
                yield id(candidate.state), None if kept is None else np.packbits(kept).tobytes(), affine


class _Affine:
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


class _Lists:
    """The kept weights of all steps to be done: where each output's begin, where they read, their values, biases."""

    def __init__(
        self,
        library: object,
        plan: Plan,
        candidates: Sequence[Pruned],
        keys: Sequence[Key],
        orders: Sequence[dict[str, int]],
    ) -> None:
        self._places: dict[tuple[int, int], tuple[int, int]] = {}
        self._keys = keys
        wanted: dict[tuple[int, int], tuple[Weights, Pruned]] = {}
        for order in orders:
            step, candidate = order["step"], order.get("candidate", 0)
            weights = None if step == COPY else plan.weights[step]
            if weights is not None:
                wanted.setdefault((step, keys[candidate][step]), (weights, candidates[candidate]))
        rows = sum(weights.outputs * weights.blocks + 1 for weights, _ in wanted.values())
        kept = sum(_kept(weights, pruned) for weights, pruned in wanted.values())
        self.starts = np.zeros(rows, dtype=np.int64)
        self.offsets = np.empty(
            kept + 1, dtype=np.int32
        )  # the kernel writes a weight before it knows whether to keep it
        self.weights = np.empty(kept + 1, dtype=np.float32)
        biases, row, used, outputs = [], 0, 0, 0
        for name, (weights, pruned) in wanted.items():
            self._places[name] = row, outputs
            self.starts[row] = used
            used = self._list(library, weights, pruned, row)
            biases.append(pruned.biases[weights.first : weights.first + weights.outputs])
            row += weights.outputs * weights.blocks + 1
            outputs += weights.outputs
        self.biases = np.concatenate(biases)

    def place(self, step: int, candidate: int) -> tuple[int, int]:
        """Where a step's starts and biases begin for a candidate."""
        return (0, 0) if step == COPY else self._places.get((step, self._keys[candidate][step]), (0, 0))

    def _list(self, library: object, weights: Weights, pruned: Pruned, row: int) -> int:
        kept = pruned.keep.get(f"{weights.layer}.weight")
        kept = None if kept is None else np.ascontiguousarray(kept)
        values = np.ascontiguousarray(pruned.state[f"{weights.layer}.weight"].numpy(), dtype=np.float32)
        scales = pruned.scales[weights.first : weights.first + weights.outputs]
        inputs = len(weights.offsets)
        return int(
            library.pruneframe_list(  # type: ignore[attr-defined] # a C function
                *(ctypes.c_void_p(None if array is None else array.ctypes.data) for array in (kept, values, scales)),
                *(ctypes.c_void_p(array.ctypes.data) for array in (weights.offsets, weights.origins)),
                *(ctypes.c_int64(number) for number in (weights.outputs, inputs, weights.run)),
                ctypes.c_void_p(self.starts.ctypes.data + row * self.starts.itemsize),
                *(ctypes.c_void_p(array.ctypes.data) for array in (self.offsets, self.weights)),
            )
        )


def _kept(weights: Weights, pruned: Pruned) -> int:
    """Weights of a layer that are left."""
    kept = pruned.keep.get(f"{weights.layer}.weight")
    return weights.outputs * len(weights.offsets) if kept is None else int(np.count_nonzero(kept))


def _table(orders: Sequence[dict[str, int]], lists: _Lists) -> NDArray[np.int64]:
    """Orders for the kernel, int64[orders, columns]."""
    rows = []
    for order in orders:
        starts, biases = lists.place(order["step"], order.get("candidate", 0))
        rows.append([(order | {"starts": starts, "biases": biases}).get(name, 0) for name in ORDER])
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(ORDER))


def _enough(kept: dict[int, Floats], thread: int, floats: int) -> Floats:
    """A thread's memory, made anew, of zeros, when it is too small."""
    if thread not in kept or len(kept[thread]) < floats:
        kept[thread] = _aligned((floats,))
    return kept[thread]


def _aligned(shape: tuple[int, ...]) -> Floats:
    """Zeros that begin where a vector may."""
    size = int(np.prod(shape))
    memory = np.zeros(size * 4 + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size * 4].view(np.float32).reshape(shape)
