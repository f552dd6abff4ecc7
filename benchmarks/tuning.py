"""The defaults of all bundled methods: one command tunes each by as many trials, and checks them on other instances.

    python benchmarks/tuning.py FOLDER [--chapters weights,rivals] [--jobs N] [--output docs/tuning.md]

Each chapter is one `pruneframe tune` into FOLDER/CHAPTER, and for each of its methods one `pruneframe bench` of what
was found and of what was the default without it, on instances that no trial saw. A second call goes on with what is
there. With --output nothing is run, and what FOLDER has is printed into that file, behind its last heading of two #.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd
from pages import MACHINE, markdown, typed
from results import COMMITS, commit

from pruneframe.comparison.verdicts import Verdict, verdicts
from pruneframe.configuration.tuned import NAME, Tuned, TunedSettings
from pruneframe.errors import InputError
from pruneframe.study.facts import facts
from pruneframe.study.store import StudyFolder

HEADING = "## "  # what stands behind the last such line of a document is printed
TRIALS = 20
WHERE = ("--problems", "lenet-digits", "--seeds", "0", "--budget", "300")
TUNED_ON = ("--instances", "10-14")
CHECKED_ON = ("--instances", "15-24")
GLOBAL = "encoding=global-cut,scorer=reconstruction"
FOUND = (
    "Mean hypervolume on the search images over the instances, as the method was named and as it was tuned, what "
    "became of the trials, and the passes of all their runs:"
)
CHECKED = (
    "Hypervolume on the test images of other instances: what was found minus what the method had for a default without "
    "it, the mean over instances with the 95 % interval by bootstrap; A12 is the share of instances on which it is "
    "better, p of the signed ranks, two-sided:"
)


@dataclass(frozen=True)
class Chapter:
    """Methods that are tuned together: pairs of what each begins with, and what it had for a default without it.

    A method begins with its published form. Settings in brackets stay: they are what makes it the method that it is, or
    do nothing beside the others.
    """

    name: str
    title: str
    methods: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...] = ()

    def tune(self) -> list[str]:
        """What is typed to tune them."""
        trials = ("--trials", str(TRIALS), "--output", self.name)
        return ["tune", ",".join(asked for asked, _ in self.methods), *WHERE, *TUNED_ON, *self.arguments, *trials]

    def check(self, one: Tuned) -> list[str]:
        """What is typed to compare what was found for a method with what it had."""
        methods = f"{one.spec},{self.before(one)}"
        output = ("--control", one.spec, "--output", self.study(one))
        return ["bench", "--methods", methods, *WHERE, *CHECKED_ON, *self.arguments, *output]

    def study(self, one: Tuned) -> str:
        """The folder of that comparison."""
        return f"{self.name}-{_name(one.spec)}"

    def before(self, one: Tuned) -> str:
        """What a method had for a default."""
        return {_name(asked): before for asked, before in self.methods}[_name(one.asked)]

    def changed(self, one: Tuned) -> bool:
        """Whether anything else was found."""
        return one.spec != self.before(one)


def _name(spec: str) -> str:
    """A method's, without its settings."""
    return spec.partition("[")[0]


CHAPTERS = (
    Chapter(
        "weights",
        "Single weights",
        (
            ("nsga2[preset=textbook,population=none]", f"nsga2[preset=textbook,{GLOBAL}]"),
            (
                "moead[preset=textbook,population=none]",
                f"moead[preset=textbook,{GLOBAL},variation=sbx-pm[mutation=0.3]]",
            ),
            (
                "emo-dir[preset=paper,cuts=resolution,crossing=true,joint=ranking]",
                "emo-dir[preset=paper,inheriting=true]",
            ),
            ("weighted-ga[preset=sparsity]", "weighted-ga[preset=sparsity]"),
            ("hierarchical", "hierarchical"),
        ),
    ),
    Chapter(
        "filters",
        "Filters",
        (
            (
                "hamp[preset=paper,portfolio=true,surrogate=true,learning_rate=0.01]",
                "hamp[preset=paper,scorer=reconstruction,screening=8]",
            ),
            ("netadapt[learning_rate=0.01]", "netadapt"),
        ),
        ("--units", "filter", "--objectives", "error,params,latency", "--target", "analytic"),
    ),
    Chapter(
        "rivals",
        "Rivals on single weights",
        (
            *((f"{name}[preset=paper]", name) for name in ("s-nsga2", "pm-moea", "evopress", "nndrea")),
            ("ts-sparse-ea[preset=paper,order=score]", "ts-sparse-ea"),  # no budget pays for each weight by itself
            ("iterative-magnitude[preset=paper]", "iterative-magnitude"),
        ),
    ),
    Chapter(
        "rivals-filters",
        "Rivals on filters",
        tuple((f"{name}[preset=paper]", name) for name in ("sparse-ea", "moea-psl", "fast-nas", "halp")),
        ("--units", "filter", "--objectives", "error,params,latency", "--target", "analytic"),
    ),
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--chapters", help="Which of them are run, separated by commas [default: all].")
@click.option("--jobs", type=click.IntRange(1), help="Runs at the same time.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Print into this file, and run nothing.",
)
def main(folder: Path, chapters: str | None, jobs: int | None, output: Path | None) -> None:
    """Run what is missing, then print what was found and how it compares."""
    names = chapters.split(",") if chapters else [chapter.name for chapter in CHAPTERS]
    if unknown := set(names) - {chapter.name for chapter in CHAPTERS}:
        raise click.BadParameter(f"no chapter is named {sorted(unknown)[0]!r}", param_hint="--chapters")
    if output is None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / COMMITS).open("a") as file:
            file.write(f"{commit()}\n")
        for chapter in (chapter for chapter in CHAPTERS if chapter.name in names):
            _run(chapter.tune(), folder, jobs)
            for one in _found(chapter, folder):
                if chapter.changed(one):
                    _run(chapter.check(one), folder, jobs)
    text = "\n".join(_printed(folder))
    if output is None:
        click.echo(text)
        return
    before, heading, rest = output.read_text().rpartition(f"\n{HEADING}")
    output.write_text("".join((before, heading, rest.splitlines()[0], "\n\n", text, "\n")))


