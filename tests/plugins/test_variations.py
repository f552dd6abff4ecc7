"""The bundled variation operators: the contract, and what each does to bits and numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneframe.encoding import Variables
from pruneframe.errors import InputError
from pruneframe.testing import check_variation
from pruneframe.variation import Variation
from pruneframe_plugins.variations import (
    BitFlip,
    ImportanceGuided,
    LayerCrossover,
    SbxPm,
    Uniform,
    pruneframe_variations,
)

NUMBERS = ("layer-threshold", "layer-ratio", "channel-count")
ENCODINGS = {
    Uniform: ("mask", *NUMBERS),
    LayerCrossover: ("mask", *NUMBERS),
    BitFlip: ("mask",),
    ImportanceGuided: ("mask",),
    SbxPm: NUMBERS,
}
PAIRS = [(kind, encoding) for kind in pruneframe_variations() for encoding in ENCODINGS[kind]]
seeds = st.integers(0, 2**32 - 1)


def binary(*groups: int) -> Variables:
    number = sum(groups)
    return Variables("binary", number, np.zeros(number), np.ones(number), groups)


def numbers(kind: str, lower: list[float], upper: list[float]) -> Variables:
    return Variables(kind, len(lower), np.array(lower), np.array(upper), (1,) * len(lower))  # type: ignore[arg-type]


def bits_of(genomes: np.ndarray, number: int) -> np.ndarray:
    return np.unpackbits(genomes, axis=1, count=number).astype(bool)


def random_bits(n: int, number: int, rng: np.random.Generator, density: float = 0.5) -> np.ndarray:
    return np.packbits(rng.random((n, number)) < density, axis=1)


@pytest.mark.parametrize(("kind", "encoding"), PAIRS)
def test_the_contract_holds(kind: type[Variation], encoding: str) -> None:
    check_variation(kind(), encoding)


@pytest.mark.parametrize("kind", [BitFlip, ImportanceGuided])
@pytest.mark.parametrize("wrong", ["real", "integer"])
def test_operators_on_bits_refuse_numbers(kind: type[Variation], wrong: str) -> None:
    variables = numbers(wrong, [0, 0], [3, 3])
    with pytest.raises(InputError, match=rf"{kind.name!r} needs binary variables, but .* has {wrong} ones; use sbx-pm"):
        kind().vary(np.ones((2, 2)), 2, variables, np.random.default_rng(0))


def test_sbx_refuses_bits() -> None:
    with pytest.raises(InputError, match=r"'sbx-pm' needs real or integer variables, but .*; use uniform\+bit-flip"):
        SbxPm().vary(np.ones((2, 1), np.uint8), 2, binary(8), np.random.default_rng(0))


@given(seeds, st.lists(st.integers(1, 20), min_size=1, max_size=4))
@pytest.mark.parametrize("kind", [Uniform, LayerCrossover])
def test_every_bit_of_a_crossed_child_is_a_parents(kind: type[Variation], seed: int, groups: list[int]) -> None:
    variables, rng = binary(*groups), np.random.default_rng(seed)
    parents = random_bits(8, variables.number, rng)
    children = bits_of(kind().vary(parents, 4, variables, rng), variables.number)
    first, second = (bits_of(parents[i::2], variables.number) for i in (0, 1))
    assert np.all((children == first) | (children == second))


@pytest.mark.parametrize("kind", [Uniform, LayerCrossover])
def test_every_number_of_a_crossed_child_is_a_parents(kind: type[Variation]) -> None:
    variables, rng = numbers("real", [0] * 9, [1] * 9), np.random.default_rng(0)
    parents = rng.random((8, 9))
    children = kind().vary(parents, 4, variables, rng)
    assert np.all((children == parents[0::2]) | (children == parents[1::2]))
    assert not np.array_equal(children, parents[0::2])
    assert not np.array_equal(children, parents[1::2])


def test_uniform_takes_half_of_each_parent() -> None:
    variables = binary(10_000)
    parents = np.packbits(np.array([np.ones(10_000, bool), np.zeros(10_000, bool)] * 3), axis=1)
    shares = bits_of(Uniform().vary(parents, 3, variables, np.random.default_rng(0)), 10_000).mean(axis=1)
    assert shares == pytest.approx(0.5, abs=0.03)  # six standard deviations


def test_layer_crossover_cuts_between_layers_alone_and_at_all_of_them() -> None:
    groups = (5, 3, 17, 2)
    variables, n = binary(*groups), 200
    parents = np.packbits(np.array([np.ones(27, bool), np.zeros(27, bool)] * n), axis=1)
    children = bits_of(LayerCrossover().vary(parents, n, variables, np.random.default_rng(0)), 27)
    cuts = children.sum(axis=1)
    assert np.all(children == (np.arange(27) < cuts[:, None]))  # one point: ones, then zeros
    assert set(cuts.tolist()) == {0, 5, 8, 25, 27}


@pytest.mark.parametrize("kind", [Uniform, LayerCrossover])
def test_crossing_a_parent_with_itself_gives_it_back(kind: type[Variation]) -> None:
    rng = np.random.default_rng(0)
    parents = random_bits(5, 40, rng)
    assert np.array_equal(kind().vary(parents, 5, binary(40), rng), parents)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.3])
def test_bit_flip_flips_that_share_of_the_bits(rate: float) -> None:
    rng, number, n = np.random.default_rng(0), 20_000, 40
    parents = random_bits(n, number, rng)
    children = BitFlip(rate=rate).vary(parents, n, binary(number), rng)
    flipped = bits_of(children ^ parents, number)
    expected = rate * number
    assert flipped.sum(axis=1).mean() == pytest.approx(expected, abs=5 * (expected / n) ** 0.5)
    halves = flipped[:, : number // 2].sum(), flipped[:, number // 2 :].sum()
    assert abs(halves[0] - halves[1]) < 5 * flipped.sum() ** 0.5  # everywhere alike


def test_bit_flip_of_rate_1_flips_everything() -> None:
    parents = random_bits(3, 21, np.random.default_rng(0))
    children = BitFlip(rate=1).vary(parents, 3, binary(21), np.random.default_rng(1))
    assert np.array_equal(bits_of(children, 21), ~bits_of(parents, 21))


def test_bit_flip_flips_at_least_one_bit_in_expectation() -> None:
    parents, n = np.zeros((2000, 13), np.uint8), 2000
    children = BitFlip(rate=0).vary(parents, n, binary(100), np.random.default_rng(0))
    assert bits_of(children, 100).sum(axis=1).mean() == pytest.approx(1, abs=0.12)


def test_bit_flip_flips_at_least_one_free_bit_in_expectation() -> None:
    free = np.packbits(np.arange(1000) < 10)
    parents, n = np.zeros((2000, 125), np.uint8), 2000
    children = BitFlip().vary(parents, n, binary(1000), np.random.default_rng(0), None, free)
    assert bits_of(children, 1000).sum(axis=1).mean() > 0.8


def guided(n: int = 200, number: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, parents and children of importance-guided mutation, unpacked."""
    rng = np.random.default_rng(0)
    scores = rng.random(number, dtype=np.float32)
    parents = random_bits(n, number, rng)
    children = ImportanceGuided(rate=0.01).vary(parents, n, binary(number), rng, scores)
    return scores, bits_of(parents, number), bits_of(children, number)


