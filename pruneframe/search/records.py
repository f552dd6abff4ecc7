"""Records: diagnostics that a method keeps for the report, tables by name."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa


class Records(dict[str, pd.DataFrame]):
    """Copies of tables by name; raises TypeError for what is none, has no name, or cannot be written to a file.

    A method may replace a table after each step. One of the same types as before is written as that would have been.
    """

    def __setitem__(self, name: str, table: pd.DataFrame) -> None:
        if not isinstance(name, str) or not isinstance(table, pd.DataFrame):
            raise TypeError(
                f"a record must be a pandas DataFrame with a name, but {name!r} is a {type(table).__name__}"
            )
        kept, earlier = table.copy(), self.get(name)
        try:
            if earlier is None or not _types(kept).equals(_types(earlier), check_metadata=True):
                pa.Table.from_pandas(stacked({**self, name: kept}), preserve_index=False)
        except Exception as error:  # pandas and Arrow refuse in many ways
            told = "must have columns of one type each, the same as in other records, and each name once"
            raise TypeError(f"record {name!r} {told}: {error}") from error
        super().__setitem__(name, kept)


def _types(table: pd.DataFrame) -> pa.Schema:
    """Of the columns, as Arrow writes them; those that pandas has are its metadata."""
    return pa.Schema.from_pandas(table, preserve_index=False)


def stacked(records: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All tables below each other, told apart by the column `record`."""
    return pd.concat([table.assign(record=name) for name, table in records.items()], ignore_index=True)
