"""The comparison: what reports draw, in sections, typeset as one PDF by Typst, and each piece as a file of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import Faulty, InputError
from ..files import read_plain, write_whole
from ..item import Figure, Item, Remark, Table
from ..report import Report, StudyFacts
from .drawing import drawn, saved
from .effort import counted
from .latex import latex
from .protocol import Paragraph, environments, protocol

PAPERS = {"a4": "a4", "letter": "us-letter"}
CONTENTS = "contents.json"  # of the folder with a comparison's parts
COLUMN = 3.5  # inches: a figure that is no wider shares its line with another


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    heading: str
    items: tuple[Item | Paragraph, ...]
    board: str = ""  # the hash of the one that it is about, if it is about one


@dataclass(frozen=True)
class Comparison:
    """All that is to be printed. `digest` is of the runs behind it, `date` in seconds since 1970."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    digest: str
    date: int
    bibtex: str = ""

    @property
    def items(self) -> list[Figure | Table]:
        """All figures and tables."""
        return [item for section in self.sections for item in section.items if isinstance(item, Figure | Table)]

    @cached_property
    def drawings(self) -> dict[str, bytes]:
        """Each figure's id with the figure as a PDF."""
        return {item.id: saved(item, "pdf") for item in self.items if isinstance(item, Figure)}


def compose(
    reports: Iterable[Report],
    table: Any,
    study: StudyFacts,
    settings: Sequence[dict[str, Any]],
    complain: Callable[[Faulty], None],
    anonymous: bool = False,
    bibtex: str = "",
) -> Comparison:
    """Draw all reports; `settings` are the studies' own. One that fails is left out, and `complain` is told."""
    ordered, ids = sorted(reports, key=_order), Counter[str]()
    items, appendix = (
        [_named(i, ids) for report in ordered if report.appendix == last for i in drawn(report, table, study, complain)]
        for last in (False, True)
    )
    paragraphs = tuple(protocol(study, anonymous))
    headings = {board.hash: board.label for board in study.boards} | {"": "Over all problems"}
    sections = [
        Section(heading, tuple(i for i in items if i.board == board), board) for board, heading in headings.items()
    ]
    sections += [Section("How this was measured", paragraphs), Section("What methods recorded", tuple(appendix))]
    digest = _digest(study)
    return Comparison(
        title="Comparison of pruning methods",
        subtitle=_subtitle(study) + ("" if anonymous else f", study {digest}"),
        sections=tuple(section for section in sections if section.items),
        digest="" if anonymous else digest,
        date=_date(settings),
        bibtex=bibtex,
    )


def unfinished(study: StudyFacts) -> Comparison:
    """What is there of a study before its first run has ended."""
    return Comparison("Comparison of pruning methods", f"none of {counted(len(study.runs), 'run')} done", (), "", 0)


def _order(report: Report) -> tuple[int, str]:
    return report.place, report.name


def _named(item: Item, ids: Counter[str]) -> Item:
    """An item whose id no other has: a report may be asked for twice, with other settings."""
    if isinstance(item, Remark):
        return item
    ids[item.id] += 1
    return item if ids[item.id] == 1 else replace(item, id=f"{item.id}-{ids[item.id]}")


def _digest(study: StudyFacts) -> str:
    """16 hex digits over the runs and what they reached."""
    reached = ("status", "hypervolume", "hypervolume_search", "finetuned")
    names = ("hash", "problem", "method", "instance", "seed", *reached)
    runs = sorted(json.dumps([str(getattr(run, name)) for name in names]) for run in study.runs)
    return hashlib.sha256("\n".join(runs).encode()).hexdigest()[:16]


