"""The corridor between two masks: what is inside, and how it is sampled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import layout

from pruneframe.kit.corridor import LEVELS, Corridor, keep_chances
from pruneframe.mask import Masks

LAYOUT = layout(first=37, second=90)
seeds = st.integers(0, 2**32 - 1)


def masks_of(rng: np.random.Generator, n: int) -> Masks:
    return Masks.pack(rng.random((n, LAYOUT.total)) < rng.random((n, 1)), LAYOUT)


@given(seeds)
def test_a_corridor_holds_its_ends_and_all_between(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second, other = (masks_of(rng, 1) for _ in range(3))
    corridor = Corridor.between(first, second)
    ends = Masks.join([first, second, corridor.lower, corridor.upper])
    assert corridor.holds(ends).all()
    assert corridor.holds(corridor.repair(other)).all()
    assert corridor.width == (first.unpack(0) != second.unpack(0)).sum()
    outside = np.any((other.unpack(0) & ~corridor.upper.unpack(0)) | (corridor.lower.unpack(0) & ~other.unpack(0)))
    assert corridor.holds(other)[0] == (not outside)


@given(seeds)
def test_repair_changes_nothing_that_is_free(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corridor, masks = Corridor.between(masks_of(rng, 1), masks_of(rng, 1)), masks_of(rng, 5)
    assert not np.any((corridor.repair(masks).bits ^ masks.bits) & corridor.free)
    inside = corridor.repair(masks)
    assert np.array_equal(corridor.repair(inside).bits, inside.bits)


@given(seeds, st.floats(0.01, 1))
def test_samples_lie_inside(seed: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    corridor = Corridor.between(masks_of(rng, 1), masks_of(rng, 1))
    kept = rng.integers(0, corridor.width + 1, 4)
    samples = corridor.sample(kept, rng.random(LAYOUT.total, dtype=np.float32), temperature, rng)
    assert corridor.holds(samples).all()


def test_samples_keep_as_much_as_asked_and_the_important_more_often() -> None:
    rng = np.random.default_rng(0)
    corridor, importance = Corridor.below(layout(only=20_000).full()), rng.random(20_000, dtype=np.float32)
    kept = np.array([0, 2_000, 10_000, 19_000, 20_000])
    samples = corridor.sample(kept, importance, 0.1, rng)
    assert samples.counts() == pytest.approx(kept, abs=300)
    for row in (1, 2, 3):
        keep = samples.unpack(row)
        assert importance[keep].mean() > importance[~keep].mean() + 0.2


@given(seeds, st.floats(0.01, 1), st.floats(0, 1))
def test_chances_keep_the_wanted_number_and_rise_with_importance(seed: int, temperature: float, share: float) -> None:
    counts = np.random.default_rng(seed).integers(0, 100, LEVELS)
    wanted = int(share * counts.sum())
    chances = keep_chances(counts, wanted, temperature)
    assert counts @ chances == pytest.approx(wanted, rel=1e-3, abs=1)
    assert np.all(np.diff(chances) >= 0)
    assert 0 <= chances.min() <= chances.max() <= 1


def test_a_corridor_upside_down_is_refused() -> None:
    full = LAYOUT.full()
    with pytest.raises(ValueError, match="one lower mask inside one upper mask"):
        Corridor(full, full - full)
