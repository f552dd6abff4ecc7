"""The tabular problems that are shipped: their tables are what their networks answer, and are small."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny import load, registry

from pruneframe import Problem
from pruneframe.model.tabular import EVALUATED, numbered_masks
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.study.truth import Truth

SIZES = {"tiny-lenet": (6, 10), "tiny-attention": (2, 4, 2, 4), "tiny-resnet20": (1,) * 9}
SAMPLE = 12  # masks of each


FETCHED = "tiny-resnet20"  # its weights and images are


def problem(name: str) -> Problem:
    return registry().problem(name)


@pytest.fixture(params=SIZES)
def name(request: pytest.FixtureRequest) -> str:
    """Each of them; one that is fetched needs the real files here."""
    if request.param == FETCHED:
        request.getfixturevalue("real_data")
    return request.param


def test_every_mask_has_a_row(name: str) -> None:
    loaded = load(problem(name))
    assert loaded.network.layout.sizes == SIZES[name]
    assert not loaded.network.notes
    assert loaded.outcomes is not None
    assert loaded.outcomes.masks == 2 ** sum(SIZES[name])
    tabular = problem(name).tabular
    assert tabular is not None
    assert all((tabular.folder / f"{number}.npz").stat().st_size < 1_000_000 for number in tabular.instances)


def test_rows_are_what_the_network_answers(name: str) -> None:
    loaded = load(problem(name))
    fresh = Workbench(load(dataclasses.replace(problem(name), tabular=None)), "cpu", Shelf(None))
    assert fresh.loaded.fingerprint == loaded.fingerprint
    layout = loaded.network.layout
    sample = np.random.default_rng(0).choice(2**layout.total, 2 if name == FETCHED else SAMPLE, replace=False)
    masks = numbered_masks(layout, np.append(sample, 2**layout.total - 1))
    for split, images in (("search", fresh.search), ("test", fresh.images(fresh.loaded.data.test))):
        candidates = fresh.candidates(masks, [DENSE] * len(masks), images, exact=True)
        for row, candidate in enumerate(candidates):
            assert loaded.outcomes is not None
            assert np.array_equal(loaded.outcomes.correct(split, masks[[row]]), candidate.correct)


def test_the_true_front_leaves_something_to_find(name: str) -> None:
    loaded = load(problem(name))
    for split in EVALUATED:
        truth = Truth.of(loaded, split, ("error", "params"))
        assert truth is not None
        assert len(truth.masks) > 8
        assert 0.3 < truth.hypervolume < 1
