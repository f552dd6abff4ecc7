"""NSGA-II: the contract; what it asks is tested where its engine is, in kit."""

from __future__ import annotations

import pytest
from tiny import lookup

from pruneframe.errors import InputError
from pruneframe.testing import check_method
from pruneframe_plugins.nsga2 import NSGA2


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("encoding", ["mask", "layer-threshold", "channel-count"])
def test_the_contract_holds(encoding: str, units: str) -> None:
    check_method(NSGA2(encoding=encoding, population=6), units)


def test_too_small_a_population_is_refused() -> None:
    with pytest.raises(InputError, match="population >= 2 must hold, but got 1"):
        lookup(NSGA2, "nsga2[population=1]")
