"""Random search: the contract, and that nothing is learned from values."""

from __future__ import annotations

import numpy as np
import pytest
from searches import searched

from pruneframe.testing import check_method
from pruneframe_plugins.random_search import RandomSearch


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("encoding", ["layer-threshold", "mask"])
def test_the_contract_holds(encoding: str, units: str) -> None:
    check_method(RandomSearch(encoding=encoding), units)


def test_what_it_asks_depends_on_no_answer_and_goes_on_until_the_budget_is_spent() -> None:
    one, other = (searched("random", 50, objectives=names) for names in (("error", "params"), ("distortion", "macs")))
    asked = [[evaluation.mask for evaluation in task.archive.evaluations] for task in (one, other)]
    assert asked[0] == asked[1]
    assert len(asked[0]) == 50
    assert not np.array_equal(one.archive.front_values(), other.archive.front_values())
