"""What reports draw, whatever may go wrong with it, and figures as the bytes of files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import BytesIO
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from ..errors import Faulty, PruneframeError, faults_of
from ..item import Figure, Item, check_item
from ..patience import TimeUp, within
from ..report import Report, StudyFacts
from .style import look

MOST = 1000  # items of a report
PATIENCE = 600.0  # seconds in which a report must have given all of them

_SAVED: WeakKeyDictionary[Any, dict[str, bytes]] = WeakKeyDictionary()  # what has been drawn, by figure and format


def ranked(table: Any, study: StudyFacts) -> Any:
    """The rows of the long table without those of empty runs: what has reached nothing is in no figure or table."""
    empty = {(run.board, run.method) for run in study.runs if run.status == "empty"}
    return (
        table[[key not in empty for key in zip(table.board, table.method, strict=True)]]
        if empty and len(table)
        else table
    )


def drawn(report: Report, table: Any, study: StudyFacts, complain: Callable[[Faulty], None]) -> list[Item]:
    """What a report shows; nothing where it fails, or what it gives cannot be shown, which `complain` is told."""

    def draw() -> None:
        own = replace(study, records=records, layers=layers)
        with redirect_stdout(sys.stderr), look():
            items.extend(islice(report.draw(table.copy(deep=False), own), MOST + 1))
        if len(items) > MOST:
            raise ValueError(f"a report must give at most {MOST:,} items, but gives more")
        for item in items:
            check_item(item, boards)
            if isinstance(item, Figure):
                saved(item, "pdf")  # some can be made and not be drawn

    table = ranked(table, study)
    # each has views of its own, which are copied where they are written to
    records, layers = (ranked(frame.copy(deep=False), study) for frame in (study.records, study.layers))
    items, boards, spec = list[Item](), {board.hash for board in study.boards}, repr(report)
    try:
        with faults_of("report", spec):
            within(PATIENCE, draw)
    except TimeUp:
        complain(Faulty(f"report {spec} must end within {PATIENCE:g} s, but goes on", "report", spec))
        return []
    except (PruneframeError, OSError, MemoryError) as error:  # a report may fail in any way
        complain(error if isinstance(error, Faulty) else Faulty(f"report {spec} fails: {error}", "report", spec))
        return []
    return items


def saved(item: Figure, format: str) -> bytes:
    """A figure as the bytes of a file, the same for the same figure; drawn once."""
    known = _SAVED.setdefault(item.figure, {})
    if format not in known:
        buffer = BytesIO()
        with look():
            item.figure.savefig(buffer, format=format, metadata={"CreationDate" if format == "pdf" else "Date": None})
        known[format] = buffer.getvalue()
    return known[format]
