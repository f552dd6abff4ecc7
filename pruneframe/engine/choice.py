"""Which path answers: a pure function of the question, never tuned while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..mask import Masks
from ..network import Network
from .gpu import Gpu
from .plain import Plain, State
from .plan import Unsupported
from .sparse import Pruned, Sparse, kernel

SPARSE_BELOW = 0.6  # share of the multiply-adds that remains; above it torch's dense convolutions are faster

PROCESSORS = ("portable code", "AVX2", "AVX-512")  # what the kernel's `pruneframe_processor` answers


def available() -> str:
    """The paths that this machine's processor has; which of them a network takes is known when it is loaded."""
    library = kernel()
    if library is None:
        return "torch alone: the kernel is not built"
    return f"sparse kernel ({PROCESSORS[library.pruneframe_processor()]}) where it can run the network, else torch"


class Engine:
    """Computes outputs of masked networks on one device: float32 on a processor, and on a GPU where it is asked for.

    `calibration` are the images behind batch_norm=shifted, float32[n, channels, height, width]; None for frozen.
    """

    def __init__(self, network: Network, device: str = "cpu", calibration: Tensor | None = None) -> None:
        self.network = network
        self._plain = Plain(network, device, calibration)
        self._calibrated = calibration is not None
        self._gpu = None if self._plain.device.type == "cpu" else Gpu(network, device, calibration)
        self._sparse: Sparse | None = None
        self._groups: dict[int, tuple[Tensor, NDArray[np.float32]]] = {}
        try:
            self._sparse = None if self._gpu else Sparse(network)
            self._notice = "sparse kernel"
        except Unsupported as reason:
            self._notice = f"torch alone: {reason}"

    @property
    def notice(self) -> str:
        """Which path answers, and why."""
        return self._gpu.notice if self._gpu else self._notice

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self._plain.device)

    def place(self, images: Tensor) -> Tensor:
        """Images on this engine's device and in its memory format; do it once per set of images."""
        return self._plain.place(images)

    def logits(
        self, masks: Masks, states: Sequence[State], images: Tensor, exact: bool = False
    ) -> Iterator[NDArray[np.float32]]:
        """Outputs float32[images, classes] of each candidate in turn; states[i] are the weights under masks[i].

        `exact`: computed in float32 on a GPU, too, where the search has tf32.
        """
        if self._gpu is not None:
            yield from self._gpu.logits(masks, states, images, exact)
            return
        if self._sparse is None:
            yield from self._plain.logits(masks, states, images)
            return
        thin = np.flatnonzero(self.network.macs(masks) < SPARSE_BELOW * self.network.total_macs).tolist()
        alone = self._calibrated or len(thin) == 1  # shifting statistics takes longer than what could be shared
        pruned = {} if alone else {row: self._pruned(masks, row, states[row]) for row in thin}
        families = [[row] for row in thin] if alone else self._sparse.families(pruned)
        family_of = {row: family for family in families for row in family}
        known: dict[int, NDArray[np.float32]] = {}
        for row, state in enumerate(states):
            if row not in family_of:
                yield from self._plain.logits(masks[[row]], [state], images)
                continue
            if row not in known:
                rows = family_of[row]
                family = [
                    pruned.pop(member) if member in pruned else self._pruned(masks, member, states[member])
                    for member in rows
                ]
                known |= dict(zip(rows, self._sparse.logits(family, self._grouped(images), len(images)), strict=True))
            yield known.pop(row)

    def _pruned(self, masks: Masks, row: int, state: State) -> Pruned:
        assert self._sparse is not None
        return self._sparse.pruned(masks, row, state, self._plain.shifted(masks[[row]], state))

    def outputs(
        self, masks: Masks, states: Sequence[State], features: Tensor, start: int, stop: int
    ) -> Iterator[Tensor]:
        """What each candidate's layers[start:stop] make of the features that enter them; tensors stay on the device."""
        return self._plain.outputs(masks, states, features, start, stop)

    def masked(self, mask: Masks, state: State) -> State:
        """The state of one masked network, on the CPU: zeros in place, statistics shifted where they are."""
        return self._plain.masked(mask, state)

    def _grouped(self, images: Tensor) -> NDArray[np.float32]:
        """Images as the kernel reads them, laid out once per set."""
        assert self._sparse is not None
        if id(images) not in self._groups:
            self._groups[id(images)] = (images, self._sparse.groups(images.contiguous()))
        return self._groups[id(images)][1]
