"""How results look in a notebook: a heading, what is to be known, and a table."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pandas as pd

LEFT = 'style="text-align: left"'


def shown(heading: str, facts: Mapping[str, object], table: pd.DataFrame | None = None) -> str:
    """As HTML: the heading in bold, one line per fact, and the table as pandas shows it."""
    rows = "".join(
        f"<tr><th {LEFT}>{escape(name)}</th><td {LEFT}>{escape(str(value))}</td></tr>" for name, value in facts.items()
    )
    told = f"<p><b>{escape(heading)}</b></p>" + (f"<table>{rows}</table>" if rows else "")
    return told + ("" if table is None else table.to_html(index=False, max_rows=20, float_format="{:.4g}".format))
