"""Layouts that a kind of units may not give."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from pruneframe.errors import Faulty
from pruneframe.mask import Group, Layout, Slices
from pruneframe.model.laid import laid

MODULE = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
ROWS = Slices("0.weight", 0)


def own(size: Any, *slices: Slices, layer: str = "0") -> Layout:
    return Layout("own", (Group(layer, size, (4, 3), slices),))


@pytest.mark.parametrize("layout", [own(12), own(4, ROWS), own(2, Slices("0.weight", 0, 2)), own(4, ROWS, ROWS)])
def test_what_the_module_has_is_handed_on(layout: Layout) -> None:
    assert laid(layout, "own", MODULE) is layout


def test_buffers_may_be_named() -> None:
    assert laid(own(4, ROWS, Slices("1.running_mean", 0)), "own", MODULE).total == 4


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (None, "must give a Layout, but gave a NoneType"),
        ([own(12)], "must give a Layout, but gave a list"),
        (Layout("filter", own(12).groups), r"must give Layout\('own', ...\), but gave one of 'filter'"),
        (own(0, ROWS), "there are 0 units"),
        (own(-3, ROWS), "there are -3 units"),
        (own(2.0, ROWS), r"there are 2\.0 units"),
        (own(4), "there are 4 units without slices, which are single weights, of 12"),
        (own(4, ROWS, layer="7"), r"in '7' there is no parameter '7\.weight'"),
        (own(4, Slices("0.offset", 0)), r"there is no parameter '0\.offset'"),
        (own(5, ROWS), r"slices of '0\.weight' reach beyond its shape \(4, 3\)"),
        (own(4, Slices("0.weight", 2)), "reach beyond its shape"),
        (own(4, Slices("0.weight", -1)), "reach beyond its shape"),
        (own(4, Slices("0.weight", 0, start=1)), "reach beyond its shape"),
        (own(4, Slices("0.weight", 0, places=(0, 1))), "reach beyond its shape"),
    ],
)
def test_what_it_has_not_is_the_fault_of_the_units(layout: Any, words: str) -> None:
    with pytest.raises(Faulty, match=f"units own .*{words}") as caught:
        laid(layout, "own", MODULE)
    assert (caught.value.kind, caught.value.spec) == ("unit", "own")
