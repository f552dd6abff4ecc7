"""Precision: set for a block alone, and part of what a run is."""

from __future__ import annotations

import pytest
from precisions import flags
from tiny import registry

from pruneframe.engine.precision import precision
from pruneframe.study.plan import plan


@pytest.mark.parametrize("before", [False, True])
def test_precision_is_set_for_a_block_alone(before: bool) -> None:
    with precision(tf32=before):
        for tf32 in (False, True):
            with precision(tf32=tf32):
                assert flags() == (tf32, tf32)
            assert flags() == (before, before)
        with pytest.raises(RuntimeError, match="on purpose"), precision(tf32=not before):
            raise RuntimeError("on purpose")
        assert flags() == (before, before)


def test_the_precision_of_the_search_is_part_of_a_runs_identity() -> None:
    settings = {"budget": 20.0}
    for device, dtype in (("cpu", "float32"), ("cuda:0", "tf32")):
        found = plan(registry(), ["random"], ["lenet-digits"], [0], settings, device, 1, lambda line: None)
        assert [run.dtype for run in found.runs] == [dtype]
