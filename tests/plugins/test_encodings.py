"""The bundled encodings: the contract, and what each promises about the masks that it makes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import layout

from pruneframe.encoding import Encoding
from pruneframe.errors import InputError
from pruneframe.mask import Group, Layout, Masks, Slices
from pruneframe.testing import check_encoding
from pruneframe_plugins.encodings import (
    ChannelCount,
    GlobalCut,
    LayerRatio,
    LayerThreshold,
    Mask,
    UnitThreshold,
    pruneframe_encodings,
)

LAYOUT = layout("filter", first=7, second=20, third=1)
ONE_LAYER = layout(only=2000)
PER_LAYER = [LayerThreshold(), GlobalCut(), LayerRatio(), ChannelCount(), ChannelCount(step=4)]
seeds = st.integers(0, 2**32 - 1)


def scores_of(seed: int) -> np.ndarray:
    """Scores with ties."""
    return np.random.default_rng(seed).integers(0, 9, LAYOUT.total).astype(np.float32)


def genomes_of(encoding: Encoding, n: int, seed: int) -> np.ndarray:
    """Genomes uniform within the bounds."""
    variables, rng = encoding.variables(LAYOUT), np.random.default_rng(seed)
    if variables.kind == "integer":
        return rng.integers(variables.lower.astype(int), variables.upper.astype(int) + 1, (n, variables.number))
    return rng.uniform(variables.lower, variables.upper, (n, variables.number))


def removes_the_lowest(masks: Masks, scores: np.ndarray) -> bool:
    """Whether in no layer a removed unit scores higher than a kept one."""
    for row in range(len(masks)):
        for keep, score in zip(LAYOUT.split(masks.unpack(row)), LAYOUT.split(scores), strict=True):
            if np.any(keep) and not np.all(keep) and score[~keep].max() > score[keep].min():
                return False
    return True


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("encoding", [*(kind() for kind in pruneframe_encodings()), ChannelCount(step=2)], ids=repr)
def test_the_contract_holds(encoding: Encoding, units: str) -> None:
    check_encoding(encoding, units)


@given(seeds)
def test_a_mask_genome_is_the_mask(seed: int) -> None:
    keep = np.random.default_rng(seed).random((4, LAYOUT.total)) < 0.5
    masks = Masks.pack(keep, LAYOUT)
    assert Mask().decode(masks.bits, LAYOUT, scores_of(seed)).digests() == masks.digests()
    assert Mask().variables(LAYOUT).groups == LAYOUT.sizes


def test_sampled_masks_keep_important_units_more_often() -> None:
    scores = np.random.default_rng(0).random(2000, dtype=np.float32)
    genomes = Mask().sample(9, ONE_LAYER, scores, np.random.default_rng(1))
    masks = Masks(genomes, ONE_LAYER)
    for row in range(1, 9):
        keep = masks.unpack(row)
        assert scores[keep].mean() > scores[~keep].mean() + 0.2


def test_sampled_masks_are_evenly_spread_over_densities() -> None:
    scores = np.random.default_rng(0).random(2000, dtype=np.float32)
    counts = Masks(Mask().sample(20, ONE_LAYER, scores, np.random.default_rng(1)), ONE_LAYER).counts()
    assert counts == pytest.approx(np.linspace(2000, 100, 20), abs=2)


@given(seeds)
def test_a_threshold_removes_that_quantile_of_every_layer(seed: int) -> None:
    genomes, scores = genomes_of(LayerThreshold(), 5, seed), scores_of(seed)
    masks = LayerThreshold().decode(genomes, LAYOUT, scores)
    removed = np.floor(genomes * LAYOUT.sizes).astype(int)
    assert np.array_equal(np.array(LAYOUT.sizes) - masks.layer_counts(), removed)
    assert removes_the_lowest(masks, scores)


@given(seeds)
def test_a_ratio_keeps_that_share_of_every_layer_and_at_least_one_unit(seed: int) -> None:
    genomes, scores = genomes_of(LayerRatio(), 5, seed), scores_of(seed)
    genomes[0] = 0
    masks = LayerRatio().decode(genomes, LAYOUT, scores)
    counts = masks.layer_counts()
    assert counts[0].tolist() == [1, 1, 1]
    assert np.all(counts >= 1)
    assert np.all(np.abs(counts - genomes * LAYOUT.sizes) <= np.maximum(0.5, 1 - genomes * LAYOUT.sizes))
    assert removes_the_lowest(masks, scores)


@given(seeds, st.integers(1, 9))
def test_a_channel_count_keeps_so_many_steps_of_every_layer(seed: int, step: int) -> None:
    encoding = ChannelCount(step=step)
    genomes, scores = genomes_of(encoding, 5, seed), scores_of(seed)
    masks = encoding.decode(genomes, LAYOUT, scores)
    assert np.array_equal(masks.layer_counts(), np.minimum(genomes * step, LAYOUT.sizes))
    assert np.all(masks.layer_counts() >= np.minimum(step, LAYOUT.sizes))
    assert removes_the_lowest(masks, scores)


@pytest.mark.parametrize(
    ("encoding", "bound"),
    [(LayerThreshold(), "lower"), (LayerRatio(), "upper"), *((ChannelCount(step=s), "upper") for s in (1, 3, 8, 50))],
    ids=repr,
)
def test_one_end_of_the_bounds_is_the_dense_network(encoding: Encoding, bound: str) -> None:
    genome = getattr(encoding.variables(LAYOUT), bound)[None]
    assert encoding.decode(genome, LAYOUT, scores_of(0)).counts().tolist() == [LAYOUT.total]


@given(seeds)
@pytest.mark.parametrize("encoding", PER_LAYER, ids=repr)
def test_larger_genes_nest(encoding: Encoding, seed: int) -> None:
    """Along one gene the masks only grow or only shrink, so neighbouring genomes are neighbouring masks."""
    first, second = genomes_of(encoding, 2, seed)
    ends = np.array([np.minimum(first, second), np.maximum(first, second)])
    masks = encoding.decode(ends, LAYOUT, scores_of(seed))
    if isinstance(encoding, LayerThreshold):
        masks = masks[::-1]
    assert masks[:1].within(masks[1:]).all()


@pytest.mark.parametrize("encoding", PER_LAYER, ids=repr)
def test_ties_fall_to_the_first_unit(encoding: Encoding) -> None:
    variables = encoding.variables(LAYOUT)
    middle = ((variables.lower + variables.upper) / 2)[None]
    genome = np.rint(middle).astype(np.int64) if variables.kind == "integer" else middle
    masks = encoding.decode(genome, LAYOUT, np.zeros(LAYOUT.total, dtype=np.float32))
    for part in LAYOUT.split(masks.unpack(0)):
        assert np.all(np.diff(part.astype(int)) <= 0)


@pytest.mark.parametrize(
    ("kind", "given_settings"),
    [
        (LayerThreshold, {"highest": "0"}),
        (LayerThreshold, {"highest": "1.5"}),
        (ChannelCount, {"step": "0"}),
        (Mask, {"noise": "-1"}),
    ],
)
def test_settings_out_of_range_are_refused(kind: type[Encoding], given_settings: dict[str, str]) -> None:
    [(name, value)] = given_settings.items()
    with pytest.raises(InputError, match=rf"{kind.name}: .*{name}.* must hold, but got {value}"):
        kind.configured(given_settings)


@given(seeds, st.floats(0, 1))
def test_a_global_cut_without_factors_removes_the_lowest_scores(seed: int, share: float) -> None:
    scores = np.random.default_rng(seed).permutation(LAYOUT.total).astype(np.float32) + 1
    genome = np.concatenate([[share], np.zeros(len(LAYOUT.sizes))])[None]
    mask = GlobalCut().decode(genome, LAYOUT, scores)
    assert np.array_equal(mask.unpack(0), scores > LAYOUT.total - np.rint(share * LAYOUT.total))


@given(seeds, st.floats(0.01, 0.99), st.floats(0, 2))
def test_a_layers_factor_keeps_more_of_it_and_leaves_the_others(seed: int, share: float, logarithm: float) -> None:
    scores = np.random.default_rng(seed).random(LAYOUT.total, dtype=np.float32)
    genomes = np.array([[share, 0, 0, 0], [share, 0, logarithm, 0]])
    counts = GlobalCut().decode(genomes, LAYOUT, scores).layer_counts()
    assert counts[1, 1] >= counts[0, 1]
    assert np.array_equal(counts[0, [0, 2]], counts[1, [0, 2]])


@given(seeds)
def test_units_stay_whose_number_is_at_least_one_half(seed: int) -> None:
    genomes = genomes_of(UnitThreshold(), 2, seed)
    masks = UnitThreshold().decode(genomes, LAYOUT, scores_of(seed))
    assert np.array_equal(np.array([masks.unpack(0), masks.unpack(1)]), genomes >= 0.5)


@pytest.mark.parametrize("encoding", PER_LAYER, ids=repr)
def test_layers_that_can_go_entirely_may_lose_their_last_unit(encoding: Encoding) -> None:
    whole = Layout("block", tuple(Group(name, 1, (4,), (Slices(f"{name}.weight", 0, 4),), least=0) for name in "abc"))
    scores = np.array([1, 2, 3], dtype=np.float32)
    genomes = encoding.sample(12, whole, scores, np.random.default_rng(0))
    assert set(encoding.decode(genomes, whole, scores).counts()) >= {0, 3}