def test_guided_mutation_clears_low_scores_and_sets_high_ones() -> None:
    scores, parents, children = guided()
    cleared, added = parents & ~children, children & ~parents
    values = np.broadcast_to(scores, parents.shape)
    # The winner of a tournament of two has rank 1/3 or 2/3 on average.
    assert values[cleared].mean() == pytest.approx(1 / 3, abs=0.05)
    assert values[added].mean() == pytest.approx(2 / 3, abs=0.05)


def test_guided_mutation_clears_in_half_of_the_children_and_sets_in_the_other_half() -> None:
    _, parents, children = guided()
    clears, adds = (parents & ~children).any(axis=1), (children & ~parents).any(axis=1)
    assert not np.any(clears & adds)
    assert clears.mean() == pytest.approx(0.5, abs=0.18)
    assert adds.mean() == pytest.approx(0.5, abs=0.18)


def test_guided_mutation_works_without_scores() -> None:
    rng = np.random.default_rng(0)
    parents = random_bits(20, 400, rng)
    children = ImportanceGuided(rate=0.1).vary(parents, 20, binary(400), rng)
    assert not np.array_equal(children, parents)


@given(seeds, st.integers(1, 6), st.floats(0, 1), st.floats(0, 1))
@pytest.mark.parametrize("kind", ["real", "integer"])
def test_sbx_stays_within_bounds_and_kind(kind: str, seed: int, number: int, crossover: float, mutation: float) -> None:
    rng = np.random.default_rng(seed)
    lower = rng.integers(-5, 5, number)
    upper = lower + rng.integers(0, 9, number)
    variables = numbers(kind, lower.tolist(), upper.tolist())
    parents = (
        rng.integers(lower, upper + 1, (12, number)) if kind == "integer" else rng.uniform(lower, upper, (12, number))
    )
    operator = SbxPm(crossover=crossover, mutation=mutation, spread=2, reach=2)
    children = operator.vary(parents, 6, variables, rng)
    assert children.dtype == parents.dtype
    assert np.all((children >= lower) & (children <= upper))


