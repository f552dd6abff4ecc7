"""Views: other ways to walk through a tensor that is there, as slices and padded channels are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .memory import Value
from .plan import IMAGES, Unsupported


def sliced(source: Value, index: Any) -> Value:
    """Every so many rows and columns, as `x[:, :, ::2, ::2]`; raises Unsupported for any other part."""
    if not isinstance(index, tuple) or len(index) != 4 or source.space == IMAGES or source.flat:
        raise Unsupported("it takes a part of a tensor in an unusual way")
    if any(part != slice(None) for part in index[:2]) or not all(_steps_only(part) for part in index[2:]):
        raise Unsupported("it takes a part of a tensor in an unusual way")
    down, right = (part.step or 1 for part in index[2:])
    channels, rows, columns = source.shape
    shape = (channels, -(-rows // down), -(-columns // right))
    return replace(source, shape=shape, row=source.row * down, column=source.column * right)


def padded(source: Value, widths: Any) -> Value:
    """Channels of zeros before and behind; raises Unsupported for any other padding."""
    if len(widths) != 6 or any(widths[:4]) or source.count or min(widths) < 0 or source.space == IMAGES:
        raise Unsupported("it pads a tensor in an unusual way")
    channels, rows, columns = source.shape
    shape = (channels + widths[4] + widths[5], rows, columns)
    return replace(source, shape=shape, low=widths[4], count=channels)


def _steps_only(part: Any) -> bool:
    return isinstance(part, slice) and part.start is None and part.stop is None
