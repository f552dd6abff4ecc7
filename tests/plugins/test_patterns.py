"""Patterns of hardware: at most N of M along inputs, and blocks whose weights stay or go together."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from runs import planned

from pruneframe.encoding import Encoding
from pruneframe.errors import InputError
from pruneframe.mask import Group, Layout, Masks
from pruneframe.testing import check_encoding
from pruneframe_plugins.patterns import Blocks, NOfM

SHAPES = ((6, 10, 3, 2), (5, 7), (3, 1, 2, 2))
LAYOUT = Layout("weight", tuple(Group(f"layer{n}", int(np.prod(shape)), shape) for n, shape in enumerate(SHAPES)))
seeds = st.integers(0, 2**32 - 1)


def scores_of(seed: int) -> np.ndarray:
    """Scores with ties."""
    return np.random.default_rng(seed).integers(0, 9, LAYOUT.total).astype(np.float32)


def matrices(masks: Masks, row: int = 0) -> list[np.ndarray]:
    """Each layer's kept weights, bool[outputs, inputs, places of the kernel]."""
    parts = LAYOUT.split(masks.unpack(row))
    return [part.reshape(*shape[:2], -1) for part, shape in zip(parts, SHAPES, strict=True)]


@pytest.mark.parametrize("encoding", [NOfM(), NOfM(n=1, m=3), Blocks(), Blocks(rows=2, columns=3)], ids=repr)
def test_the_contract_holds(encoding: Encoding) -> None:
    check_encoding(encoding)


@given(seeds, st.integers(1, 4), st.integers(1, 3))
def test_so_many_of_every_m_stay_and_they_are_the_best(seed: int, n: int, more: int) -> None:
    m, scores = n + more, scores_of(seed)
    genome = np.random.default_rng(seed).integers(1, n + 2, (1, 3))
    kept = matrices(NOfM(n=n, m=m).decode(genome, LAYOUT, scores))
    values = [part.reshape(*shape[:2], -1) for part, shape in zip(LAYOUT.split(scores), SHAPES, strict=True)]
    for number, keep, score in zip(genome[0], kept, values, strict=True):
        for start in range(0, keep.shape[1], m):
            keeps, scored = keep[:, start : start + m], score[:, start : start + m]
            here = keeps.shape[1]
            assert np.all(keeps.sum(axis=1) == (here if number > n else min(number, here)))
            lowest = np.where(keeps, scored, np.inf).min(axis=1)
            assert np.all(np.where(keeps, -np.inf, scored).max(axis=1) <= lowest)


def test_two_of_four() -> None:
    layout = Layout("weight", (Group("only", 8, (1, 8)),))
    scores = np.array([4, 1, 3, 2, 5, 5, 5, 5], dtype=np.float32)
    masks = NOfM().decode(np.array([[2], [1], [3]]), layout, scores)
    assert [masks.unpack(row).astype(int).tolist() for row in range(3)] == [
        [1, 0, 1, 0, 1, 1, 0, 0],
        [1, 0, 0, 0, 1, 0, 0, 0],
        [1] * 8,
    ]


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_the_weights_of_a_block_stay_or_go_together(seed: int, rows: int, columns: int) -> None:
    encoding, rng = Blocks(rows=rows, columns=columns), np.random.default_rng(seed)
    number = encoding.variables(LAYOUT).number
    bits = rng.random(number) < 0.5
    kept = matrices(encoding.decode(np.packbits(bits)[None], LAYOUT, scores_of(seed)))
    found = [
        keep[row : row + rows, column : column + columns, place]
        for keep in kept
        for row in range(0, keep.shape[0], rows)
        for column in range(0, keep.shape[1], columns)
        for place in range(keep.shape[2])
    ]
    assert len(found) == number
    assert all(np.all(block) or not np.any(block) for block in found)
    assert sum(map(np.all, found)) == bits.sum()


def test_blocks_of_one_weight_are_masks() -> None:
    bits = np.packbits(np.random.default_rng(0).random((3, LAYOUT.total)) < 0.5, axis=1)
    assert np.array_equal(Blocks(rows=1).decode(bits, LAYOUT, scores_of(0)).bits, bits)


def test_without_noise_the_best_blocks_stay_in_a_sample() -> None:
    scores, encoding = scores_of(1), Blocks(noise=0)
    genomes = encoding.sample(5, LAYOUT, scores, np.random.default_rng(0))
    counts = encoding.decode(genomes, LAYOUT, scores).counts() / LAYOUT.total
    assert np.allclose(counts, np.linspace(1, 0.05, 5), atol=0.02)


@pytest.mark.parametrize("encoding", ["n-m", "blocks"])
def test_patterns_are_of_single_weights(encoding: str) -> None:
    with pytest.raises(
        InputError, match=f"encoding '{encoding}' must have single weights as units, but got units=filter"
    ):
        planned([f"nsga2[encoding={encoding}]"], units="filter")
    planned([f"nsga2[encoding={encoding}]"])


def test_n_is_less_than_m() -> None:
    with pytest.raises(InputError, match="n < m must hold, but got 4 and 4"):
        tiny.lookup(Encoding, "n-m[n=4]")
