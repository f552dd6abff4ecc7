"""MOEA/D: the contract; what it asks is tested where its engine is, in kit."""

from __future__ import annotations

import pytest
from tiny import lookup

from pruneframe.errors import InputError
from pruneframe.testing import check_method
from pruneframe_plugins.moead import MOEAD


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("encoding", ["mask", "layer-threshold", "channel-count"])
def test_the_contract_holds(encoding: str, units: str) -> None:
    check_method(MOEAD(encoding=encoding, population=6), units)


def test_too_small_a_population_is_refused() -> None:
    with pytest.raises(InputError, match="population >= 2 must hold, but got 1"):
        lookup(MOEAD, "moead[population=1]")
