"""How all figures look: one colour and marker per method, legible at one column of a paper.

Figures are made without pyplot, so that they leave its windows, backend and settings to whoever else draws.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..report import Board

COLUMN, PAGE = 3.4, 7.0  # inches, one and both columns of a paper
# Okabe and Ito's palette, told apart by colour-blind readers and in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DENSE = {"color": "black", "marker": "*", "markersize": 7, "linestyle": "none", "zorder": 5}
DECADES = 30  # times the least value that the largest is, for ticks at whole decades alone
LINE = 0.16  # inches that a line of the legend takes
WIDE_NAME = 24  # letters of a method's name that leave no room for a second one beside it
SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))  # of amounts
WIDEST_NAME = 48  # that fit into a column
SETTINGS: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # TrueType: many publishers refuse Type 3
    "svg.fonttype": "none",
    "svg.hashsalt": "pruneframe",  # the same figure, the same file
    "figure.max_open_warning": 0,  # a report may use pyplot, and all draw their figures before they are typeset
    "axes.formatter.use_mathtext": False,
    "text.parse_math": False,  # a method's name is text, whatever signs are in it
}

DOTS = 144  # per inch, on a screen


def look() -> AbstractContextManager[None]:
    """Within it figures are drawn, and written, as these settings say."""
    return matplotlib.rc_context(SETTINGS)  # type: ignore[arg-type] # the stubs list every key by name


class Canvas(Figure):
    """A figure of matplotlib that notebooks show, whatever backend they have."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        with look():
            self.savefig(buffer, format="png", dpi=DOTS)
        return buffer.getvalue()


@dataclass(frozen=True)
class Look:
    """How one method is drawn; the others step back where one is highlighted."""

    color: str
    marker: str
    dashes: str  # methods that share a colour, since there are more of them, differ in these
    width: float = 1.2  # points
    alpha: float = 1.0

    @property
    def line(self) -> dict[str, Any]:
        """Its lines, for matplotlib."""
        return {"color": self.color, "linestyle": self.dashes, "linewidth": self.width, "alpha": self.alpha}


def logarithmic(axes: Any, direction: Literal["x", "y"]) -> None:
    """Make an axis whose limits are set logarithmic, with plain numbers: text is never read as mathematics here."""
    axis = {"x": axes.xaxis, "y": axes.yaxis}[direction]
    axes.set(**{f"{direction}scale": "log"})
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1,) if high > DECADES * low else (1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def looks(methods: Sequence[str], highlight: str | None = None) -> dict[str, Look]:
    """The look of every method, the same in all figures of a study."""
    ordered = sorted(methods)
    emphasis = {True: (2.0, 1.0), False: (1.0, 0.6)} if highlight in ordered else {False: (1.2, 1.0)}
    return {
        method: Look(
            COLOURS[i % len(COLOURS)],
            MARKERS[(i + i // len(COLOURS)) % len(MARKERS)],
            DASHES[i // len(COLOURS) % len(DASHES)],
            *emphasis[method == highlight],
        )
        for i, method in enumerate(ordered)
    }


def panels(count: int, height: float = 2.3) -> tuple[Any, list[Any]]:
    """A figure with `count` axes: one fills a column, more share both columns, up to three side by side."""
    columns = min(3, count)
    rows = -(-count // columns)
    size = (COLUMN if count == 1 else PAGE, height * rows)
    figure = Canvas(size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    flat = list(axes.flat)
    for unused in flat[count:]:
        unused.remove()
    return figure, flat[:count]


def strips(count: int) -> tuple[Any, list[Any]]:
    """A figure with `count` low axes, one above the other, over one horizontal axis."""
    size = (COLUMN, 0.5 + 0.85 * count)
    figure = Canvas(size, layout="constrained")
    axes = figure.subplots(count, 1, sharex=True, squeeze=False)
    return figure, list(axes[:, 0])


def legend_below(figure: Any, axes: Any) -> None:
    """One legend for the whole figure, under it; the figure grows by what it needs."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    room = 2 if figure.get_figwidth() > COLUMN else 1
    columns = min(len(labels), room if max(map(len, labels)) > WIDE_NAME else 2 * room)
    labels = [folded(text, WIDEST_NAME) for text in labels]
    lines = max(text.count("\n") + 1 for text in labels)
    figure.set_figheight(figure.get_figheight() + LINE * lines * -(-len(labels) // columns))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, handlelength=1.6)


def folded(name: str, width: int = WIDE_NAME) -> str:
    """A method's name in lines that are no wider, where its settings allow."""
    lines = [""]
    for part in re.findall(r"[^,\[ ]*[,\[ ]|[^,\[ ]+", name):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def shown(values: Any, name: str, reference: float) -> Any:
    """Values of an objective as axes show them: errors in per cent, all else as a share of the reference."""
    return 100 * values if name == "error" else values / reference


def label(board: Board, objective: int) -> str:
    """What an axis says of an objective: a share of how much of what, which is the unpruned network's for most."""
    name = board.objectives[objective]
    if name == "error":
        return "test error (%)"
    quantity = board.quantities[objective] if board.quantities else ""
    if quantity.startswith("share"):
        return f"{name} ({quantity})"
    return f"{name} (share of {amount(board.references[objective], quantity)})"


def amount(value: float, quantity: str) -> str:
    """A value with what it counts, as people write it: `12.3k parameters`, `1.5M bytes`."""
    rounded = float(f"{value:.3g}")  # first, since 999,999 is 1M and not 1000k
    scale, letter = next((one for one in SCALES if abs(rounded) >= one[0]), (1.0, ""))
    return f"{rounded / scale:g}{letter} {quantity}".rstrip()
