"""Rows of many runs are stacked as pandas would put their tables below each other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pruneframe.study.rows import Rows, stacked

FIRST = Rows({"method": "a", "seed": 1}, {"number": np.arange(2), "error": np.array([0.5, 0.25])})
SECOND = Rows({"method": "b", "seed": 2}, {"number": np.arange(1), "layer": np.array(["one"], dtype=object)})
NONE = Rows({"method": "c", "seed": 3}, {"number": np.arange(0), "kept": np.arange(0)})


def test_rows_lie_as_tables_do() -> None:
    frames = [pd.DataFrame(dict(rows.columns)).assign(**rows.head) for rows in (FIRST, SECOND)]
    wanted = pd.concat(frames, ignore_index=True)
    found = stacked([FIRST, NONE, SECOND])
    assert set(found) == set(wanted)
    pd.testing.assert_frame_equal(found[list(wanted)], wanted)


def test_where_there_are_no_rows_there_are_columns() -> None:
    for parts in ([], [NONE]):
        found = stacked(parts, ["method", "seed"])
        assert found.empty
        assert list(found) == ["method", "seed"]
