"""The surrogate: what is known counts its hypervolume, and what is proposed is new and near the front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pruneframe.encoding import Variables
from pruneframe.front import hypervolume, non_dominated
from pruneframe_plugins.surrogate import Known


def variables_of(layers: int, steps: int = 8) -> Variables:
    return Variables("integer", layers, np.ones(layers), np.full(layers, float(steps)), (1,) * layers)


def test_what_is_known_counts_its_hypervolume() -> None:
    rng = np.random.default_rng(0)
    genomes, points = rng.integers(1, 9, size=(30, 4)), rng.random((30, 3))
    known = Known(genomes[:10], points[:10])
    gains = known.add(genomes[5:], points[5:])
    assert known.hypervolume == pytest.approx(hypervolume(points))
    assert not gains[:5].any()
    assert known.hypervolume == pytest.approx(hypervolume(points[:10]) + gains.sum())
    assert len(known.genomes) == 30


def test_proposals_are_unknown_single_steps_that_a_smooth_landscape_rewards() -> None:
    rng = np.random.default_rng(0)
    variables = variables_of(4)

    def landscape(genomes: np.ndarray) -> np.ndarray:
        share = genomes / 8
        return np.column_stack([(1 - share.mean(axis=1)) ** 2, share @ [0.4, 0.3, 0.2, 0.1], share.prod(axis=1)])

    genomes = np.unique(rng.integers(1, 9, size=(40, 4)), axis=0)
    known = Known(genomes, landscape(genomes))
    steps = known.proposals(3, variables, rng)
    assert 0 < len(steps) <= 3
    front = genomes[non_dominated(known.points)]
    for step in steps:
        changed = np.abs(front - step)
        assert any((row > 0).sum() == 1 and row.max() <= 2 for row in changed)
        assert not (genomes == step).all(axis=1).any()
        assert np.all((step >= 1) & (step <= 8))
    assert known.add(steps, landscape(steps)).sum() > 0
    assert not len(known.proposals(0, variables, rng))
    few = Known(genomes[:3], landscape(genomes[:3]))
    assert not len(few.proposals(2, variables, rng))  # too little for a surrogate
    assert len(few.proposals(2, variables, rng, surrogate=False)) == 2
    narrow = np.column_stack([genomes, np.ones(len(genomes), dtype=genomes.dtype)])  # a layer that has one width
    limits = replace(variables_of(5), upper=np.array([8.0, 8, 8, 8, 1]))
    assert len(Known(narrow, landscape(genomes)).proposals(3, limits, rng))


def test_the_local_search_begins_inside_the_front() -> None:
    genomes = np.array([[1, 8], [2, 7], [5, 5], [7, 2], [8, 1]])
    points = np.array([[0.1, 0.9], [0.2, 0.8], [0.5, 0.5], [0.8, 0.2], [0.9, 0.1]])
    steps = Known(genomes, points).proposals(99, variables_of(2), np.random.default_rng(0), surrogate=False)
    near = np.abs(genomes[1:4, None] - steps).sum(axis=2).min(axis=0)
    assert near.max() <= 2
