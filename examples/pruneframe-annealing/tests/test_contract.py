"""Both keep what pruneframe asks of every method and scorer."""

import pytest
from pruneframe_annealing.annealing import Annealing
from pruneframe_annealing.balanced import Balanced

from pruneframe.testing import check_method, check_scorer


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_scorer(units: str) -> None:
    check_scorer(Balanced(), units)


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_method(units: str) -> None:
    check_method(Annealing(), units)
