"""The method moea-psl: the ratio of its spaces, its ablation, and what it declines."""

from __future__ import annotations

import pytest
from searches import searched
from tiny import lookup

from pruneframe.errors import InputError
from pruneframe.testing import check_method
from pruneframe_plugins.moea_psl import LEAST, MOEAPSL


@pytest.mark.parametrize("spec", ["moea-psl", "moea-psl[preset=paper]", "moea-psl[subspace=false]"])
def test_the_contract_holds(spec: str) -> None:
    check_method(lookup(MOEAPSL, spec), "filter")


def test_single_weights_are_declined() -> None:
    check_method(MOEAPSL(), "weight", declines="1,008 single weights are too many")


def test_the_ratio_follows_success_within_bounds_and_is_recorded() -> None:
    found = searched("moea-psl[population=8]", 120, units="filter").records["subspace"]
    assert found.ratio.iloc[0] == 0.5, "the first masks are of neither space"
    assert found.ratio.between(LEAST, 1 - LEAST).all()
    assert found.ratio.nunique() > 2
    assert found.passes.is_monotonic_increasing


def test_switched_off_nothing_is_learned() -> None:
    task = searched("moea-psl[population=8,subspace=false]", 120, units="filter")
    assert task.records["subspace"].empty
    with_it = searched("moea-psl[population=8]", 120, units="filter")
    assert [one.mask for one in task.archive.evaluations] != [one.mask for one in with_it.archive.evaluations]


@pytest.mark.parametrize("spec", ["moea-psl[epochs=0]", "moea-psl[population=1]"])
def test_bad_settings_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match=spec.partition("[")[2].partition("=")[0]):
        lookup(MOEAPSL, spec)
