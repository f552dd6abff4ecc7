"""Which path answers: the kernel where it can run the network, even dense; else torch, on what is physically left.

In bfloat16 the kernel rounds the layers of which so much is left that this is faster, where most of a network can be
computed so; else torch answers beside it, where so much of a candidate is left that this is faster. All of it is a
function of the network, the candidate and the machine, never tuned while it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..mask import Masks
from ..model.network import Network
from ..model.precision import Precision, multiplier, search_precision
from ..model.rows import Source, Stream
from ..model.state import State
from ..model.trace import device_of
from .agreement import Logits, Reference, check_copies
from .batch_norm import shifted_statistics
from .gpu import Gpu
from .halves import WORTH, Halves, foldable
from .lists import Pruned
from .moments import Moments
from .plain import Plain, memory_format
from .plan import Unsupported
from .shrunk import Shrunk
from .sparse import Sparse

MEMORY = 2**30  # bytes that candidates may take that are looked at together
KERNEL = "avx512_bf16"  # what multiplies bfloat16 for the kernel; AMX is faster, but only in torch
# The least share of a network's multiply-adds that the kernel must be able to round. It is ahead of torch by less than
# a factor of two, as benchmarks/evaluation.py prints: what it cannot round must be so little that it stays ahead.
MOST = 0.75
BYTES_PER_UNIT = 9  # a kept weight takes 4 for its value, 4 for where it reads, 1 for the mask


class Engine:
    """Computes outputs of masked networks on one device, in the `precision` of the search or, asked for, in float32.

    No precision is the device's default. `calibration` are the images behind batch_norm=shifted, [n, ...]; None for
    frozen. A path is taken only where it computes what the module itself does on `sample` images, or on drawn ones.
    Raises InputError where none does, and for a precision that the device would emulate.
    """

    def __init__(
        self,
        network: Network,
        device: str = "cpu",
        calibration: Source | None = None,
        sample: Tensor | None = None,
        precision: Precision | None = None,
    ) -> None:
        self.network = network
        self.precision = search_precision(device, precision)
        self._plain = Plain(network, device, calibration)
        self._calibrated = calibration is not None  # shifting statistics takes longer than what could be shared
        self._torch = Shrunk(network, self._plain) if network.units.removable else self._plain
        self._sparse: Sparse | None = None
        self._rounding: Sparse | None = None  # the kernel again, in bfloat16
        self._halves: Halves | None = None  # or torch beside it
        self._moments: Moments | None = None
        self._unpruned: tuple[State, State] | None = None  # weights, and their batch statistics
        self._groups: dict[int, tuple[Tensor, NDArray[np.float32]]] = {}  # of images that are held in memory
        reference = Reference(network, sample) if device_of(network.module).type == "cpu" else None
        if reference is not None:
            check_copies(network, reference)
        self._rounded = self.precision == "bfloat16"  # what torch computes of the search
        if self._rounded and reference:
            self._rounded = reference.known("torch in bfloat16", reference.rounds, _torch_rounded(network))
        self._gpu = None
        if self._plain.device.type != "cpu":
            used = self.precision if self._rounded else search_precision(device)
            self._gpu = Gpu(network, device, calibration, used)
        try:
            self._sparse = None if self._gpu else Sparse(network)
            self._notice = "sparse kernel"
            if self._sparse and reference and not self._agrees(self._sparse, reference):
                self._sparse = None
                self._notice = "torch alone: the kernel would compute something else"
        except Unsupported as reason:
            self._notice = f"torch alone: {reason}"
        if self._sparse and calibration is not None:
            try:
                self._moments = Moments(self._sparse, calibration)
            except Unsupported as reason:
                self._notice += f", torch for the statistics of batch norm: {reason}"
        if self._sparse and self._rounded:
            self._rounding = self._within(reference)
            self._halves = None if self._rounding else self._beside(self._sparse, reference)
            self._rounded = self._rounding is not None or self._halves is not None

    def _within(self, reference: Reference | None) -> Sparse | None:
        """The kernel in bfloat16; None where it has none, or where it would take longer than torch."""
        if multiplier(self.device) != KERNEL:
            return None
        try:
            rounding = Sparse(self.network, bfloat16=True)
        except Unsupported:
            return None
        if rounding.rounded < MOST:
            return None
        logits = partial(self._uncalibrated, rounding)
        if reference and not reference.known("kernel in bfloat16", reference.rounds, logits):
            return None
        return rounding

    def _beside(self, sparse: Sparse, reference: Reference | None) -> Halves | None:
        """What answers in bfloat16 beside the kernel; None where nothing can, or only in more time."""
        if not foldable(self.network, sparse.plan):
            return None
        halves = Halves(self.network, sparse.plan, memory_format(self.network), WORTH[multiplier(self.device)])

        def logits(masks: Masks, states: Sequence[State], images: Tensor) -> Iterator[NDArray[np.float32]]:
            for row, state in enumerate(states):
                yield halves.logits(sparse.pruned(masks, row, state, {}), images)

        if halves.least > 1 or (reference and not reference.known("beside the kernel", reference.rounds, logits)):
            return None
        return halves

    def _agrees(self, sparse: Sparse, reference: Reference) -> bool:
        return reference.known("kernel", reference.agrees, partial(self._uncalibrated, sparse))

    @staticmethod
    def _uncalibrated(
        sparse: Sparse, masks: Masks, states: Sequence[State], images: Tensor
    ) -> Iterator[NDArray[np.float32]]:
        """The kernel's outputs without shifted statistics."""
        groups = sparse.groups(images.contiguous())
        for row, state in enumerate(states):
            yield sparse.logits([sparse.pruned(masks, row, state, {})], groups, len(images))[0]

    @property
    def notice(self) -> str:
        """Which path answers, and why."""
        notice = self._gpu.notice if self._gpu else self._notice
        if self.precision != "bfloat16":
            return notice
        if not self._rounded:
            return f"{notice}; never in bfloat16, which would take longer or compute something else"
        if self._gpu:
            return notice
        if self._rounding:
            return f"{notice}; in bfloat16 by {KERNEL} the 3 x 3 convolutions of which enough is left for that"
        where = f" where {self._halves.least:.0%} or more of the multiply-adds are left" if self._halves else ""
        return f"{notice}; torch in bfloat16 by {multiplier(self.device)}{where}"

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self._plain.device)

    def place(self, images: Source) -> Source:
        """Images on this engine's device and in its memory format; do it once per set of images."""
        return self._plain.place(images)

    def logits(
        self, masks: Masks, states: Sequence[State], images: Source, exact: bool = False
    ) -> Iterator[NDArray[np.float32]]:
        """Outputs float32[images, classes] of each candidate in turn; states[i] are the weights under masks[i].

        `exact`: computed in float32, whatever the precision of the search.
        """
        if self._gpu is not None:
            yield from self._gpu.logits(masks, states, images, exact)
            return
        if self._sparse is None:
            yield from self._torch.logits(masks, states, images, self._rounded and not exact)
            return
        window = 1 if self._calibrated else max(1, MEMORY // (BYTES_PER_UNIT * self.network.layout.total))
        for start in range(0, len(masks), window):
            part = slice(start, start + window)
            sparse, halves = (self._sparse, None) if exact else (self._rounding or self._sparse, self._halves)
            yield from self._together(sparse, masks[part], states[part], images, halves)

    def _together(
        self, sparse: Sparse, masks: Masks, states: Sequence[State], images: Source, halves: Halves | None
    ) -> Iterator[NDArray[np.float32]]:
        """Outputs of candidates in turn: of some by `halves`, one by one, of the others by the kernel.

        Those of the kernel's that begin alike are computed when the first of them is asked for.
        """
        candidates = [self._pruned(sparse, masks, row, state) for row, state in enumerate(states)]
        dense = np.zeros(len(masks), dtype=bool) if halves is None else halves.faster(masks)
        rest = np.flatnonzero(~dense).tolist()
        families = [[rest[place] for place in family] for family in sparse.families([candidates[row] for row in rest])]
        family_of = {row: family for family in families for row in family}
        known: dict[int, NDArray[np.float32]] = {}
        for row in range(len(masks)):
            if halves is not None and dense[row]:
                known[row] = halves.logits(candidates[row], images)
            elif row not in known:
                family = family_of[row]
                found = sparse.in_pieces([candidates[member] for member in family], self._grouped(images), len(images))
                known |= dict(zip(family, found, strict=True))
            yield known.pop(row)

    def _pruned(self, sparse: Sparse, masks: Masks, row: int, state: State) -> Pruned:
        return sparse.pruned(masks, row, state, self._shifted(masks[[row]], state))

    def outputs(self, mask: Masks, state: State, features: Source, start: int, stop: int) -> Iterator[Tensor]:
        """What one candidate's layers[start:stop] make of the features that enter them, batch by batch.

        Batches stay on the device. All must have been taken before another candidate is computed.
        """
        return self._plain.outputs(mask, state, features, start, stop, self._rounded)

    def masked(self, mask: Masks, state: State) -> State:
        """The state of one masked network, on the CPU: zeros in place, statistics shifted where they are."""
        if self._moments is None:
            return self._plain.masked(mask, state)
        keep = self.network.keep(mask, 0)
        zeroed = {name: tensor * keep[name] if name in keep else tensor.clone() for name, tensor in state.items()}
        return zeroed | self._shifted(mask, state)

    def _shifted(self, mask: Masks, state: State) -> State:
        """The running statistics that pruning moves, by buffer name; none where they are frozen."""
        if self._moments is None:
            return self._plain.shifted(mask, state)
        if self._unpruned is None or self._unpruned[0] is not state:
            self._unpruned = state, self._moments(self.network.layout.full(), 0, state)
        return shifted_statistics(self.network, state, self._unpruned[1], self._moments(mask, 0, state))

    def _grouped(self, images: Source) -> Iterable[NDArray[np.float32]]:
        """Images as the kernel reads them, laid out once per set; those that are streamed whenever they are read."""
        assert self._sparse is not None
        if isinstance(images, Stream):
            return self._sparse.streamed(images)
        if id(images) not in self._groups:
            self._groups[id(images)] = (images, self._sparse.groups(images.contiguous()))
        return [self._groups[id(images)][1]]


def _torch_rounded(network: Network) -> Logits:
    """Torch's own answers in bfloat16, by a copy that is made when they are asked for."""

    def logits(masks: Masks, states: Sequence[State], images: Tensor) -> Iterator[NDArray[np.float32]]:
        return Plain(network).logits(masks, states, images, rounded=True)

    return logits
