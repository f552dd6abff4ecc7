"""Views: a slice or padded channels are other ways to walk through a tensor; nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from pruneframe.engine.memory import laid_out
from pruneframe.engine.plan import ARENA, IMAGES, Unsupported
from pruneframe.engine.views import padded, sliced

MAPS = laid_out((3, 5, 7), 1, ARENA)
ALL = slice(None)


def test_a_slice_takes_longer_steps() -> None:
    found = sliced(MAPS, (ALL, ALL, slice(None, None, 2), slice(None, None, 3)))
    assert found.shape == (3, 3, 3)
    assert (found.row, found.column, found.plane) == (2 * MAPS.row, 3 * MAPS.column, MAPS.plane)
    assert found.origin == MAPS.origin


@pytest.mark.parametrize(
    "index", [0, (ALL, ALL), (ALL, slice(0, 2), ALL, ALL), (ALL, ALL, slice(1, None), ALL), (ALL, ALL, ALL, 0)]
)
def test_any_other_part_is_not_supported(index: Any) -> None:
    with pytest.raises(Unsupported, match="takes a part of a tensor in an unusual way"):
        sliced(MAPS, index)


def test_padding_puts_channels_before_and_behind() -> None:
    found = padded(MAPS, (0, 0, 0, 0, 2, 1))
    assert found.shape == (6, 5, 7)
    assert (found.low, found.count) == (2, 3)


@pytest.mark.parametrize("widths", [(1, 1, 1, 1), (0, 0, 1, 1, 2, 2), (0, 0, 0, 0, -1, 0)])
def test_any_other_padding_is_not_supported(widths: tuple[int, ...]) -> None:
    with pytest.raises(Unsupported, match="pads a tensor in an unusual way"):
        padded(MAPS, widths)


def test_images_are_read_as_they_are() -> None:
    images = laid_out((3, 5, 7), 1, IMAGES)
    with pytest.raises(Unsupported):
        sliced(images, (ALL,) * 4)
    with pytest.raises(Unsupported):
        padded(images, (0, 0, 0, 0, 1, 1))
