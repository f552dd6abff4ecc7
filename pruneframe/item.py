"""What a report gives: figures, tables and remarks."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:  # which nobody needs who only reads
    import matplotlib.figure


@dataclass(frozen=True)
class Figure:
    """A drawn figure; `id` is short, unique in its report and made of letters, digits and dashes.

    `board` is the hash of the board that it is about; empty where it is about all of them. `methods` are those whose
    finished runs are behind it, none of them where it shows no run; not given: all of its board's.
    """

    id: str
    caption: str
    figure: matplotlib.figure.Figure
    board: str = ""
    methods: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """A table as it is to be printed: one row a line, column names as headings.

    `frame` is what is printed. `best` are the cells (row, column) to be set in bold; `data` has the numbers behind it,
    for those who compute on, where they are not the same; `id`, `board` and `methods` as a figure's.
    """

    id: str
    caption: str
    frame: pd.DataFrame
    board: str = ""
    best: frozenset[tuple[int, str]] = frozenset()
    data: pd.DataFrame | None = None
    methods: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Remark:
    """A sentence that a reader must not miss, such as a warning."""

    text: str
    board: str = ""


Item = Figure | Table | Remark


def check_item(item: object, boards: Container[str]) -> None:
    """Raise TypeError or ValueError for what a report may not give; `boards` are the hashes of the study's."""
    if not isinstance(item, Figure | Table | Remark):
        raise TypeError(f"a report must give Figures, Tables and Remarks, but gave a {type(item).__name__}")
    if isinstance(item, Remark):
        texts = {"text": item.text}
    else:
        texts = {"caption": item.caption}
        if not re.fullmatch(r"[A-Za-z0-9-]+", item.id):
            raise ValueError(f"an id must be letters, digits and dashes, but is {item.id!r}")
        inner, wanted = (item.figure, "savefig") if isinstance(item, Figure) else (item.frame, "itertuples")
        if not hasattr(inner, wanted):
            kind = "matplotlib figure" if isinstance(item, Figure) else "pandas DataFrame"
            raise TypeError(f"{item.id} must hold a {kind}, but holds a {type(inner).__name__}")
    if isinstance(item, Table):
        _check_table(item)
    if item.board and item.board not in boards:
        raise ValueError(f"a board must be the hash of one of the study's, or empty, but is {item.board!r}")
    for name, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"a {name} must be text, but is a {type(text).__name__}")


def _check_table(table: Table) -> None:
    columns = [str(name) for name in table.frame]
    if not columns or len(set(columns)) < len(columns):
        raise ValueError(f"{table.id} must have columns, each with a name of its own, but has {columns}")
    for row, column in table.best:
        if column not in columns or not 0 <= row < len(table.frame):
            raise ValueError(f"the best of {table.id} must be cells of it, but are {(row, column)} among others")
