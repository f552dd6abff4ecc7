"""The settings of pooling windows, as modules and functions of torch are given them."""

from __future__ import annotations

from typing import Any

from torch import fx

DEFAULTS = {"padding", "ceil_mode", "return_indices", "dilation", "count_include_pad", "divisor_override"}


def defaults(node: fx.Node) -> bool:
    """Whether a pooling function's settings, but for its size and stride, are torch's defaults."""
    plain = {"padding": 0, "ceil_mode": False, "return_indices": False, "dilation": 1, "count_include_pad": True}
    return all(node.kwargs.get(name, value) == value for name, value in plain.items())


def stride_of(node: fx.Node) -> Any:
    """The stride that a pooling function is given; None where it is the window's size."""
    return node.args[2] if len(node.args) > 2 else node.kwargs.get("stride")


def pair(value: Any) -> tuple[int, int]:
    """Rows and columns, of one number for both or of two."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])
