"""Which test images the members of a final front classify as their labels say, and the unpruned network beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .folder import RunFolder

FILES = ("correct", "dense_correct", "test_error")
SAME = 1e-9  # of errors


@dataclass(frozen=True)
class Correctness:
    """Of one finished run: `correct` is bool[members, test images], `dense` bool[test images]; images in their order.

    For tests of pairs and bootstraps over images: rows of runs on one board are about the same images.
    """

    correct: NDArray[np.bool_]
    dense: NDArray[np.bool_]

    @classmethod
    def of(cls, folder: RunFolder) -> Self:
        """From a run's folder; raises InputError where it does not agree with the errors stored beside it."""
        found, result = folder.front(FILES), folder.result
        images = result["images"]["test"]
        rows = [*found["correct"], found["dense_correct"]]
        errors = [*found["test_error"], result["dense_test_error"]]
        every = np.unpackbits(np.array(rows, dtype=np.uint8), axis=1).view(np.bool_)
        if len(rows) != len(errors) or every.shape[1] - images not in range(8):
            raise InputError(f"{folder.path} must hold each member's {images} test images, but does not; run it again")
        every = every[:, :images]
        off = np.abs((~every).mean(axis=1) - errors) > SAME
        if off.any():
            row = int(np.argmax(off))
            who = "the unpruned network" if row == len(errors) - 1 else f"member {row}"
            raise InputError(
                f"{folder.path} must hold the test images that {who} gets right, with an error of {errors[row]:.6g}, "
                f"but those that it holds make {(~every[row]).mean():.6g}; run it again with --force"
            )
        return cls(every[:-1], every[-1])
