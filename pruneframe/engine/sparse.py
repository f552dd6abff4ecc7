"""The sparse path: what is left of a network is multiplied and nothing else, in float32 unless asked otherwise."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

from ..mask import Masks
from ..model.network import Network
from ..model.rows import Stream
from ..model.state import State
from .compiler import compiled
from .library import Call, Floats, address, aligned, in_threads, kernel, threads_for
from .lists import Affine, Lists, Pruned, table
from .plan import LANES, SLOTS, Unsupported
from .prefix import Key, Work, families, shared_steps, work_of
from .winograd import dense_steps, room

PIECE = 2**27  # bytes of streamed images that are laid out for the kernel at once, about


class Sparse:
    """Runs masked networks with the kernel; raises Unsupported, with the reason, where it cannot.

    `bfloat16`: layers of which so much is left that it is faster have their factors rounded to it; see winograd.py.
    """

    def __init__(self, network: Network, bfloat16: bool = False) -> None:
        library = kernel()
        if library is None:
            raise Unsupported("the kernel is not built")
        self.library = library
        self.processor = int(library.pruneframe_processor())
        self.network = network
        self.plan = compiled(network)
        if bfloat16 and not library.pruneframe_bfloat16():
            raise Unsupported("this processor has no AVX512-BF16, or the kernel was built without")
        self._dense = dense_steps(self.plan) if bfloat16 else frozenset()
        self._room = room(library, self.plan, self._dense)
        self._shared = shared_steps(self.plan)
        self._affine = Affine(network, self.plan)
        self._arenas: dict[int, Floats] = {}  # by thread, kept from call to call
        self._wide: dict[int, Floats] = {}

    @property
    def rounded(self) -> float:
        """The share of the dense network's multiply-adds that may have factors in bfloat16."""
        return float(work_of(self.plan)[list(self._dense)].sum() / work_of(self.plan).sum())

    def groups(self, images: Tensor) -> Floats:
        """Images float32[n, channels, rows, columns] for the kernel: [groups, floats], where it wants them.

        Rows of features float32[n, features] are images of one pixel.
        """
        n, channels, rows, columns = (*images.shape, 1, 1)[:4]
        lies, count = self.plan.images, -(-n // LANES)
        laid = aligned((count, lies.size))
        distances = [4 * distance for distance in (lies.size, lies.plane, lies.row, lies.column, 1)]
        inner = as_strided(laid[:, lies.origin :], (count, channels, rows, columns, LANES), distances)
        for group, part in zip(inner, images.split(LANES), strict=True):
            group[..., : len(part)] = part.numpy().reshape(-1, channels, rows, columns).transpose(1, 2, 3, 0)
        return laid

    def streamed(self, images: Stream) -> Iterator[Floats]:
        """The same in pieces of `PIECE` bytes, each of whole groups."""
        whole = LANES * SLOTS
        size = whole * max(1, PIECE // (4 * whole * math.prod(images.shape[1:])))
        return map(self.groups, images.split(size))

    def pruned(self, masks: Masks, row: int, state: State, statistics: State) -> Pruned:
        """A candidate; `statistics` are its batch norms' running ones where they are not those of its state."""
        keep = {name: kept.numpy() for name, kept in self.network.keep(masks, row).items()}
        return Pruned(state, keep, *self._affine(state, statistics, keep))

    def families(self, candidates: Sequence[Pruned]) -> list[list[int]]:
        """Which candidates, by their places, `logits` had better get together."""
        return families(self._keys(candidates), self._shared)

    def logits(self, candidates: Sequence[Pruned], groups: Floats, n: int) -> Floats:
        """Outputs float32[candidates, images, classes]; what several have in common is computed once."""
        return self.in_pieces(candidates, [groups], n)

    def in_pieces(self, candidates: Sequence[Pruned], pieces: Iterable[Floats], n: int) -> Floats:
        """The same for n images that come in several pieces, each of groups."""
        plan, keys = self.plan, self._keys(candidates)
        work = Work(plan, self._shared, keys)
        tail = work.tail
        lists = Lists(self.library, self.processor, plan, candidates, keys, [*work.orders, *tail], self._dense)
        orders, last = (table(part, lists) for part in (work.orders, tail))
        answers = []
        for groups in pieces:
            logits = np.empty((len(candidates), len(groups), plan.classes, LANES), dtype=np.float32)
            call = Call(
                *map(address, (plan.steps, orders, last)),
                *(len(orders), len(last), len(candidates)),
                *map(address, (lists.starts, lists.offsets, lists.weights, lists.biases, lists.packed)),
                *map(address, (plan.spans, groups)),
                *(groups[0].size, plan.arena, plan.partial, plan.wide, plan.result, plan.classes, len(groups)),
                address(logits),
            )
            self._run(call, len(groups), plan.arena * work.levels, plan.wide * len(candidates) + self._room)
            answers.append(logits.transpose(0, 1, 3, 2).reshape(len(candidates), -1, plan.classes))
        return np.concatenate(answers, axis=1)[:, :n]

    def _run(self, call: Call, groups: int, arena: int, wide: int) -> None:
        """All groups, in threads, which get so many floats each."""

        def work(thread: int, first: int, last: int) -> None:
            memory = _enough(self._arenas, thread, arena), _enough(self._wide, thread, wide)
            self.library.pruneframe_run(
                ctypes.c_int64(self.processor),
                ctypes.byref(call),
                *map(ctypes.c_int64, (first, last)),
                *(ctypes.c_void_p(floats.ctypes.data) for floats in memory),
            )

        in_threads(groups, work, threads_for(self.network.total_macs))

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
                kept = None if weights.weight is None else candidate.keep.get(weights.weight)
                outputs = slice(weights.first, weights.first + weights.outputs)
                affine = candidate.scales[outputs].tobytes() + candidate.biases[outputs].tobytes()
                yield id(candidate.state), None if kept is None else np.packbits(kept).tobytes(), affine


def _enough(kept: dict[int, Floats], thread: int, floats: int) -> Floats:
    """A thread's memory, made anew, of zeros, when it is too small."""
    if thread not in kept or len(kept[thread]) < floats:
        kept[thread] = aligned((floats,))
    return kept[thread]
