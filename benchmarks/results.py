"""All measured tables of the documentation: one command runs what is missing, another prints docs/results.md.

    python benchmarks/results.py FOLDER [--chapters digits,resnet20] [--jobs N]
    python benchmarks/results.py FOLDER --output docs/results.md

Each chapter is one `pruneframe bench` into FOLDER/CHAPTER, which a second call goes on with; hours are normal. With
--output nothing is run: each chapter that FOLDER has is printed into a folder beside that file (`results/`), as it
stands and uncorrected, and the file itself from all chapters that stand there, whenever they were printed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
from chapters import CHAPTERS, Chapter
from pages import at_equal_seconds, markdown, race_of, rows, runs, write

from pruneframe.comparison.drawing import saved
from pruneframe.comparison.verdicts import NO_DIFFERENCE, values_of, verdicts
from pruneframe.errors import InputError
from pruneframe.item import Figure, Remark
from pruneframe.registry import Registry
from pruneframe.report import Board, Report, RunSummary, StudyFacts
from pruneframe.study.store import StudyFolder

SIGNS = {"worse": " worse", "better": " better", NO_DIFFERENCE: " ="}
GLANCE = (
    "Median hypervolume on test images, and beside it what the tests say of the method beside `{control}`, corrected "
    "by Holm within each chapter: signed ranks over networks or splits of a problem, and Mann-Whitney over seeds where "
    "there is only one. = where no difference is shown, nothing where nothing may be claimed."
)
HOURS = (
    "Hours: what all searches of a chapter took, one after the other, each on one core, from their last start to their "
    "end; measuring final fronts on test and printing come on top."
)
JOINED = "Of the commits named here, 4e7c784 and 081b926 are not in the history: what they held is joined in d88484d."
COMMITS = "commits.txt"  # of a folder: which chapter's runs were computed at which commits


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--chapters", help="Which of them, separated by commas [default: all].")
@click.option("--jobs", type=click.IntRange(1), help="Runs at the same time.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Print into this file, and run nothing."
)
def main(folder: Path, chapters: str | None, jobs: int | None, output: Path | None) -> None:
    """Run what is missing of the chapters, or print those that there are."""
    names = chapters.split(",") if chapters else [chapter.name for chapter in CHAPTERS]
    if unknown := set(names) - {chapter.name for chapter in CHAPTERS}:
        raise click.BadParameter(f"no chapter is named {sorted(unknown)[0]!r}", param_hint="--chapters")
    for chapter in (chapter for chapter in CHAPTERS if chapter.name in names):
        if output is None:
            _run(chapter, folder, jobs)
        elif (folder / chapter.name).is_dir():
            study = StudyFolder.existing(folder / chapter.name)
            write(chapter, study, _computed_at(chapter, folder), output.with_suffix(""))
    if output is not None:
        output.write_text("\n".join(_book(output.with_suffix(""))))


def _run(chapter: Chapter, folder: Path, jobs: int | None) -> None:
    """One chapter's study; a run that fails is told, and the next chapter begins."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / COMMITS).open("a") as file:
        file.write(f"{chapter.name}: {commit()}\n")
    command = [*chapter.command(folder / chapter.name), *(["--jobs", str(jobs)] if jobs else [])]
    code = subprocess.run([str(Path(sys.executable).with_name("pruneframe")), *command], check=False).returncode
    if code not in (0, 1):
        raise SystemExit(code)
    if chapter.raced:
        race = [sys.executable, str(Path(__file__).with_name("rematch.py")), str(folder / chapter.name), "--json"]
        told = subprocess.run(race, check=True, capture_output=True, text=True).stdout
        race_of(folder / chapter.name).write_text(told)


def commit() -> str:
    """The commit of this checkout, and whether anything in it has changed since."""
    here = Path(__file__).parent
    told = [
        subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False).stdout.strip()
        for arguments in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    ]
    return (told[0] or "unknown") + (" with changes" if told[1] else "")


def _computed_at(chapter: Chapter, folder: Path) -> str:
    """At which commits its runs were begun or gone on with."""
    lines = (folder / COMMITS).read_text().splitlines() if (folder / COMMITS).exists() else []
    told = [at for name, _, at in (line.partition(": ") for line in lines) if name == chapter.name]
    return ", ".join(dict.fromkeys(told)) or "no known commit"


def parts(chapters: Sequence[Chapter]) -> dict[str, list[Chapter]]:
    """The chapters of each part."""
    found: dict[str, list[Chapter]] = {}
    for chapter in (chapter for chapter in chapters if chapter.part):
        found.setdefault(chapter.part, []).append(chapter)
    return found


def glance(chapters: Sequence[Chapter], folder: Path) -> pd.DataFrame:
    """Median hypervolume on test and what is claimed beside the control: a row per method, a column per problem."""
    columns: dict[str, dict[str, str]] = {}
    for chapter in chapters:
        own = dict(_claimed(runs(folder / f"{chapter.name}.csv"), chapter.methods[0]))
        columns[chapter.column] = own | columns.get(chapter.column, {})
    frame = pd.DataFrame(columns).dropna(how="all")
    return frame.fillna("").rename_axis("method").reset_index()


