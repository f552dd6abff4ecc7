"""The method pm-moea: what is mined, and between what children lie."""

from __future__ import annotations

import numpy as np
import pytest
from searches import searched
from tiny import layout, lookup

from pruneframe.errors import InputError
from pruneframe.mask import Masks
from pruneframe.testing import check_method
from pruneframe_plugins import pm_moea
from pruneframe_plugins.pm_moea import PMMOEA, Mine, mined

LAYOUT = layout(a=10, b=7)


def some(n: int) -> Masks:
    return Masks.pack(np.random.default_rng(0).random((n, LAYOUT.total)) < 0.5, LAYOUT)


@pytest.mark.parametrize("spec", ["pm-moea", "pm-moea[preset=paper]", "pm-moea[sets=0]"])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_contract_holds(spec: str, units: str) -> None:
    check_method(lookup(PMMOEA, spec), units)


@pytest.mark.parametrize("union", [True, False])
def test_sets_cover_masks_and_are_as_many_as_asked_for(union: bool) -> None:
    masks = some(12)
    found = mined(masks, 5, union, np.random.default_rng(1))
    assert 1 <= len(found) <= 5
    assert len(set(found.digests())) == len(found)
    for row in range(len(found)):
        one = found[[row]]
        assert (masks.within(one) if union else one.within(masks)).any()


def test_one_mask_is_its_own_set() -> None:
    masks = some(1)
    for union in (True, False):
        assert mined(masks, 5, union, np.random.default_rng(1)).digests() == masks.digests()


@pytest.mark.parametrize("sets", [5, 0])
def test_children_lie_between_the_sets(sets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing flips: what all sets of both sorts keep, or none does, is not up to the parents."""
    monkeypatch.setattr(pm_moea, "flipped", lambda masks, rng: masks)
    task = searched("pm-moea[population=8]", 60, units="filter")
    mine = Mine(task, 8, sets)
    total, width = task.layout.total, task.layout.width
    assert total % 8, "some bits are spare"
    full = task.layout.full(40)
    children = mine.vary(full, Masks(np.zeros((40, width), dtype=np.uint8), task.layout))
    lowest = np.bitwise_and.reduce(np.vstack([mine._largest.bits, mine._least.bits]), axis=0)
    highest = np.bitwise_or.reduce(np.vstack([mine._largest.bits, mine._least.bits]), axis=0)
    inside = not np.any(children.bits & ~highest) and not np.any(lowest & ~children.bits)
    assert inside == (sets > 0)


@pytest.mark.parametrize("spec", ["pm-moea[sets=-1]", "pm-moea[population=1]"])
def test_bad_settings_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match=spec.partition("[")[2].partition("=")[0]):
        lookup(PMMOEA, spec)
