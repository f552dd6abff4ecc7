"""How all figures look: one colour and marker per method, legible at one column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

COLUMN = 3.5  # inches, one column of a two-column paper
# Okabe and Ito's palette, told apart by colour-blind readers and in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SETTINGS: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # TrueType: many publishers refuse Type 3
}

plt.rcParams.update(SETTINGS)  # type: ignore[arg-type] # the stubs list every key by name


def looks(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of every method, the same in all figures of a study."""
    return {
        method: {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]}
        for i, method in enumerate(sorted(methods))
    }


def panels(count: int) -> tuple[Any, list[Any]]:
    """A figure with `count` axes, up to three side by side, at most two columns wide."""
    columns = min(3, count)
    rows = -(-count // columns)
    size = (min(2.0, count) * COLUMN if count > 1 else 5.2, 2.9 + 2.4 * (rows - 1))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    flat = list(axes.flat)
    for unused in flat[count:]:
        unused.remove()
    return figure, flat[:count]


def strips(count: int) -> tuple[Any, list[Any]]:
    """A figure with `count` low axes, one above the other, over one horizontal axis."""
    figure, axes = plt.subplots(
        count, 1, figsize=(5.2, 0.9 + 0.8 * count), sharex=True, squeeze=False, layout="constrained"
    )
    return figure, list(axes[:, 0])


def legend_below(figure: Any, axes: Any) -> None:
    """One legend for the whole figure, under it."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 2), frameon=False)