def _run(words: list[str], folder: Path, jobs: int | None) -> None:
    """One command, in the folder of all studies."""
    command = [str(Path(sys.executable).with_name("pruneframe")), *words, *(["--jobs", str(jobs)] if jobs else [])]
    code = subprocess.run(command, cwd=folder, check=False).returncode
    if code:
        raise SystemExit(code)


def _found(chapter: Chapter, folder: Path) -> tuple[Tuned, ...]:
    """What the trials found; nothing where they have not ended."""
    path = folder / chapter.name / NAME
    return TunedSettings.read(path).methods if path.exists() else ()


def _printed(folder: Path) -> Iterator[str]:
    """Markdown: of each chapter the commands, the machine, what was found, and how it compares."""
    commits = (folder / COMMITS).read_text().split("\n") if (folder / COMMITS).exists() else []
    told = ", ".join(dict.fromkeys(filter(None, commits))) or "no known commit"
    yield f"Printed by `python benchmarks/tuning.py`; runs at {told}. Nothing is corrected by hand."
    for chapter in CHAPTERS:
        methods = _found(chapter, folder)
        if not methods:
            yield from ("", f"{chapter.title}: not run yet.")
            continue
        checked = {one.asked: _verdict(chapter, one, folder) for one in methods if chapter.changed(one)}
        commands = [chapter.tune(), *(chapter.check(one) for one in methods if one.asked in checked)]
        yield from ("", f"### {chapter.title}", "", "```", *(f"pruneframe {typed(words)}" for words in commands), "```")
        yield from ("", _machine(StudyFolder.existing(folder / chapter.name)), "", FOUND, "")
        yield from markdown(pd.DataFrame([_row(one) for one in methods]), frozenset())
        yield from ("", CHECKED, "")
        rows = [_compared(chapter, one, checked.get(one.asked)) for one in methods]
        yield from markdown(pd.DataFrame(rows), frozenset())


def _machine(study: StudyFolder) -> str:
    """Where it was run last."""
    machine = study.settings["environments"][-1]
    return ", ".join(f"{name} {machine[name]}" for name in MACHINE if name in machine) + "."


def _row(one: Tuned) -> dict[str, str]:
    """Of the table of trials."""
    return {
        "method": f"`{one.asked}`",
        "as named": f"{one.default:.4f}",
        "tuned": f"{one.found:.4f}",
        "trials": f"{one.trials}, {one.stopped} stopped, {one.failed} failed",
        "passes": f"{one.passes:,.0f}",
        "chosen": f"`{one.spec}`",
    }


def _verdict(chapter: Chapter, one: Tuned, folder: Path) -> Verdict | None:
    """The test of what was found against what the method had; None where it has not been run."""
    path = folder / chapter.study(one)
    if not path.exists():
        return None
    known = facts(StudyFolder.existing(path))
    return next(
        (found for board in known.boards for found in verdicts(known.done(board), one.spec, "hypervolume")), None
    )


def _compared(chapter: Chapter, one: Tuned, told: Verdict | None) -> dict[str, str]:
    """Of the table of comparisons."""
    names = {"method": f"`{_name(one.asked)}`", "without the trials": f"`{chapter.before(one)}`"}
    if told is None:
        said = "not compared yet" if chapter.changed(one) else "the same"
        return names | dict.fromkeys(("difference", "A12", "p"), "") | {"tuned is": said}
    low, high = told.interval or (float("nan"), float("nan"))
    return names | {
        "difference": f"{told.gap:+.4f} [{low:+.4f}, {high:+.4f}]",
        "A12": f"{told.found.a12:.2f}",
        "p": f"{told.found.alone:.4f}",
        "tuned is": told.says(one.spec),
    }


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"Error: {error}") from error
