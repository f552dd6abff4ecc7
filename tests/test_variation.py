"""Chains of variations, and parents in families."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import lookup

from pruneframe.encoding import Variables
from pruneframe.errors import InputError
from pruneframe.variation import Chain, Variation, chain, families
from pruneframe_plugins.variations import BitFlip, Uniform


def binary(number: int) -> Variables:
    return Variables("binary", number, np.zeros(number), np.ones(number), (number,))


def random_bits(n: int, number: int, rng: np.random.Generator) -> np.ndarray:
    return np.packbits(rng.random((n, number)) < 0.5, axis=1)


def link(name: str) -> Variation:
    return lookup(Variation, name)


def test_a_chain_varies_what_the_link_before_it_made() -> None:
    linked = chain("uniform+bit-flip[rate=0.1]", link)
    assert linked == Chain((Uniform(), BitFlip(rate=0.1)))
    variables, rng = binary(50), np.random.default_rng(3)
    parents = random_bits(12, 50, rng)
    children = linked.vary(parents, 6, variables, np.random.default_rng(4))
    rng = np.random.default_rng(4)
    crossed = Uniform().vary(parents, 6, variables, rng)
    assert np.array_equal(children, BitFlip(rate=0.1).vary(crossed, 6, variables, rng))


def test_a_chain_hands_scores_and_free_bits_to_every_link() -> None:
    variables, rng = binary(400), np.random.default_rng(0)
    scores, free = rng.random(400, dtype=np.float32), np.packbits(np.arange(400) % 2 == 0)
    parents = random_bits(80, 400, rng)
    children = chain("uniform+importance-guided[rate=0.1]", link).vary(parents, 40, variables, rng, scores, free)
    assert not np.any((children ^ parents[::2]) & ~free)


def test_an_unknown_link_is_told() -> None:
    with pytest.raises(InputError, match=r"no variation is named 'bitflip'; did you mean 'bit-flip'\?"):
        chain("uniform+bitflip", link)


@pytest.mark.parametrize(("rows", "n"), [(5, 2), (0, 1), (4, 0), (3, 4)])
def test_parents_must_form_equal_families(rows: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of n, but got {rows} parents and n={n}"):
        families(np.zeros((rows, 3)), n)


def test_a_family_is_consecutive_rows() -> None:
    assert families(np.arange(12).reshape(6, 2), 2)[:, :, 0].tolist() == [[0, 2, 4], [6, 8, 10]]