def _date(settings: Sequence[dict[str, Any]]) -> int:
    """SOURCE_DATE_EPOCH, or when the newest of the studies was begun: never the clock, so that files repeat."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None:
        if not given.isdecimal():
            raise InputError(f"SOURCE_DATE_EPOCH must be seconds since 1970, but got {given!r}")
        return int(given)
    begun = [datetime.fromisoformat(one["begun"]) for one in settings if "begun" in one]
    return int(max(begun).timestamp()) if begun else 0


def _subtitle(study: StudyFacts) -> str:
    done = sum(run.done for run in study.runs)
    problems, methods = ({getattr(run, key) for run in study.runs} for key in ("problem", "method"))
    versions = sorted({one["pruneframe"] for one in environments(study)})
    return (
        f"{counted(len(methods), 'method')}, {counted(len(problems), 'problem')}, {done} of "
        f"{counted(len(study.runs), 'run')} done, "
        f"pruneframe {' and '.join(versions)}"
    )


def typeset(comparison: Comparison, output: Path, paper: str = "a4", template: Path | None = None) -> None:
    """Write the PDF; a crash leaves no half file. A template reads content.json, which lies beside it."""
    import typst

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for id, drawing in comparison.drawings.items():
            (folder / f"{id}.pdf").write_bytes(drawing)
        content = {
            "title": comparison.title,
            "subtitle": comparison.subtitle,
            "paper": PAPERS[paper],
            "digest": comparison.digest,
            "sections": [
                {"heading": section.heading, "items": _paired([content_of(item) for item in section.items])}
                for section in comparison.sections
            ],
        }
        (folder / "content.json").write_text(json.dumps(content))
        shutil.copyfile(str(template or files("pruneframe.comparison") / "comparison.typ"), folder / "comparison.typ")
        try:
            pdf = typst.compile(folder / "comparison.typ", root=folder, timestamp=comparison.date)
        except typst.TypstError as error:
            if template is None:
                raise
            raise InputError(f"template {template} cannot be typeset: {error}") from error
    write_whole(output, lambda file: file.write(pdf))


def write_parts(comparison: Comparison, folder: Path) -> list[Path]:
    """Each figure as its own PDF, each table as LaTeX and CSV, the papers as BibTeX, and a list of all that.

    What an earlier list names and this one does not is removed.
    """
    written = {f"{id}.pdf": drawing for id, drawing in comparison.drawings.items()}
    for item in comparison.items:
        if isinstance(item, Table):
            data = item.frame if item.data is None else item.data
            written |= {f"{item.id}.tex": latex(item).encode(), f"{item.id}.csv": data.to_csv(index=False).encode()}
    if comparison.bibtex:
        written["references.bib"] = comparison.bibtex.encode()
    earlier = _listed(folder / CONTENTS)
    captions = {item.id: item.caption for item in comparison.items}
    contents = [{"file": name, "caption": captions.get(name.partition(".")[0], "")} for name in sorted(written)]
    for name, content in {**written, CONTENTS: json.dumps(contents, indent=2).encode()}.items():
        write_whole(folder / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
    for name in earlier - written.keys():
        if (folder / name).is_file():
            (folder / name).unlink()
    return [folder / name for name in (*written, CONTENTS)]


def _listed(path: Path) -> set[str]:
    """The files beside a list of contents that it names."""
    try:
        return {Path(entry["file"]).name for entry in json.loads(read_plain(path, follow=False))}
    except (InputError, OSError, ValueError, TypeError, KeyError, RecursionError):  # none yet, or not ours
        return set()


def close(comparison: Comparison) -> None:
    """Let go of all figures that a report has made with pyplot."""
    import matplotlib.pyplot as plt

    for item in comparison.items:
        if isinstance(item, Figure):
            plt.close(item.figure)


def content_of(item: Item | Paragraph) -> dict[str, Any]:
    """An item as templates read it; `best` of a table are pairs of row and column, figures lie beside it."""
    if isinstance(item, Paragraph):
        return {"kind": "text", "heading": item.heading, "text": item.text}
    if isinstance(item, Remark):
        return {"kind": "remark", "text": item.text}
    head = {"id": item.id, "caption": item.caption}
    if isinstance(item, Table):
        rows = [[str(value) for value in row] for row in item.frame.itertuples(index=False)]
        columns = [str(name) for name in item.frame]
        best = [[row, columns.index(name)] for row, name in sorted(item.best)]
        return head | {"kind": "table", "columns": columns, "rows": rows, "best": best}
    width, height = (float(inches) for inches in item.figure.get_size_inches())
    return head | {"kind": "figure", "file": f"{item.id}.pdf", "width": width, "height": height}


def _paired(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Narrow figures that follow each other, two to a line."""
    lines: list[dict[str, Any]] = []
    for item in items:
        narrow = item["kind"] == "figure" and item["width"] <= COLUMN
        if narrow and lines and lines[-1]["kind"] == "line" and len(lines[-1]["items"]) == 1:
            lines[-1]["items"].append(item)
        else:
            lines.append({"kind": "line", "items": [item]} if narrow else item)
    return lines
