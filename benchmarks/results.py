"""All measured tables of the documentation: one command runs what is missing and prints docs/results.md.

    python benchmarks/results.py FOLDER [--chapters digits,resnet20] [--jobs N] [--output docs/results.md]

Each chapter is one `pruneframe bench` into FOLDER/CHAPTER, which a second call goes on with; hours are normal. With
--output nothing is run: the chapters that FOLDER has are printed into that file, as they stand and uncorrected, and
those of each part into one PDF beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd
from chapters import CHAPTERS, Chapter

from pruneframe.comparison.document import close, compose
from pruneframe.comparison.verdicts import NO_DIFFERENCE, values_of, verdicts
from pruneframe.errors import Faulty, InputError
from pruneframe.item import Remark, Table
from pruneframe.registry import Registry
from pruneframe.report import Report, RunSummary
from pruneframe.study.facts import facts
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table

TYPESET = "results,difference,comparisons,fronts,progress,reductions,running-times,seconds,profile,ranks"
SIGNS = {"worse": " worse", "better": " better", NO_DIFFERENCE: " ="}
GLANCE = (
    "Median hypervolume on test images, and beside it what the tests say of the method beside `{control}`, corrected "
    "by Holm: signed ranks over networks or splits of a problem, and Mann-Whitney over seeds where there is only one. "
    "= where no difference is shown, nothing where nothing may be claimed. With all figures: "
    "[results-{part}.pdf](results-{part}.pdf)."
)
COMMITS = "commits.txt"  # of a folder: what its runs were computed at
MACHINE = ("platform", "machine", "processor", "kernel", "cores", "python", "torch", "numpy")  # told of a chapter's


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--chapters", help="Which of them, separated by commas [default: all].")
@click.option("--jobs", type=click.IntRange(1), help="Runs at the same time.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Print into this file, and run nothing."
)
def main(folder: Path, chapters: str | None, jobs: int | None, output: Path | None) -> None:
    """Run what is missing, then print all chapters that there are."""
    names = chapters.split(",") if chapters else [chapter.name for chapter in CHAPTERS]
    if unknown := set(names) - {chapter.name for chapter in CHAPTERS}:
        raise click.BadParameter(f"no chapter is named {sorted(unknown)[0]!r}", param_hint="--chapters")
    chosen = [chapter for chapter in CHAPTERS if chapter.name in names]
    if output is None:
        for chapter in chosen:
            _run(chapter, folder, jobs)
    there = [chapter for chapter in chosen if (folder / chapter.name).is_dir()]
    text = "\n".join(_book(there, folder))
    if output is None:
        click.echo(text)
        return
    output.write_text(text)
    for part, own in parts(there).items():
        _typeset([folder / chapter.name for chapter in own], output.with_name(f"{output.stem}-{part}.pdf"))


def _run(chapter: Chapter, folder: Path, jobs: int | None) -> None:
    """One chapter's study; a run that fails is told, and the next chapter begins."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / COMMITS).open("a") as file:
        file.write(f"{commit()}\n")
    command = [*chapter.command(folder / chapter.name), *(["--jobs", str(jobs)] if jobs else [])]
    code = subprocess.run([str(Path(sys.executable).with_name("pruneframe")), *command], check=False).returncode
    if code not in (0, 1):
        raise SystemExit(code)


def commit() -> str:
    """The commit of this checkout, and whether anything in it has changed since."""
    here = Path(__file__).parent
    told = [
        subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False).stdout.strip()
        for arguments in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    ]
    return (told[0] or "unknown") + (" with changes" if told[1] else "")


def parts(chapters: Sequence[Chapter]) -> dict[str, list[Chapter]]:
    """The chapters of each part."""
    found: dict[str, list[Chapter]] = {}
    for chapter in (chapter for chapter in chapters if chapter.part):
        found.setdefault(chapter.part, []).append(chapter)
    return found


