"""The settings of pooling windows, as functions of torch are given them."""

from __future__ import annotations

from typing import Any

import pytest
import torch.nn.functional as F
from torch import Tensor, fx

from pruneframe.engine.windows import defaults, pair, stride_of


def call_of(*arguments: Any, **settings: Any) -> fx.Node:
    """A pooling function's call in a graph."""

    def pooled(images: Tensor) -> Tensor:
        return F.max_pool2d(images, *arguments, **settings)

    return next(node for node in fx.symbolic_trace(pooled).graph.nodes if node.op == "call_function")


def test_one_number_is_for_rows_and_columns() -> None:
    assert pair(3) == (3, 3)
    assert pair((2, 5)) == (2, 5)


@pytest.mark.parametrize(
    ("call", "stride"), [(call_of(2), None), (call_of(2, 3), 3), (call_of(2, stride=(1, 2)), (1, 2))]
)
def test_a_stride_may_be_given_by_place_or_by_name(call: fx.Node, stride: Any) -> None:
    assert stride_of(call) == stride


@pytest.mark.parametrize("settings", [{"padding": 1}, {"ceil_mode": True}, {"dilation": 2}])
def test_anything_else_is_told(settings: dict[str, Any]) -> None:
    assert defaults(call_of(2, stride=2))
    assert not defaults(call_of(2, **settings))
