"""All measured tables of the documentation: one command runs what is missing and prints docs/results.md.

    python benchmarks/results.py FOLDER [--chapters digits,resnet20] [--jobs N] [--output docs/results.md]

Each chapter is one `pruneframe bench` into FOLDER/CHAPTER, which a second call goes on with; hours are normal. With
--output nothing is run: the chapters that FOLDER has are printed into that file, as they stand and uncorrected.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd

from pruneframe.comparison.document import close, compose
from pruneframe.errors import InputError
from pruneframe.item import Remark, Table
from pruneframe.registry import Registry
from pruneframe.report import Report
from pruneframe.study.facts import facts
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table

COMMITS = "commits.txt"  # of a folder: what its runs were computed at
MACHINE = ("platform", "machine", "processor", "kernel", "cores", "python", "torch", "numpy")  # told of a chapter's
REPORTS = ("results", "comparisons", "variances", "reductions", "running-times", "seconds")
SCORERS = ("magnitude", "lamp", "taylor", "snip", "fisher", "reconstruction", "random")
SWEEPS = tuple(f"magnitude[scorer={scorer}]" for scorer in SCORERS)
PIECES = ("cuts", "tuned", "factors", "masks", "upper", "edge")  # of `hierarchical`; the others get what one does not
ABLATIONS = (
    "hierarchical",
    *(f"hierarchical[sources={'+'.join(one for one in PIECES if one != piece)}]" for piece in PIECES[1:]),
    *(f"hierarchical[sources={piece}]" for piece in PIECES[:2]),
    *(f"hierarchical[scorers={scorers}]" for scorers in ("magnitude", "magnitude+lamp", "reconstruction")),
)
TEXTBOOK = ("nsga2[preset=textbook]", "moead[preset=textbook]", "hierarchical[preset=paper]", "random")


@dataclass(frozen=True)
class Chapter:
    """One study: `bench` with these methods and further arguments; the first method is the control."""

    name: str
    title: str
    methods: tuple[str, ...]
    arguments: tuple[str, ...]
    reports: tuple[str, ...] = REPORTS

    def command(self, folder: Path | str) -> list[str]:
        """What is typed."""
        methods = ",".join(self.methods)
        return ["bench", "--methods", methods, *self.arguments, "--control", self.methods[0], "--output", str(folder)]


CHAPTERS = (
    Chapter(
        "digits",
        "Weights of a small LeNet on digits, ten networks",
        ("hierarchical", "nsga2", "moead", "emo-dir", "weighted-ga", *SWEEPS, *TEXTBOOK),
        ("--problems", "lenet-digits", "--instances", "0-9", "--seeds", "0-1", "--budget", "300"),
    ),
    Chapter(
        "digits-latency",
        "Filters of a small LeNet on digits, with latency by formula, ten networks",
        ("hamp", "hierarchical", "netadapt", "netadapt[scorer=reconstruction]", "nsga2", "moead", "emo-dir", "random"),
        (
            *("--problems", "lenet-digits", "--instances", "0-9", "--seeds", "0-1", "--budget", "300"),
            *("--units", "filter", "--objectives", "error,params,latency", "--target", "analytic"),
        ),
    ),
    Chapter(
        "mnist",
        "Weights of LeNet-5 on MNIST",
        ("hierarchical", "nsga2", "moead", "emo-dir", "weighted-ga", *SWEEPS[:2], SWEEPS[5], "random"),
        ("--problems", "lenet-mnist", "--seeds", "0-4", "--budget", "300"),
    ),
    Chapter(
        "resnet20",
        "Weights of ResNet-20 on CIFAR-10, five splits",
        ("hierarchical", "nsga2", "moead", "emo-dir", *SWEEPS[:2], SWEEPS[5], *TEXTBOOK),
        (
            *("--problems", "resnet20-cifar10", "--instances", "0-4", "--seeds", "0-1"),
            *("--budget", "300", "--search-images", "1000"),
        ),
    ),
    Chapter(
        "ablation-digits",
        "What each piece of `hierarchical` adds, at equal budgets, on ten small LeNets",
        ABLATIONS,
        ("--problems", "lenet-digits", "--instances", "0-9", "--seeds", "0-1", "--budget", "300"),
        REPORTS[:2],
    ),
    Chapter(
        "ablation-resnet20",
        "What each piece of `hierarchical` adds, at equal budgets, on ResNet-20",
        ABLATIONS,
        (
            *("--problems", "resnet20-cifar10", "--instances", "0-4", "--seeds", "0"),
            *("--budget", "100", "--search-images", "1000"),
        ),
        REPORTS[:2],
    ),
    Chapter(
        "resnet56",
        "Weights of ResNet-56 on CIFAR-10",
        ("hierarchical", "magnitude", "magnitude[scorer=reconstruction]"),
        ("--problems", "resnet56-cifar10", "--seeds", "0-1", "--budget", "1000"),
    ),
    Chapter(
        "resnet56-shifted",
        "Weights of ResNet-56 on CIFAR-10, with batch norm that follows",
        ("hierarchical", "magnitude", "magnitude[scorer=reconstruction]"),
        ("--problems", "resnet56-cifar10", "--seeds", "0-1", "--budget", "1000", "--batch-norm", "shifted"),
    ),
)


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
    text = "\n".join(_book([chapter for chapter in chosen if (folder / chapter.name).is_dir()], folder))
    if output is None:
        click.echo(text)
    else:
        output.write_text(text)


def _run(chapter: Chapter, folder: Path, jobs: int | None) -> None:
    """One chapter's study; a run that fails is told, and the next chapter begins."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / COMMITS).open("a") as file:
        file.write(f"{_commit()}\n")
    command = [*chapter.command(folder / chapter.name), *(["--jobs", str(jobs)] if jobs else [])]
    code = subprocess.run([str(Path(sys.executable).with_name("pruneframe")), *command], check=False).returncode
    if code not in (0, 1):
        raise SystemExit(code)


