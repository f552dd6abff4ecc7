"""Figures and tables typeset as one PDF, by Typst."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from .files import write_whole
from .report import Figure, Report, StudyFacts, Table


def build(
    reports: Iterable[Report],
    table: Any,
    study: StudyFacts,
    settings: dict[str, Any],
    output: Path,
    complain: Callable[[str], None],
) -> None:
    """Draw all reports and write the comparison to `output`; a crash leaves no half file.

    A report that fails is told to `complain`, and the others are drawn.
    """
    import typst

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sections = [_section(report, table, study, folder, complain) for report in reports]
        content = {
            "title": "Comparison of pruning methods",
            "subtitle": _subtitle(study, settings),
            "sections": [section for section in sections if section["items"]] + [_about(study, settings)],
        }
        (folder / "content.json").write_text(json.dumps(content))
        template = files("pruneframe_reports") / "comparison.typ"
        shutil.copyfile(str(template), folder / "comparison.typ")
        pdf = typst.compile(folder / "comparison.typ", root=folder)
    write_whole(output, lambda file: file.write(pdf))


def _section(
    report: Report, table: Any, study: StudyFacts, folder: Path, complain: Callable[[str], None]
) -> dict[str, Any]:
    try:
        items = [_item(item, folder) for item in report.draw(table, study)]
    except Exception as error:  # a report may fail in any way
        complain(f"report {report!r} fails: {type(error).__name__}: {error}")
        items = []
    return {"heading": report.name.capitalize(), "items": items}


def _item(item: Figure | Table, folder: Path) -> dict[str, Any]:
    if isinstance(item, Table):
        rows = [[str(value) for value in row] for row in item.frame.itertuples(index=False)]
        return {"kind": "table", "caption": item.caption, "columns": list(item.frame.columns), "rows": rows}
    import matplotlib.pyplot as plt

    file = f"{item.id}.pdf"
    item.figure.savefig(folder / file, metadata={"CreationDate": None})
    width = item.figure.get_figwidth()
    plt.close(item.figure)
    return {"kind": "figure", "caption": item.caption, "file": file, "width": width}


def _subtitle(study: StudyFacts, settings: dict[str, Any]) -> str:
    done = sum(run["status"] == "done" for run in study.runs)
    problems, methods = ({run[key] for run in study.runs} for key in ("problem", "method"))
    return (
        f"{len(methods)} methods, {len(problems)} problems, {done} of {len(study.runs)} runs done, "
        f"pruneframe {settings['environments'][-1]['pruneframe']}"
    )


def _about(study: StudyFacts, settings: dict[str, Any]) -> dict[str, Any]:
    """How the figures came about, from the study itself."""
    items = [{"kind": "text", "text": _protocol(study)}]
    items += [{"kind": "text", "text": f"{name}: {text}"} for name, text in sorted(study.provenance.items()) if text]
    unfinished = [run for run in study.runs if run["status"] != "done"]
    for run in unfinished:
        reason = f" ({run['reason']})" if "reason" in run else ""
        text = f"Not in any figure: {run['method']} on {run['problem']}, seed {run['seed']}: {run['status']}{reason}."
        items.append({"kind": "text", "text": text})
    newest = settings["environments"][-1]
    items.append({"kind": "text", "text": "Computed with " + ", ".join(f"{k} {v}" for k, v in newest.items()) + "."})
    return {"heading": "How this was measured", "items": items}


def _protocol(study: StudyFacts) -> str:
    looks = sum(run["front_size"] or 0 for run in study.runs)
    return (
        "All methods of a problem had the same budget; one unit is one dense forward pass over the search set, and "
        "every evaluation, score and training step was charged. The search never saw a test image; each member of a "
        f"final front was measured on the test split once, {looks} looks in all. Objectives are divided by the "
        "unpruned network's value, error by guessing's; the hypervolume's reference point is 1 in every objective."
    )
