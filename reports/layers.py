"""What chosen members keep of each layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.comparison.style import legend_below, looks, panels

from .chosen import fronts, within

POINTS = 1.0  # of accuracy that the chosen members may lose on the search split
HEIGHT = 1.5  # inches: it stands beside the low figure of the generalisation


@dataclass(frozen=True, repr=False)
class Layers(pf.Report):
    """Per problem, the share of each layer that the smallest member within one point keeps."""

    name = "layers"
    place = 16

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Figure]:
        for number, board in enumerate(study.boards, 1):
            kept = study.layers[study.layers.board == board.hash] if len(study.layers) else study.layers
            shares: dict[str, list[np.ndarray]] = {}
            own = pf.by_run(kept) if len(kept) else {}
            for one in within(fronts(table, board), board, "params", POINTS) if len(kept) else ():
                rows = own.get((one.method, one.instance, one.seed), kept[:0])
                rows = rows[rows.number == one.number]
                if len(rows):
                    shares.setdefault(one.method, []).append((rows.kept / rows.units).to_numpy())
            if shares:
                yield _figure(shares, list(kept.layer.unique()), study, board, number)


def _figure(
    shares: dict[str, list[np.ndarray]], layers: Sequence[str], study: pf.StudyFacts, board: pf.Board, number: int
) -> pf.Figure:
    style = looks(study.methods, study.highlight)
    figure, (axis,) = panels(1, HEIGHT)
    places = np.arange(1, len(layers) + 1)
    for method, found in sorted(shares.items()):
        low, median, high = np.quantile(found, [0.25, 0.5, 0.75], axis=0)
        look = style[method]
        marker = look.marker if len(layers) < 30 else ""
        axis.plot(places, median, marker=marker, label=method, **look.line)
        axis.fill_between(places, low, high, color=look.color, alpha=0.15 * look.alpha, linewidth=0)
    axis.set_ylim(0, 1.02)
    axis.set_xlim(0.5, len(layers) + 0.5)
    axis.locator_params(axis="x", integer=True)
    axis.set_xlabel("layer, in forward order")
    axis.set_ylabel("share kept")
    legend_below(figure, axis)
    return pf.Figure(
        f"layers-{number}",
        f"{board.label}: share of each layer's {board.rules.get('units') or 'unit'}s that is kept by the smallest "
        f"member within {POINTS:g} point of the unpruned network's search error. Lines: median over {board.over}; "
        "bands: quartiles.",
        figure,
        board.hash,
    )


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Layers]
