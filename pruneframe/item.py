"""What a report gives: figures, tables and remarks."""

from __future__ import annotations

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
