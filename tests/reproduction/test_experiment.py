"""Experiments as data: what cannot be meant is refused where it is written."""

from __future__ import annotations

import math
from typing import Any

import pytest

import pruneframe as pf

HALF = pf.Finding("half of it removed", "abstract", ("own",), published=0.5)
SMALL = pf.Scale(20, seeds=(0, 1))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"budget": 0}, "0 < budget < inf must hold, but got 0"),
        ({"budget": math.inf}, "0 < budget < inf must hold, but got inf"),
        ({"seeds": ()}, "an instance and a seed must be given"),
        ({"instances": ()}, "an instance and a seed must be given"),
    ],
)
def test_a_scale_that_cannot_be_run_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        pf.Scale(**{"budget": 20} | changes)


@pytest.mark.parametrize("changes", [{"methods": ()}, {"loss": -0.5}, {"loss": math.nan}, {"loss": 101}])
def test_a_finding_is_of_a_method_and_of_a_loss(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a method, and 0 <= loss <= 100, must be given"):
        pf.Finding(**{"reported": "much", "read": "abstract", "methods": ("own",)} | changes)


@pytest.mark.parametrize("changes", [{"findings": ()}, {"smoke": None}])
def test_an_experiment_has_a_finding_and_a_scale(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a finding and a scale must be given for 'toy'"):
        pf.Experiment(
            **{"problem": "toy", "paper": "They", "findings": (HALF,), "difference": "", "smoke": SMALL} | changes
        )


def test_an_experiment_names_each_run_once_and_offers_its_scales() -> None:
    other = pf.Finding("more", "abstract", ("own[size=2]", "own"))
    found = pf.Experiment("toy", "They", (HALF, other), "", smoke=SMALL)
    assert found.methods == ["own", "own[size=2]"]
    assert [found.scale(size) for size in ("smoke", "cpu", "full")] == [SMALL, None, None]
