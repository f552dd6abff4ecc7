"""A workbench whose evaluations are free, but for a few at the end that tell what one really takes."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from random_networks import IMAGES

from pruneframe.mask import Bits, Masks
from pruneframe.objective import Objective
from pruneframe.search.images import Images
from pruneframe.search.workbench import DENSE, Workbench

EVALUATED = 4  # candidates that are really evaluated


def answer(bits: Bits) -> tuple[float, float]:
    """An error, which grows with what is removed and hangs on every bit, and the kept bits of a mask uint8[bytes]."""
    kept = int(np.bitwise_count(bits).sum())
    chance = zlib.crc32(bits.tobytes()) / 2**32
    return (1 - kept / (8 * len(bits))) * (1 + chance) / 2, float(kept)


class FreeWorkbench(Workbench):
    """Knows what a candidate is worth without running the network."""

    def measure(
        self, masks: Masks, weights: Sequence[str], objectives: Sequence[Objective], images: Images
    ) -> Iterator[list[float]]:
        """As the workbench's, from the mask alone."""
        for bits in masks.bits:
            error, kept = answer(bits)
            yield [kept if objective.name == "params" else error for objective in objectives]

    def image_seconds(self) -> float:
        """What one image of one evaluation really takes, of candidates with half of the units."""
        rng = np.random.default_rng(0)
        bits = rng.integers(0, 256, (EVALUATED, self.network.layout.width), dtype=np.uint8)
        few, more = (self._seconds(bits, self.subset("train", count)) for count in (IMAGES, 2 * IMAGES))
        return (more - few) / (EVALUATED * IMAGES)

    def _seconds(self, bits: Bits, images: Images) -> float:
        masks = self.network.layout.full(len(bits))
        np.bitwise_and(masks.bits, bits, out=masks.bits)
        start = time.perf_counter()
        for candidate in self.candidates(masks, [DENSE] * len(masks), images):
            _ = candidate.logits
        return time.perf_counter() - start
