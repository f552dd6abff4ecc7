"""Mutations that follow importance: the contract, and what they flip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneframe.encoding import Variables
from pruneframe.errors import InputError
from pruneframe.testing import check_variation
from pruneframe_plugins.guided_variations import SPAN, BlockShift, WeightedFlip, draw

BITS = 4000
VARIABLES = Variables("binary", BITS, np.zeros(BITS), np.ones(BITS), (BITS,))
seeds = st.integers(0, 2**32 - 1)


def parents_of(rng: np.random.Generator, n: int, density: float = 0.5) -> np.ndarray:
    return np.packbits(rng.random((n, BITS)) < density, axis=1)


def changed(parents: np.ndarray, children: np.ndarray) -> np.ndarray:
    return np.bitwise_count(parents ^ children).sum(axis=1)


KINDS = (WeightedFlip, BlockShift)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [0.0, 0.002, 0.3])
def test_the_contract_holds(kind: type[WeightedFlip | BlockShift], rate: float) -> None:
    check_variation(kind(rate))


@given(seeds, st.floats(0, 0.3), st.floats(0.05, 0.95))
def test_as_many_free_bits_flip_as_the_rate_says(seed: int, rate: float, density: float) -> None:
    rng = np.random.default_rng(seed)
    parents, scores = parents_of(rng, 3, density), rng.uniform(0.2, 0.8, BITS).astype(np.float32)
    free = np.packbits(rng.random(BITS) < 0.5)
    width = int(np.bitwise_count(free).sum())
    children = WeightedFlip(rate).vary(parents, 3, VARIABLES, rng, scores, free)
    assert not np.any((parents ^ children) & ~free)
    wanted = max(1, round(rate * width)) if rate else 0
    assert np.all(changed(parents, children) <= wanted)
    if rate < 0.03:  # so few can always be drawn
        assert np.all(changed(parents, children) == wanted)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
def test_rate_0_and_nothing_free_leave_the_parents_alone(kind: type[WeightedFlip | BlockShift], seed: int) -> None:
    rng = np.random.default_rng(seed)
    parents, nothing = parents_of(rng, 2), np.zeros(BITS // 8, dtype=np.uint8)
    assert np.array_equal(kind(0.0).vary(parents, 2, VARIABLES, rng), parents)
    assert np.array_equal(kind(0.1).vary(parents, 2, VARIABLES, rng, None, nothing), parents)


def test_bits_are_drawn_in_proportion_to_their_weights() -> None:
    rng = np.random.default_rng(0)
    importance = np.array([0.2, 0.4, 0.8] * 8, dtype=np.float32)
    child, drawn = np.zeros(3, dtype=np.uint8), np.zeros(24)
    for _ in range(3000):
        drawn[draw(child, 1, False, np.arange(24), importance, rng)] += 1
        drawn[draw(~child, 1, True, np.arange(24), 1 - importance, rng)] += 1
    shares = drawn.reshape(8, 3).sum(axis=0) / drawn.sum()
    assert shares == pytest.approx([1 / 7, 2 / 7, 4 / 7], abs=0.02)


def test_the_unimportant_are_cleared_and_the_important_set() -> None:
    rng = np.random.default_rng(1)
    parents, scores = parents_of(rng, 20), np.arange(BITS, dtype=np.float32)
    children = WeightedFlip(0.02).vary(parents, 20, VARIABLES, rng, scores)
    before, after = (np.unpackbits(genomes, axis=1).astype(bool) for genomes in (parents, children))
    places = np.broadcast_to(scores, before.shape)
    assert places[before & ~after].mean() < 0.4 * BITS < 0.6 * BITS < places[~before & after].mean()


def test_a_bit_that_must_stay_is_never_cleared() -> None:
    scores = np.ones(BITS, dtype=np.float32)
    parents = np.full((1, BITS // 8), 255, dtype=np.uint8)
    children = WeightedFlip(0.1).vary(parents, 1, VARIABLES, np.random.default_rng(2), scores)
    assert np.array_equal(children, parents)


@given(seeds, st.integers(1, 40))
def test_blocks_lose_their_least_important_bits_and_gain_their_most_important(seed: int, flips: int) -> None:
    rng = np.random.default_rng(seed)
    parents, scores = parents_of(rng, 1), rng.permutation(BITS).astype(np.float32)
    [before], [after] = (
        np.unpackbits(genomes, axis=1).astype(bool)
        for genomes in (parents, BlockShift(flips / BITS).vary(parents, 1, VARIABLES, rng, scores))
    )
    cleared, added = np.flatnonzero(before & ~after), np.flatnonzero(~before & after)
    assert len(cleared) <= 2 * flips >= len(added)
    assert len(cleared) + len(added) <= 2 * flips
    for flipped, other in ((cleared, before & after), (added, ~before & ~after)):
        if 0 < len(flipped) <= flips and np.ptp(flipped) < SPAN * flips:  # one block
            inside = np.flatnonzero(other[flipped.min() : flipped.max() + 1]) + flipped.min()
            sign = 1 if flipped is cleared else -1
            assert np.all(sign * scores[inside] > (sign * scores[flipped]).max())


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_refused(kind: type[WeightedFlip | BlockShift]) -> None:
    real = Variables("real", 2, np.zeros(2), np.ones(2), (1, 1))
    with pytest.raises(InputError, match="needs binary variables"):
        kind().vary(np.zeros((2, 2)), 1, real, np.random.default_rng(0))


@pytest.mark.parametrize("kind", KINDS)
def test_rates_beyond_1_are_refused(kind: type[WeightedFlip | BlockShift]) -> None:
    with pytest.raises(ValueError, match="0 <= rate <= 1"):
        kind(1.5)
