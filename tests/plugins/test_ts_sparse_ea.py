"""The method ts-sparse-ea: groups, its two stages, and what is declined."""

from __future__ import annotations

import numpy as np
import pytest
from searches import searched
from tiny import layout, lookup

from pruneframe.errors import InputError
from pruneframe.mask import Masks
from pruneframe.testing import check_method
from pruneframe_plugins.ts_sparse_ea import TSSparseEA, offspring, places, ungrouped

LAYOUT = layout(a=10, b=7)
SCORES = np.random.default_rng(0).random(17, dtype=np.float32)


@pytest.mark.parametrize("spec", ["ts-sparse-ea", "ts-sparse-ea[share=0]"])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_contract_holds(spec: str, units: str) -> None:
    check_method(lookup(TSSparseEA, spec), units)


def test_the_published_form_ranks_filters_and_declines_weights() -> None:
    check_method(lookup(TSSparseEA, "ts-sparse-ea[preset=paper]"), "filter")
    check_method(lookup(TSSparseEA, "ts-sparse-ea[preset=paper]"), "weight", declines="order=score")


def test_groups_are_equal_but_for_the_last_and_follow_the_scores() -> None:
    found = places(SCORES, 5)
    assert np.bincount(found).tolist() == [4, 4, 4, 4, 1]
    assert all(SCORES[found == one].min() > SCORES[found == one + 1].max() for one in range(4))
    assert sorted(places(SCORES, 50)) == list(range(17)), "no more groups than units"


def test_a_group_goes_as_a_whole() -> None:
    groups = places(SCORES, 5)
    small = layout(groups=5)
    kept = np.random.default_rng(0).random((8, 5)) < 0.5
    found = ungrouped(Masks.pack(kept, small), groups, LAYOUT)
    for row, own in enumerate(kept):
        assert found.unpack(row).tolist() == own[groups].tolist()


def test_the_first_stage_asks_for_whole_groups_within_its_share() -> None:
    task = searched("ts-sparse-ea[share=0.3,groups=4,scorer=magnitude]", 60, units="weight")
    phases = task.records["phases"].set_index("phase").passes
    assert 0 < phases["groups"] <= 18
    first = [one.mask for one in task.archive.evaluations][: int(phases["groups"])]
    groups = places(task.scores("magnitude"), 4)
    choices = np.arange(16)[:, None] >> np.arange(4) & 1 == 1
    possible = ungrouped(Masks.pack(choices, layout(groups=4)), groups, task.layout)
    assert set(first) <= set(possible.digests())
    without = searched("ts-sparse-ea[share=0]", 60, units="weight")
    assert without.records["phases"].phase.tolist() == ["units"]


def test_before_and_behind_one_point_a_child_is_one_parents() -> None:
    rng = np.random.default_rng(0)
    full = LAYOUT.full(300)
    children = offspring(full, full - full, rng)
    changes = [np.count_nonzero(np.diff(children.unpack(row))) for row in range(300)]
    assert np.mean(np.array(changes) <= 1) > 0.2, "those without a flip have one step at most"
    assert children.counts().min() < 4
    assert children.counts().max() >= 16


@pytest.mark.parametrize("spec", ["ts-sparse-ea[share=1]", "ts-sparse-ea[groups=0]", "ts-sparse-ea[population=1]"])
def test_bad_settings_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match=spec.partition("[")[2].partition("=")[0]):
        lookup(TSSparseEA, spec)
