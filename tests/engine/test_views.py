"""Views: a slice, padding or channels behind one another are other ways to walk through a tensor."""

from __future__ import annotations

from typing import Any

import pytest

from pruneframe.engine.plan import Unsupported
from pruneframe.engine.values import Buffer, Value
from pruneframe.engine.views import padded, sliced

MAPS = Value(Buffer((3, 5, 7)), (3, 5, 7))
ALL = slice(None)


def test_a_slice_takes_longer_steps() -> None:
    found = sliced(MAPS, (ALL, ALL, slice(None, None, 2), slice(1, None, 3)))
    assert found.shape == (3, 3, 2)
    assert (found.start, found.step, found.channel) == ((0, 1), (2, 3), 0)
    again = sliced(found, (ALL, slice(1, 3), slice(1, None), slice(None, None, 2)))
    assert (again.shape, again.channel, again.start, again.step) == ((2, 2, 1), 1, (2, 1), (2, 6))


@pytest.mark.parametrize(
    "index", [0, (slice(1), ALL), (ALL, slice(0, 3, 2), ALL, ALL), (ALL, ALL, slice(9, None), ALL), (ALL, ALL, ALL, 0)]
)
def test_any_other_part_is_not_supported(index: Any) -> None:
    with pytest.raises(Unsupported, match="takes a part of a tensor in an unusual way"):
        sliced(MAPS, index)


def test_padding_puts_channels_before_and_behind_and_zeros_around() -> None:
    found = padded(MAPS, (0, 0, 0, 0, 2, 1))
    assert (found.shape, found.low, found.count) == ((6, 5, 7), 2, 3)
    found = padded(MAPS, (1, 2, 3, 4))
    assert (found.shape, found.start, found.count) == ((3, 12, 10), (-3, -1), 0)


@pytest.mark.parametrize("widths", [(-1, 1), (0, 0, 0, 0, -1, 0), (0, 0, 0, 0, 0, 0, 1, 1)])
def test_any_other_padding_is_not_supported(widths: tuple[int, ...]) -> None:
    with pytest.raises(Unsupported, match="pads a tensor in an unusual way"):
        padded(MAPS, widths)


def test_a_buffer_gets_the_border_that_its_readers_want() -> None:
    buffer = Buffer((2, 6, 6))
    Value(buffer, (2, 6, 6)).reach((-1, 0), (6, 7))
    Value(buffer, (2, 3, 3), step=(2, 2)).reach((0, 0), (3, 2))
    assert buffer.border == (1, 0, 1, 2)


def test_what_lies_beside_a_part_is_no_border() -> None:
    inner = Value(Buffer((2, 6, 6)), (2, 4, 6), start=(1, 0))
    assert inner.framed((0, -1), (3, 6))
    assert not inner.framed((-1, 0), (3, 5))
    assert not inner.framed((0, 0), (4, 5))
