"""A chapter of the results as files: its page, a PDF, and a row for every run, from which all chapters are told again.

A study takes a hundred megabytes and more; the rows (RUNS) are what is kept of it where the page stands.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice, takewhile
from pathlib import Path

import pandas as pd
from chapters import Chapter

from pruneframe.comparison.document import close, compose
from pruneframe.comparison.drawing import drawn, saved
from pruneframe.comparison.verdicts import TURNED, verdicts
from pruneframe.errors import Faulty
from pruneframe.item import Figure, Remark, Table
from pruneframe.registry import Registry
from pruneframe.report import Report, RunSummary, StudyFacts
from pruneframe.study.facts import facts
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table

RUNS = (
    *("problem", "units", "method", "instance", "seed", "status", "budget", "search_images", "deterministic"),
    *("passes_spent", "evaluations", "processor_seconds", "seconds_in_all"),
    *("front_size", "dense_error", "dense_test_error"),
    *("hypervolume", "hypervolume_search", "hypervolume_region", "hypervolume_log", "hypervolume_anytime"),
)
CLAIMED = "Behind a name: what is claimed beside `{}` at equal compute, by Holm over {} comparisons."
TYPESET = "results,difference,comparisons,fronts,reductions,running-times"
MACHINE = ("platform", "machine", "processor", "kernel", "cores", "python", "torch", "numpy")  # told of a chapter's


def write(chapter: Chapter, study: StudyFolder, commit: str, output: Path) -> None:
    """A chapter's page, its runs, its PDF and its picture into a folder, all under the chapter's name."""
    output.mkdir(parents=True, exist_ok=True)
    known = facts(study)
    told = pd.DataFrame([asdict(run) for run in known.runs])
    told[[*RUNS]].assign(commit=commit).to_csv(output / f"{chapter.name}.csv", index=False, float_format="%.9g")
    _typeset(study.path, output / f"{chapter.name}.pdf")
    pictures = list(_picture(chapter, study, known))
    for figure in pictures:
        (output / f"{chapter.name}.png").write_bytes(saved(figure, "png"))
    captions = [figure.caption for figure in pictures]
    (output / f"{chapter.name}.md").write_text("\n".join(_page(chapter, study, known, commit, captions)))


def rows(path: Path) -> pd.DataFrame:
    """A chapter's runs as they were written; a commit may look like a number."""
    return pd.read_csv(path, dtype={"commit": str})


def runs(path: Path) -> list[RunSummary]:
    """The finished runs of a chapter from its rows, with what these say of them."""
    frame = rows(path)
    told = frame[frame["status"] == "done"].drop(columns="commit").to_dict("records")
    return [RunSummary(**{str(name): value for name, value in row.items()}) for row in told]


def at_equal_seconds(page: Path) -> list[tuple[str, str]]:
    """Each method beside the control, and what its page claims of it at equal seconds; only the page has this."""
    lines = iter(page.read_text().splitlines())
    names = next((_cells(line) for line in lines if line.endswith("| verdict | at equal compute |")), [])
    told = (dict(zip(names, _cells(line), strict=True)) for line in islice(takewhile(bool, lines), 1, None))
    return [(row["against"], TURNED.get(row["verdict"], row["verdict"])) for row in told]


def _cells(line: str) -> list[str]:
    """Of a row as `markdown` writes it."""
    return line.strip("| ").split(" | ")


def _typeset(study: Path, path: Path) -> None:
    """The comparison of a study, without its figures as files of their own."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, path.name)
        words = ["report", str(study), "-o", str(made), "--reports", TYPESET]
        subprocess.run([str(Path(sys.executable).with_name("pruneframe")), *words], check=True)
        path.write_bytes(made.read_bytes())


def _picture(chapter: Chapter, study: StudyFolder, known: StudyFacts) -> Iterator[Figure]:
    """The final fronts of the methods that are shown."""
    own = replace(known, runs=tuple(run for run in known.runs if run.method in chapter.shown))
    if own.runs:
        fronts = drawn(Registry().component(Report, "fronts"), long_table(study), own, _fail)
        claimed = {one.found.second: one.text for one in verdicts(known.runs, chapter.methods[0])}
        for figure in (item for item in fronts if isinstance(item, Figure)):
            for text in (text for legend in figure.figure.legends for text in legend.get_texts()):
                if told := claimed.get(text.get_text()):
                    text.set_text(f"{text.get_text()}: {told}")
            yield replace(figure, caption=f"{figure.caption} {CLAIMED.format(chapter.methods[0], len(claimed))}")


def _fail(fault: Faulty) -> None:
    raise fault


def _page(
    chapter: Chapter, study: StudyFolder, known: StudyFacts, commit: str, captions: Sequence[str]
) -> Iterator[str]:
    """The lines of a chapter's page."""
    name = chapter.name
    yield from (f"# {chapter.title}", "", "```", f"pruneframe {typed(chapter.command(name))}", "```", "")
    machine = study.settings["environments"][-1]
    told = ", ".join(f"{one} {machine[one]}" for one in MACHINE if one in machine)
    yield f"Printed by `python benchmarks/results.py`, nothing corrected by hand; runs at {commit}: {told}."
    counts = Counter(run.status for run in known.runs)
    ended = ", ".join(f"{count:,} runs {status}" for status, count in sorted(counts.items()))
    yield f"{ended}, of {chapter.runs:,} that the command asks for. With figures: [{name}.pdf]({name}.pdf). "
    yield f"Every run: [{name}.csv]({name}.csv)."
    for caption in captions:
        yield from ("", f"![Final fronts]({name}.png)", "", caption)
    yield from _tables(study, known, chapter.reports)
    if race_of(study.path).exists():
        yield from ("", "All final fronts timed once more in one series (`benchmarks/rematch.py`).", "")
        yield from markdown(_raced(race_of(study.path)))
    yield ""


def race_of(study: Path) -> Path:
    """Where that stands which rematch.py printed of a study."""
    return study.with_name(f"{study.name}-race.jsonl")


def _raced(path: Path) -> pd.DataFrame:
    """Who beats whom in every objective, one row per instance and ordered pair of methods."""
    told = pd.read_json(path, lines=True).drop(columns="board")
    return told.assign(noise=[f"{share:.1%}" for share in told["noise"]])


def _tables(study: StudyFolder, known: StudyFacts, names: Sequence[str]) -> Iterator[str]:
    """What some reports print of a study."""
    if not known.boards:
        return
    registry = Registry()
    reports = [registry.component(Report, name) for name in names]
    complaints: list[Faulty] = []
    comparison = compose(reports, long_table(study), known, [study.settings], complaints.append)
    close(comparison)
    for item in comparison.items:
        if isinstance(item, Table):
            yield from ("", item.caption, "", *markdown(item.frame, item.best))
    for remark in (item for section in comparison.sections for item in section.items if isinstance(item, Remark)):
        yield from ("", remark.text)
    yield from map(str, complaints)


def typed(words: Sequence[str]) -> str:
    """A command as a shell takes it."""
    return " ".join(f"'{word}'" if "[" in word else word for word in words)


def markdown(frame: pd.DataFrame, best: frozenset[tuple[int, str]] = frozenset()) -> Iterator[str]:
    """A table, its best cells in bold."""
    yield "| " + " | ".join(map(str, frame.columns)) + " |"
    yield "|" + " --- |" * len(frame.columns)
    for number, row in enumerate(frame.to_dict("records")):
        cells = [f"**{value}**" if (number, name) in best else str(value) for name, value in row.items()]
        yield "| " + " | ".join(cells) + " |"