def _commit() -> str:
    """The commit of this checkout, and whether anything in it has changed since."""
    here = Path(__file__).parent
    told = [
        subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False).stdout.strip()
        for arguments in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    ]
    return (told[0] or "unknown") + (" with changes" if told[1] else "")


def _book(chapters: Sequence[Chapter], folder: Path) -> Iterator[str]:
    """The lines of docs/results.md."""
    commits = (folder / COMMITS).read_text().split("\n") if (folder / COMMITS).exists() else []
    yield from ("# Results", "")
    told = ", ".join(dict.fromkeys(filter(None, commits))) or "no known commit"
    yield f"Printed by `python benchmarks/results.py`; runs at {told}. Nothing is corrected by hand."
    if lacking := [chapter.name for chapter in CHAPTERS if chapter not in chapters]:
        yield f"Not run yet: {', '.join(lacking)}."
    for chapter in chapters:
        study = StudyFolder.existing(folder / chapter.name)
        yield from ("", f"## {chapter.title}", "", "```", f"pruneframe {_typed(chapter)}", "```", "")
        machine = study.settings["environments"][-1]
        yield ", ".join(f"{name} {machine[name]}" for name in MACHINE if name in machine) + "."
        yield from _tables(folder / chapter.name, chapter.reports)
    yield ""


def _typed(chapter: Chapter) -> str:
    """A chapter's command as a shell takes it."""
    return " ".join(f"'{word}'" if "[" in word else word for word in chapter.command(chapter.name))


def _tables(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """How far a study is, and what its reports print."""
    study, registry = StudyFolder.existing(folder), Registry()
    known = facts(study)
    counts = Counter(run.status for run in known.runs)
    yield from ("", ", ".join(f"{count} runs {status}" for status, count in sorted(counts.items())) + ".")
    if not known.boards:
        return
    reports = [registry.component(Report, name) for name in names]
    complaints: list[str] = []
    comparison = compose(reports, long_table(study), known, [study.settings], complaints.append)
    close(comparison)
    for item in comparison.items:
        if isinstance(item, Table):
            yield from ("", item.caption, "", *_markdown(item.frame, item.best))
    for remark in (item for section in comparison.sections for item in section.items if isinstance(item, Remark)):
        yield from ("", remark.text)
    yield from complaints


def _markdown(frame: pd.DataFrame, best: frozenset[tuple[int, str]]) -> Iterator[str]:
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