def _claimed(told: Sequence[RunSummary], control: str) -> Iterator[tuple[str, str]]:
    signs = {one.found.second: SIGNS.get(one.text, "") for one in verdicts(told, control)}
    for method, values in values_of(told).items():
        median = np.median([value for own in values.values() for value in own])
        yield method, f"{median:.4f}{signs.get(method, '')}"


def _book(folder: Path) -> Iterator[str]:
    """The lines of docs/results.md, from the chapters that stand in a folder."""
    there = [chapter for chapter in CHAPTERS if (folder / f"{chapter.name}.csv").exists()]
    yield from ("# Results", "", _standing(there, folder), "")
    yield "Printed by `python benchmarks/results.py`, nothing corrected by hand; each chapter names its commit."
    if lacking := [chapter.name for chapter in CHAPTERS if chapter not in there]:
        yield f"Not run yet: {', '.join(lacking)}."
    for part, own in parts(there).items():
        yield from ("", f"## {part.capitalize()} at a glance", "", GLANCE.format(control=own[0].methods[0]), "")
        yield from markdown(glance(own, folder))
        yield from _ranks(part, own, folder)
    yield from ("", "## Chapters", "", f"{HOURS} {JOINED}", "")
    yield from markdown(pd.DataFrame([_told(chapter, folder) for chapter in there]))
    names = "\n".join(f"{folder.name}/{chapter.name}" for chapter in there)
    yield from ("", f"```{{toctree}}\n:hidden:\n\n{names}\n```", "")


def _standing(chapters: Sequence[Chapter], folder: Path) -> str:
    """Beside which methods the control of the parts is not better, and where: at equal compute and at equal seconds."""
    compute: list[tuple[Chapter, str, str]] = []
    seconds: list[tuple[Chapter, str, str]] = []
    for chapter in (chapter for chapter in chapters if chapter.part):
        told = verdicts(runs(folder / f"{chapter.name}.csv"), chapter.methods[0])
        compute += [(chapter, one.found.second, one.text) for one in told]
        seconds += [(chapter, *one) for one in at_equal_seconds(folder / f"{chapter.name}.md")]
    if not compute:
        return ""
    start = f"At equal compute `{compute[0][0].methods[0]}` is better than all methods beside it, where enough was run"
    return (
        f"{start} for a claim{_but(compute)}. At equal seconds, where a chapter tells of them, so it is{_but(seconds)}."
    )


def _but(claimed: Sequence[tuple[Chapter, str, str]]) -> str:
    """The methods of which it is not claimed that they are worse."""
    told = []
    for text, words in (("better", "worse than"), (NO_DIFFERENCE, "no difference is shown from")):
        found: dict[str, list[str]] = {}
        for chapter, method, own in claimed:
            if own == text:
                found.setdefault(method, []).append(chapter.name)
        if found:
            names = [f"`{method}` ({', '.join(where)})" for method, where in found.items()]
            told.append(f"{words} {', '.join(names)}")
    return f", but for these: {', and '.join(told)}" if told else ""


def _told(chapter: Chapter, folder: Path) -> dict[str, str]:
    """A chapter's row in the table of all."""
    told = rows(folder / f"{chapter.name}.csv")
    where = f"{folder.name}/{chapter.name}"
    return {
        "chapter": f"[{chapter.title}]({where}.md)",
        "runs": f"{(told['status'] != 'missing').sum():,} of {chapter.runs:,}",
        "hours": f"{told['seconds_in_all'].sum() / 3600:.2f}",
        "at": told["commit"].iloc[0],
        "with figures": f"[PDF]({where}.pdf)",
        "every run": f"[CSV]({where}.csv)",
    }


def _ranks(part: str, chapters: Sequence[Chapter], folder: Path) -> Iterator[str]:
    """The critical-difference diagram over a part's problems, of the methods that have run on all of them."""
    told: dict[str, list[RunSummary]] = {}
    for chapter in chapters:
        own = runs(folder / f"{chapter.name}.csv")
        told.setdefault(chapter.column, []).extend(replace(run, board=chapter.column) for run in own)
    boards = tuple(Board(column, column, column, (), (), own[0].budget) for column, own in told.items())
    study = StudyFacts(boards, tuple(run for own in told.values() for run in own), {})
    for item in Registry().component(Report, "ranks").draw(pd.DataFrame(), study):
        if isinstance(item, Figure):
            path = folder / f"ranks-{part.replace(' ', '-')}.svg"
            path.write_bytes(saved(item, "svg"))
            yield from ("", f"![Ranks over problems]({folder.name}/{path.name})", "", item.caption)
        elif isinstance(item, Remark):
            yield from ("", item.text)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"Error: {error}") from error
