"""Pooling windows: those of torch, whatever the padding, and however the sizes go together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx

from pruneframe.engine.windows import Pool, Window, adaptive, defaults, pair, stride_of


def test_one_number_is_for_rows_and_columns() -> None:
    assert pair(3) == (3, 3)
    assert pair((2, 5)) == (2, 5)


def means(window: Window, images: torch.Tensor) -> np.ndarray:
    """What the windows make of images, in float64."""
    found = np.zeros((*images.shape[:2], len(window.rows), len(window.columns)))
    for y, down in enumerate(window.rows):
        for x, right in enumerate(window.columns):
            part = images[:, :, down.first : down.last, right.first : right.last].double().sum((2, 3))
            found[:, :, y, x] = part.numpy() * down.share * right.share
    return found


@pytest.mark.parametrize("rows", [7, 10, 13])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("divisor", [None, 5])
@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 2, 1), (2, 3, 0), (5, 3, 2), (3, 1, 1)])
def test_means_are_those_of_torch(
    rows: int, ceil: bool, counts: bool, divisor: int | None, size: int, stride: int, padding: int
) -> None:
    images = torch.randn(2, 3, rows, 9, generator=torch.Generator().manual_seed(0))
    expected = F.avg_pool2d(images, size, stride, padding, ceil, counts, divisor)
    pool = Pool(pair(size), pair(stride), pair(padding), counts, divisor)
    found = means(pool.window(images.shape[2:], expected.shape[2:]), images)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 7), (9, 4)])
def test_adaptive_windows_are_those_of_torch(size: tuple[int, int]) -> None:
    images = torch.randn(2, 3, 7, 10, generator=torch.Generator().manual_seed(0))
    found = means(adaptive(images.shape[2:], size), images)
    np.testing.assert_allclose(found, F.adaptive_avg_pool2d(images, size).numpy(), rtol=1e-5, atol=1e-6)


def call_of(*arguments: Any, **settings: Any) -> fx.Node:
    """A pooling function's call in a graph."""

    def pooled(images: Tensor) -> Tensor:
        return F.max_pool2d(images, *arguments, **settings)

    return next(node for node in fx.symbolic_trace(pooled).graph.nodes if node.op == "call_function")


@pytest.mark.parametrize(
    ("call", "stride"), [(call_of(2), None), (call_of(2, 3), 3), (call_of(2, stride=(1, 2)), (1, 2))]
)
def test_a_stride_may_be_given_by_place_or_by_name(call: fx.Node, stride: Any) -> None:
    assert stride_of(call) == stride


@pytest.mark.parametrize("settings", [{"padding": 1}, {"ceil_mode": True}, {"dilation": 2}])
def test_anything_else_is_told(settings: dict[str, Any]) -> None:
    assert defaults(call_of(2, stride=2))
    assert not defaults(call_of(2, **settings))