def test_sbx_without_its_two_steps_is_a_copy() -> None:
    variables, rng = numbers("real", [0] * 5, [1] * 5), np.random.default_rng(0)
    parents = rng.random((12, 5))
    assert np.array_equal(SbxPm(crossover=0, mutation=0).vary(parents, 6, variables, rng), parents[::2])


def test_sbx_is_as_often_inside_its_parents_as_outside() -> None:
    variables, n = numbers("real", [-100], [100]), 20_000
    parents = np.array([[-1.0], [1.0]] * n)
    children = SbxPm(crossover=1, mutation=0).vary(parents, n, variables, np.random.default_rng(0))
    crossed = np.abs(children[children != -1])
    assert len(crossed) == pytest.approx(n / 2, abs=400)  # a variable is crossed with chance one half
    assert np.mean(crossed < 1) == pytest.approx(0.5, abs=0.03)


def test_mutation_moves_one_number_in_expectation_and_both_ways() -> None:
    variables, n = numbers("real", [0] * 10, [1] * 10), 5000
    moved = SbxPm(crossover=0).vary(np.full((n, 10), 0.5), n, variables, np.random.default_rng(0)) - 0.5
    assert np.count_nonzero(moved) / n == pytest.approx(1, abs=0.08)
    assert np.mean(moved[moved != 0] > 0) == pytest.approx(0.5, abs=0.04)
    assert np.abs(moved).max() < 0.5
    small, large = (
        np.abs(SbxPm(crossover=0, mutation=1, reach=reach).vary(np.full((n, 10), 0.5), n, variables, rng) - 0.5).mean()
        for reach, rng in ((50, np.random.default_rng(0)), (5, np.random.default_rng(0)))
    )
    assert small < large


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (BitFlip, "rate", "1.5"),
        (BitFlip, "rate", "-0.1"),
        (ImportanceGuided, "rate", "2.0"),
        (SbxPm, "crossover", "1.5"),
        (SbxPm, "mutation", "-0.5"),
        (SbxPm, "spread", "-1.0"),
        (SbxPm, "reach", "-1.0"),
    ],
)
def test_settings_out_of_range_are_refused(kind: type[Variation], name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"{kind.name}: .*{name}.* must hold, but got {value}"):
        kind.configured({name: value})
