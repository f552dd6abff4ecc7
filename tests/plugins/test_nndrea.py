"""NNDREA: masks that follow from a tiny network's weights, and then bits."""

from __future__ import annotations

import numpy as np
import pytest
from searches import searched
from tiny import layout

from pruneframe.testing import check_method
from pruneframe_plugins.decider import Decider, features_of
from pruneframe_plugins.encodings import densities
from pruneframe_plugins.nndrea import NNDREA

SIZES = layout(first=40, second=100, third=9)
SCORES = np.random.default_rng(0).random(SIZES.total, dtype=np.float32)


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_contract_holds(units: str) -> None:
    check_method(NNDREA(), units)


def test_features_are_depth_size_and_ranks() -> None:
    found = features_of(SIZES, SCORES)
    assert found.shape == (149, 4)
    assert found.min() == -1
    assert found.max() == 1
    assert sorted(set(found[:, 0].tolist())) == [-1, 0, 1]
    assert found[40:140, 1].tolist() == [1] * 100
    for own, part in zip(SIZES.split(found[:, 2]), SIZES.split(SCORES), strict=True):
        assert np.array_equal(np.argsort(own), np.argsort(part))
    assert np.array_equal(np.argsort(found[:, 3]), np.argsort(SCORES))


@pytest.mark.parametrize("monotone", [True, False])
def test_first_networks_are_spread_over_densities(monotone: bool) -> None:
    decider = Decider(features_of(SIZES, SCORES), SIZES, 4)
    genomes = decider.sample(12, monotone, np.random.default_rng(1))
    assert np.all((genomes >= decider.variables.lower) & (genomes <= decider.variables.upper))
    masks = decider.masks(genomes)
    assert masks.counts() / SIZES.total == pytest.approx(densities(12), abs=0.02)
    lost = [
        (part[~kept].max(initial=0) > part[kept].min(initial=1))
        for row in range(12)
        for kept, part in zip(SIZES.split(masks.unpack(row)), SIZES.split(SCORES), strict=True)
    ]
    assert any(lost) != monotone


def test_a_genome_has_as_many_numbers_whatever_the_units() -> None:
    other = layout(only=5000)
    scores = np.random.default_rng(0).random(5000, dtype=np.float32)
    sizes = [Decider(features_of(one, own), one, 4).variables.number for one, own in ((SIZES, SCORES), (other, scores))]
    assert sizes == [25, 25]


@pytest.mark.parametrize(("share", "phases"), [("0", ["bits"]), ("0.5", ["network", "bits"]), ("1", ["network"])])
def test_the_share_divides_the_budget(share: str, phases: list[str]) -> None:
    task = searched(f"nndrea[share={share},preset=paper]", 60)
    assert task.records["phases"].phase.tolist() == phases
    passes = task.records["phases"].passes
    assert passes.sum() == pytest.approx(60)
    assert passes[0] == pytest.approx(60 * float(share) if 0 < float(share) < 1 else 60, abs=1)


def test_bits_begin_with_the_front_that_the_network_has_found() -> None:
    task = searched("nndrea[preset=paper]", 60)
    phases = task.records["phases"]
    assert phases.after[1] >= phases.before[1] == phases.after[0] > 0
