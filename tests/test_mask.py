"""Keep-masks against plain boolean arrays."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pruneframe.mask import Group, Layout, Masks, Slices, bit, flip

RESNET110 = tiny.layout(**{f"conv{i}": 15_924 for i in range(107)}, last=15_988)  # 1,719,856 weights


def layout_of(sizes: list[int]) -> Layout:
    return tiny.layout(**{f"layer{i}": size for i, size in enumerate(sizes)})


layouts = st.lists(st.integers(1, 20), min_size=1, max_size=5).map(layout_of)


@st.composite
def kept(draw: st.DrawFn, families: int = 1) -> tuple[Layout, list[np.ndarray]]:
    """A layout, and so many arrays bool[n, units] of one n."""
    layout, n = draw(layouts), draw(st.integers(1, 5))
    return layout, [draw(arrays(bool, (n, layout.total))) for _ in range(families)]


def unpacked(masks: Masks) -> np.ndarray:
    return np.array([masks.unpack(row) for row in range(len(masks))])


def test_places_lie_in_a_row_or_where_they_are_named() -> None:
    assert Slices("a.weight", 0).along(3).tolist() == [[0], [1], [2]]
    assert Slices("a.weight", 1, width=2, start=4).along(2).tolist() == [[4, 5], [6, 7]]
    named = Slices("a.weight", 0, 2, 0, (0, 3, 1, 4, 2, 5))
    assert named.along(3).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert Group("a", 3, (6, 5, 3, 3), (named,)).weights == 2 * 45
    assert Group("a", 5, (6, 5, 3, 3), (Slices("a.weight", 1),)).weights == 6 * 9


def test_a_layout_names_and_counts_its_groups_in_order() -> None:
    layout = tiny.layout("filter", conv1=4, conv2=6)
    assert (layout.units, layout.names, layout.sizes) == ("filter", ("conv1", "conv2"), (4, 6))
    assert (layout.total, layout.width) == (10, 2)
    assert layout.slices == (slice(0, 4), slice(4, 10))
    nothing = Layout("weight", ())
    assert (nothing.names, nothing.sizes, nothing.total, nothing.width) == ((), (), 0, 0)


@pytest.mark.parametrize(
    ("size", "shape", "weights"),
    [(6 * 3 * 5 * 5, (6, 3, 5, 5), 1), (6, (6, 3, 5, 5), 75), (10, (10, 4), 4), (4, (10, 4), 10)],
    ids=["single weights", "filters", "rows", "inputs"],
)
def test_a_group_knows_how_many_weights_are_behind_a_unit(size: int, shape: tuple[int, ...], weights: int) -> None:
    assert Group("layer", size, shape).weights == weights


def test_units_are_single_weights_exactly_where_no_group_has_slices() -> None:
    weights = Group("conv", 54, (3, 2, 3, 3))
    filters = Group("conv", 3, (3, 2, 3, 3), (Slices("conv.weight", 0), Slices("linear.weight", 1, width=4)))
    assert Layout("weight", (weights, weights)).single
    assert not Layout("filter", (filters,)).single
    assert not Layout("mixed", (weights, filters)).single


def test_layouts_are_equal_where_they_name_the_same_entries() -> None:
    """What components give is checked by comparing layouts, see `pruneframe.testing`."""
    slices = Slices("conv.weight", 0)
    assert slices == Slices("conv.weight", 0, width=1, start=0)
    layout = Layout("filter", (Group("conv", 3, (3, 2), (slices,)),))
    assert layout == Layout("filter", (Group("conv", 3, (3, 2), (Slices("conv.weight", 0),)),))
    for other in (Slices("fc.weight", 0), Slices("conv.weight", 1), Slices("conv.weight", 0, 2), Slices("a", 0, 1, 1)):
        assert layout != Layout("filter", (Group("conv", 3, (3, 2), (other,)),))
    assert layout != Layout("row", layout.groups)


@given(kept())
def test_unpacking_gives_back_what_was_packed(case: tuple[Layout, list[np.ndarray]]) -> None:
    layout, [keep] = case
    masks = Masks.pack(keep, layout)
    assert masks.bits.shape == (len(keep), layout.width)
    assert unpacked(masks).dtype == bool
    assert np.array_equal(unpacked(masks), keep)


@given(kept())
def test_counts_are_those_of_the_boolean_arrays(case: tuple[Layout, list[np.ndarray]]) -> None:
    layout, [keep] = case
    masks = Masks.pack(keep, layout)
    starts = np.cumsum([0, *layout.sizes])
    layers = [[row[a:b].sum() for a, b in itertools.pairwise(starts)] for row in keep]
    assert masks.counts().tolist() == keep.sum(axis=1).tolist()
    assert masks.layer_counts().tolist() == layers


@given(kept())
def test_digests_are_equal_exactly_where_masks_are(case: tuple[Layout, list[np.ndarray]]) -> None:
    layout, [keep] = case
    keep = np.concatenate([keep, keep[:1], keep[:1]])
    keep[-1, -1] ^= True  # one bit away from the first, which stands there twice
    digests = Masks.pack(keep, layout).digests()
    for i, j in itertools.combinations(range(len(keep)), 2):
        assert (digests[i] == digests[j]) == np.array_equal(keep[i], keep[j])


@given(kept(families=2))
def test_set_operations_are_those_of_boolean_arrays(case: tuple[Layout, list[np.ndarray]]) -> None:
    layout, [a, b] = case
    first, second = Masks.pack(a, layout), Masks.pack(b, layout)
    assert np.array_equal(unpacked(first & second), a & b)
    assert np.array_equal(unpacked(first | second), a | b)
    assert np.array_equal(unpacked(first - second), a & ~b)
    assert first.within(second).tolist() == [bool(np.all(x <= y)) for x, y in zip(a, b, strict=True)]
    assert (first & second).within(first).all()
    assert first.within(first | second).all()


@given(kept(families=2))
def test_rows_are_chosen_and_joined_in_order(case: tuple[Layout, list[np.ndarray]]) -> None:
    layout, [a, b] = case
    joined = Masks.join([Masks.pack(a, layout), Masks.pack(b, layout)])
    assert np.array_equal(unpacked(joined), np.concatenate([a, b]))
    assert np.array_equal(unpacked(joined[::-1]), np.concatenate([a, b])[::-1])
    assert np.array_equal(unpacked(joined[[0, 0]]), np.array([a[0], a[0]]))


@given(layouts)
def test_the_full_mask_keeps_every_unit(layout: Layout) -> None:
    full = layout.full(2)
    assert full.counts().tolist() == [layout.total] * 2
    assert full.layer_counts().tolist() == [list(layout.sizes)] * 2


@given(layouts)
def test_splitting_cuts_at_the_layers(layout: Layout) -> None:
    units = np.arange(2 * layout.total).reshape(2, -1)
    parts = layout.split(units)
    assert [part.shape for part in parts] == [(2, size) for size in layout.sizes]
    assert np.array_equal(np.concatenate(parts, axis=1), units)


@pytest.mark.parametrize("spare", range(6))
def test_a_spare_bit_must_be_zero(spare: int) -> None:
    bits = np.zeros((2, 2), dtype=np.uint8)
    bits[1, 1] = 1 << spare
    with pytest.raises(ValueError, match="last 6 bits of a mask of 10 units must be zero"):
        Masks(bits, layout_of([4, 6]))


def test_a_layout_of_whole_bytes_has_no_spare_bits() -> None:
    assert Masks(np.full((1, 2), 255, dtype=np.uint8), layout_of([9, 7])).counts().tolist() == [16]


@pytest.mark.parametrize(
    "bits",
    [np.zeros((1, 3), np.uint8), np.zeros((1, 1), np.uint8), np.zeros(2, np.uint8), np.zeros((1, 2), np.int64)],
    ids=["too wide", "too narrow", "one row without its dimension", "not bytes"],
)
def test_masks_must_be_bytes_of_the_layouts_width(bits: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"masks of 10 units must be uint8\[n, 2\], but got"):
        Masks(bits, layout_of([4, 6]))


@pytest.mark.parametrize("units", [9, 11])
def test_packing_another_number_of_units_is_refused(units: int) -> None:
    with pytest.raises(ValueError, match="10 units"):
        Masks.pack(np.zeros((1, units), dtype=bool), layout_of([4, 6]))


@given(kept(), st.data())
def test_flipping_is_xor_and_twice_is_nothing(case: tuple[Layout, list[np.ndarray]], data: st.DataObject) -> None:
    layout, [keep] = case
    positions = np.array(data.draw(st.lists(st.integers(0, layout.total - 1))), dtype=np.int64)
    masks = Masks.pack(keep, layout)
    flip(masks.bits[0], positions)
    expected = keep.copy()
    for position in positions:  # a position named twice flips twice
        expected[0, position] ^= True
    assert np.array_equal(unpacked(masks), expected)
    assert np.array_equal(bit(masks.bits[0], positions), expected[0, positions])
    flip(masks.bits[0], positions)
    assert np.array_equal(unpacked(masks), keep)


def test_a_hundred_masks_of_resnet_110_weigh_a_bit_a_weight() -> None:
    assert RESNET110.total == 1_719_856
    tracemalloc.start()
    try:
        masks = Masks.join([RESNET110.full()] * 100)
        assert masks.bits.nbytes == 100 * 214_982
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        masks.counts(), masks.digests(), masks[:1].layer_counts(), masks.within(masks[:1])
        children = masks & masks
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert children.bits.nbytes == masks.bits.nbytes < 23e6
    assert peak - before < 3 * masks.bits.nbytes  # unpacked they would take eight times as much
