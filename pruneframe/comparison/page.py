"""The comparison as one page for a browser: all figures and tables, and fronts whose members can be asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from ..files import write_whole
from ..item import Figure, Item
from ..report import RUN, Board, StudyFacts, members
from .document import COLUMN, Comparison, Section, content_of
from .drawing import ranked, saved
from .protocol import Paragraph

PLACE = "/* content */"  # in the template, where the data go
REFRESH = "<!-- refresh -->"  # and where it is said how often a page is read again


def write_page(
    comparison: Comparison,
    study: StudyFacts,
    table: pd.DataFrame,
    output: Path,
    anonymous: bool = False,
    refresh: int | None = None,
) -> None:
    """Write a page that holds all it needs, and works without a network.

    `refresh`: seconds after which a browser reads it again; None for a page that will not change.
    """
    content = {
        "title": comparison.title,
        "subtitle": comparison.subtitle,
        "sections": [_section(section, study, table, anonymous) for section in comparison.sections],
        "looks": _looks(study),
    }
    template = (files("pruneframe.comparison") / "comparison.html").read_text()
    data = json.dumps(content).replace("<", "\\u003c")  # a method's name must not end the script
    again = "" if refresh is None else f'<meta http-equiv="refresh" content="{refresh}">'
    page = template.replace(REFRESH, again).replace(PLACE, data).encode()
    write_whole(output, lambda file: file.write(page))


def _section(section: Section, study: StudyFacts, table: pd.DataFrame, anonymous: bool) -> dict[str, Any]:
    boards = [board for board in study.boards if board.hash == section.board and len(board.objectives) > 1]
    fronts = [_front(board, study, table, anonymous) for board in boards]
    return {"heading": section.heading, "fronts": fronts, "items": [_item(item) for item in section.items]}


def _item(item: Item | Paragraph) -> dict[str, Any]:
    """An item as the template reads it, a figure with its drawing."""
    content = content_of(item)
    if isinstance(item, Figure):
        drawing = saved(item, "svg").decode()
        content |= {"svg": drawing[drawing.index("<svg") :], "wide": bool(content["width"] > COLUMN)}
    return content


def _front(board: Board, study: StudyFacts, table: pd.DataFrame, anonymous: bool) -> dict[str, Any]:
    """All final members of a board, with what each is asked for."""
    from .style import label

    table = ranked(table, study)
    search, test = members(table, board, "search"), members(table, board, "test")
    runs = {run.key: run for run in study.done(board)}
    kept = study.layers[study.layers.board == board.hash] if len(study.layers) else study.layers
    layers = list(kept["layer"].unique()) if len(kept) else []
    shares = {
        key: [round(float(share), 4) for share in rows.kept / rows.units]
        for key, rows in (kept.groupby([*RUN, "number"]) if len(kept) else ())
    }
    own = [*RUN, "number"]
    both = test.merge(search[[*own, "error"]], on=own, suffixes=("", "_search"))
    points = [
        {
            "method": row["method"],
            "instance": int(row["instance"]),
            "seed": int(row["seed"]),
            "number": int(row["number"]),
            "values": _shown([row[name] for name in board.objectives], board),
            "error": round(100 * row["error"], 4),
            "search": round(100 * row["error_search"], 4),
            "removed": round(100 * row["removed"], 4),
            "kept": shares.get(key, []),
            "study": "STUDY" if anonymous else Path(runs[key[:3]].folder).resolve().parents[3].name,
            "run": runs[key[:3]].hash,
        }
        for row in both.to_dict("records")
        for key in [tuple(row[name] for name in own)]
    ]
    return {
        "problem": board.problem,
        "objectives": list(board.objectives),
        "axes": [label(board, objective) for objective in range(len(board.objectives))],
        "dense": _shown(board.dense_test, board),
        "layers": layers,
        "points": points,
    }


def _shown(point: Sequence[float], board: Board) -> list[float]:
    """A member's values as the figures' axes show them."""
    from .style import shown

    named = zip(point, board.objectives, board.references, strict=True)
    return [round(float(shown(value, name, reference)), 6) for value, name, reference in named]


def _looks(study: StudyFacts) -> dict[str, str]:
    """The colour of each method, as in all figures."""
    from .style import looks

    return {method: look.color for method, look in looks(study.methods, study.highlight).items()}
