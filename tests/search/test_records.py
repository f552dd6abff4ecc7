"""Records: what a method may tell of itself."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from pruneframe.search.records import Records, stacked

TABLE = pd.DataFrame({"a": [1, 2]})


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        ("x", [1, 2], "must be a pandas DataFrame with a name, but 'x' is a list"),
        (None, TABLE, "must be a pandas DataFrame with a name"),
        ("x", pd.DataFrame({"a": [object()]}), "record 'x' must have columns of one type each"),
        ("x", pd.DataFrame({"b": [1, "two"]}), "record 'x' must have columns of one type each"),
        ("x", pd.DataFrame([[1, 2]], columns=["b", "b"]), "record 'x' must have .* each name once"),
        ("x", pd.DataFrame({"a": ["text"]}), "record 'x' must have .* the same as in other records"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_once(name: Any, table: Any, words: str) -> None:
    records = Records()
    records["earlier"] = TABLE
    with pytest.raises(TypeError, match=words):
        records[name] = table
    assert list(records) == ["earlier"]


def test_a_record_is_what_it_was_when_it_was_told() -> None:
    records, table = Records(), TABLE.copy()
    records["x"] = table
    table.loc[0, "a"] = 7
    records["y"] = pd.DataFrame({"b": [0.5]})
    assert records["x"].equals(TABLE)
    assert stacked(records).record.tolist() == ["x", "x", "y"]


def test_a_later_table_of_the_same_name_replaces_the_first() -> None:
    records = Records()
    records["x"] = TABLE
    records["x"] = pd.DataFrame({"a": ["other"]})
    assert records["x"].a.tolist() == ["other"]
