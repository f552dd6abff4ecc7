"""Records: diagnostics that a method keeps for the report, tables by name."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa


class Records(dict[str, pd.DataFrame]):
    """Copies of tables by name; raises TypeError for what is none, has no name, or cannot be written to a file.

    A method may replace a table after each step: a new one is held against the types of the others, not their rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self._schemas: dict[str, pa.Schema] = {}

    def __setitem__(self, name: str, table: pd.DataFrame) -> None:
        if not isinstance(name, str) or not isinstance(table, pd.DataFrame):
            raise TypeError(
                f"a record must be a pandas DataFrame with a name, but {name!r} is a {type(table).__name__}"
            )
        kept = table.copy()
        try:
            schemas = {**self._schemas, name: pa.Schema.from_pandas(kept, preserve_index=False)}
            pa.unify_schemas(list(schemas.values()), promote_options="permissive")
        except (pa.ArrowException, ValueError, TypeError) as error:
            told = "must have columns of one type each, the same as in other records, and each name once"
            raise TypeError(f"record {name!r} {told}: {error}") from error
        self._schemas = schemas
        super().__setitem__(name, kept)


def stacked(records: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All tables below each other, told apart by the column `record`."""
    return pd.concat([table.assign(record=name) for name, table in records.items()], ignore_index=True)
