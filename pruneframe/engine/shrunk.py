"""The shrunk path: units are taken out of the network, and torch computes what is physically left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..mask import Masks
from ..model.network import Network
from ..model.precision import bfloat16
from ..model.rows import Source
from ..model.shrink import shrink
from ..model.state import State
from .plain import Plain


class Shrunk:
    """Computes outputs of networks without their removed filters; their statistics are `plain`'s."""

    def __init__(self, network: Network, plain: Plain) -> None:
        self._network = network
        self._plain = plain

    def logits(
        self, masks: Masks, states: Sequence[State], images: Source, rounded: bool = False
    ) -> Iterator[NDArray[np.float32]]:
        """As `plain`'s: float32[images, classes] of each candidate in turn, `rounded` in torch's bfloat16."""
        for row, state in enumerate(states):
            mask = masks[[row]]
            with torch.inference_mode():
                small = shrink(self._network, mask, self._plain.masked(mask, state)).to(self._plain.device)
                # In torch's default format: with channels last it errs where a single channel is left, see `plain`.
                with bfloat16(self._plain.device, rounded):
                    outputs = torch.cat([small(batch.contiguous()) for batch in images.split(self._plain.batch)])
            yield outputs.float().cpu().numpy()
