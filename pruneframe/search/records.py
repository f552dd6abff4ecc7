"""Records: diagnostics that a method keeps for the report, tables by name."""

from __future__ import annotations

import pandas as pd


class Records(dict[str, pd.DataFrame]):
    """Tables by name; raises TypeError for what is none, or has no name."""

    def __setitem__(self, name: str, table: pd.DataFrame) -> None:
        if not isinstance(name, str) or not isinstance(table, pd.DataFrame):
            raise TypeError(
                f"a record must be a pandas DataFrame with a name, but {name!r} is a {type(table).__name__}"
            )
        super().__setitem__(name, table)