def _typeset(studies: Sequence[Path], path: Path) -> None:
    """The comparison of some studies, which all have the same control, without its figures as files of their own."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, path.name)
        words = ["report", *map(str, studies), "-o", str(made), "--reports", TYPESET]
        subprocess.run([str(Path(sys.executable).with_name("pruneframe")), *words], check=True)
        path.write_bytes(made.read_bytes())


def glance(chapters: Sequence[Chapter], folder: Path) -> pd.DataFrame:
    """Median hypervolume on test and what is claimed beside the control, one row per method, one column per chapter."""
    columns = {}
    for chapter in chapters:
        known = facts(StudyFolder.existing(folder / chapter.name))
        for board in known.boards:
            columns[chapter.name] = dict(_claimed(known.done(board), chapter.methods[0]))
    frame = pd.DataFrame(columns).dropna(how="all")
    return frame.fillna("").rename_axis("method").reset_index()


def _claimed(runs: Sequence[RunSummary], control: str) -> Iterator[tuple[str, str]]:
    told = {one.found.second: SIGNS.get(one.text, "") for one in verdicts(runs, control)}
    for method, values in values_of(runs).items():
        median = np.median([value for own in values.values() for value in own])
        yield method, f"{median:.4f}{told.get(method, '')}"


def _book(chapters: Sequence[Chapter], folder: Path) -> Iterator[str]:
    """The lines of docs/results.md."""
    commits = (folder / COMMITS).read_text().split("\n") if (folder / COMMITS).exists() else []
    yield from ("# Results", "")
    told = ", ".join(dict.fromkeys(filter(None, commits))) or "no known commit"
    yield f"Printed by `python benchmarks/results.py`; runs at {told}. Nothing is corrected by hand."
    if lacking := [chapter.name for chapter in CHAPTERS if chapter not in chapters]:
        yield f"Not run yet: {', '.join(lacking)}."
    for part, own in parts(chapters).items():
        yield from (
            "",
            f"## {part.capitalize()} at a glance",
            "",
            GLANCE.format(control=own[0].methods[0], part=part),
            "",
        )
        yield from markdown(glance(own, folder), frozenset())
    for chapter in chapters:
        study = StudyFolder.existing(folder / chapter.name)
        yield from (
            "",
            f"## {chapter.title}",
            "",
            "```",
            f"pruneframe {typed(chapter.command(chapter.name))}",
            "```",
            "",
        )
        machine = study.settings["environments"][-1]
        yield ", ".join(f"{name} {machine[name]}" for name in MACHINE if name in machine) + "."
        yield from _tables(folder / chapter.name, chapter)
    yield ""


def typed(words: Sequence[str]) -> str:
    """A command as a shell takes it."""
    return " ".join(f"'{word}'" if "[" in word else word for word in words)


def _tables(folder: Path, chapter: Chapter) -> Iterator[str]:
    """How far a study is, and what its reports print."""
    study, registry = StudyFolder.existing(folder), Registry()
    known = facts(study)
    counts = Counter(run.status for run in known.runs)
    ended = ", ".join(f"{count:,} runs {status}" for status, count in sorted(counts.items()))
    yield from ("", f"{ended}, of {chapter.runs:,} that the command asks for.")
    if not known.boards:
        return
    reports = [registry.component(Report, name) for name in chapter.reports]
    complaints: list[Faulty] = []
    comparison = compose(reports, long_table(study), known, [study.settings], complaints.append)
    close(comparison)
    for item in comparison.items:
        if isinstance(item, Table):
            yield from ("", item.caption, "", *markdown(item.frame, item.best))
    for remark in (item for section in comparison.sections for item in section.items if isinstance(item, Remark)):
        yield from ("", remark.text)
    yield from map(str, complaints)


def markdown(frame: pd.DataFrame, best: frozenset[tuple[int, str]]) -> Iterator[str]:
    """A table, its best cells in bold."""
    yield "| " + " | ".join(map(str, frame.columns)) + " |"
    yield "|" + " --- |" * len(frame.columns)
    for number, row in enumerate(frame.to_dict("records")):
        cells = [f"**{value}**" if (number, name) in best else str(value) for name, value in row.items()]
        yield "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"Error: {error}") from error
