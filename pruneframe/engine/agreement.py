"""Agreement: whether a path computes what the module itself does, dense and under random masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from ..errors import InputError
from ..mask import Masks
from ..model.network import Network
from ..model.state import State, digest
from .plain import Plain

TOLERANCE = 1e-4  # of the spread of the unpruned network's outputs
ROUNDED = 0.1  # the same for bfloat16: rounding is a tenth of it, and what computes something else is far off
DENSITIES = (1.0, 0.8, 0.5, 0.2)  # of the masks that are tried
DRAWN = 4  # images, where none are given
Logits = Callable[[Masks, list[State], Tensor], Iterator[NDArray[np.float32]]]

_copied: WeakKeyDictionary[Network, bool] = WeakKeyDictionary()  # networks whose copies are known to agree
_known: WeakKeyDictionary[Network, dict[tuple[str, str], bool]] = WeakKeyDictionary()  # by weights and images, and path


class Reference:
    """What the module itself answers, its masked weights handed to it; nothing of it is copied.

    `images` are a few, [n, ...]; None draws some.
    """

    def __init__(self, network: Network, images: Tensor | None) -> None:
        self.network = network
        self.images = network.inputs.random(DRAWN) if images is None else images
        self.state = {name: tensor.detach() for name, tensor in network.module.state_dict().items()}

    @cached_property
    def masks(self) -> Masks:
        """Random ones, one of each density."""
        rng, layout = np.random.default_rng(0), self.network.layout
        kept = (rng.random((1, layout.total), dtype=np.float32) < density for density in DENSITIES)
        return Masks.join(Masks.pack(one, layout) for one in kept)

    @cached_property
    def expected(self) -> list[NDArray[np.float32]]:
        """Outputs float32[images, classes] under each mask."""
        return [self._answer(row) for row in range(len(self.masks))]

    def _answer(self, row: int) -> NDArray[np.float32]:
        masked = dict(self.state)
        for name, kept in self.network.keep(self.masks, row).items():
            masked[name] = masked[name] * kept
        with torch.inference_mode():
            return functional_call(self.network.module, masked, (self.images.clone(),), tie_weights=False).numpy()

    def agrees(self, logits: Logits, tolerance: float = TOLERANCE) -> bool:
        """Whether a path gives the same outputs."""
        found = logits(self.masks, [self.state] * len(self.masks), self.images)
        spread = float(np.ptp(self.expected[0])) or 1.0
        pairs = zip(self.expected, found, strict=True)
        return all(float(np.abs(one - other).max()) <= tolerance * spread for one, other in pairs)

    def rounds(self, logits: Logits) -> bool:
        """Whether a path in bfloat16 gives the same outputs but for rounding; not where torch cannot compute so."""
        try:
            return self.agrees(logits, ROUNDED)
        except RuntimeError:
            return False

    def known(self, path: str, compare: Callable[[Logits], bool], logits: Logits) -> bool:
        """What a comparison says of a path with this name, made once for the same network, weights and images.

        Engines of one network are made again and again: for each method that is planned, and for each run.
        """
        answers = _known.setdefault(self.network, {})
        if (self._digest, path) not in answers:
            answers[self._digest, path] = compare(logits)
        return answers[self._digest, path]

    @cached_property
    def _digest(self) -> str:
        return digest({**self.state, "": self.images})


def check_copies(network: Network, reference: Reference) -> None:
    """Raise InputError for a network of which a copy with other weights does not compute what it does with these."""
    if network not in _copied:
        _copied[network] = reference.agrees(Plain(network).logits)
    if not _copied[network]:
        raise InputError(
            "a copy of the network with masked weights must compute what the network does with them, but does not; its "
            "forward pass must read its own parameters alone, and not those that another object or a closure holds"
        )
