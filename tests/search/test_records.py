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
        ("x", pd.DataFrame({"a": [1j]}), "record 'x' must have columns of one type each"),
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


def test_a_table_of_the_same_types_is_not_held_against_all_others_again(monkeypatch: pytest.MonkeyPatch) -> None:
    records, asked = Records(), []
    monkeypatch.setattr("pruneframe.search.records.stacked", lambda given: asked.append(list(given)) or stacked(given))
    records["y"] = pd.DataFrame({"b": ["text"]})
    for rows in range(1, 4):
        records["x"] = pd.DataFrame({"a": [0.5] * rows})
    assert asked == [["y"], ["y", "x"]]
    assert len(records["x"]) == 3
    records["x"] = pd.DataFrame({"a": [0.5], "b": ["more"]})
    assert asked[2:] == [["y", "x"]]
    with pytest.raises(TypeError, match="record 'x' must have"):
        records["x"] = pd.DataFrame({"a": [0.5], "b": [1]})


def test_types_that_pandas_brings_together_may_differ() -> None:
    records = Records()
    records["none yet"] = pd.DataFrame({"a": [float("nan")], "b": [True]})
    records["some"] = pd.DataFrame({"a": ["text"], "b": [1]})
    assert stacked(records).a.tolist()[1] == "text"
