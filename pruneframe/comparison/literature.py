"""The literature's numbers: what papers report of pruned networks, each with where it was read.

The table `literature.csv` is their one source; a method of another package states its own, as `Method.claims`. Its
columns: method (the paper's name for it, or ours), paper, source (where it appeared), network, data, problems (ours
with the same network and data), units, retrained (yes, no, or nothing where it is not mentioned), removed and
removed_macs (shares of the parameters and multiply-adds), drop (points of top-1 accuracy lost, below 0 gained), text,
read (the abstract, a table, or somebody's summary: what we have read) and page (where we have read it).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from importlib.resources import files

from ..component import Claim

TABLE = "literature.csv"
RETRAINED = {"yes": "trained while or after it is pruned", "no": "not retrained", "": "retraining not mentioned"}


def literature() -> tuple[Claim, ...]:
    """All rows of the table, in their order."""
    text = (files("pruneframe.comparison") / TABLE).read_text(encoding="utf-8")
    return tuple(_claim(row) for row in csv.DictReader(text.splitlines()))


def about(claims: Iterable[Claim], methods: Iterable[str], problems: Iterable[str]) -> tuple[Claim, ...]:
    """Those that some methods make, or that are about the network and data of some problems; each once."""
    methods, problems = set(methods), set(problems)
    return tuple(c for c in dict.fromkeys(claims) if c.method in methods or problems & {*c.problems})


def _claim(row: dict[str, str]) -> Claim:
    where = f"{row['network'] or 'networks not named'} on {row['data'] or 'data not named'}"
    share = {name: float(row[name]) if row[name] else None for name in ("removed", "removed_macs", "drop")}
    return Claim(
        f"{row['paper']} ({row['source']})",
        row["text"],
        ", ".join(part for part in (where, row["units"], RETRAINED[row["retrained"]]) if part),
        tuple(row["problems"].split()),
        method=row["method"],
        read=row["read"],
        **share,
    )
