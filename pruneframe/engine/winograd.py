"""Which steps may have factors in bfloat16, and the memory that they need: dense 3 x 3 convolutions of stride 1.

The kernel computes them by F(2 x 2, 3 x 3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR
2016. Whether it does, layer by layer of each candidate, follows from the weights that are kept alone: `pays` in
winograd.h.
"""

from __future__ import annotations

import ctypes

import numpy as np

from .plan import FIELDS, SUMS, Plan, Weights

SIZE = 3  # rows and columns of a filter
POSITIONS, OUTPUTS = 16, 4  # of a tile, and output channels that are summed at once; as in winograd.h


def dense_steps(plan: Plan) -> frozenset[int]:
    """The steps of a plan that a 3 x 3 convolution of stride 1 without groups is behind."""
    return frozenset(step for step, weights in enumerate(plan.weights) if weights and _is_dense(plan, step, weights))


def _is_dense(plan: Plan, step: int, weights: Weights) -> bool:
    """Neighbours in the filter lie as far apart as neighbours in the output do."""
    field = dict(zip(FIELDS, plan.steps[step].tolist(), strict=True))
    if field["kind"] != SUMS or field["tail"] or weights.taps != SIZE * SIZE or weights.origins.any():
        return False
    c, i, j = np.ogrid[: len(weights.offsets) // weights.taps, :SIZE, :SIZE]
    expected = c * field["in_plane"] + i * field["in_row"] + j * field["in_column"]
    return np.array_equal(weights.offsets, expected.ravel())


def words(weights: Weights) -> int:
    """32 bits each that a layer's weights take at most, and the lists of its channels before them."""
    inputs = len(weights.offsets) // weights.taps
    pairs, outputs = -(-inputs // 2), -(-weights.outputs // OUTPUTS) * OUTPUTS
    return 2 + weights.outputs + 2 * inputs + POSITIONS * pairs * outputs


def room(library: ctypes.CDLL, plan: Plan, steps: frozenset[int]) -> int:
    """Floats of memory that the kernel needs for these steps."""
    layers = [plan.weights[step] for step in steps]
    inputs = [len(weights.offsets) // weights.taps for weights in layers if weights is not None]
    return max((int(library.pruneframe_room(ctypes.c_int64(count))) for count in inputs), default=0)
