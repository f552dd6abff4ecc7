"""`pruneframe summary`: the figures of a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..study.wanted import check_used
from . import options

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from ..study.store import StudyFolder


PLAIN_WIDTH = 160  # where no terminal says how wide it is


@click.command("summary", short_help="Print a study's figures.")
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--control", help="The method that others are tested against [default: the study's; else all pairs].")
@options.as_json
def command(study: Path, control: str | None, as_json: bool) -> int:
    """Print one line per method of every problem in STUDY; with --json one object per run."""
    from ..study.facts import summaries
    from ..study.store import StudyFolder

    if as_json:
        check_used({"--control": control}, "--json prints runs one by one, and no verdict; leave one of them out")
    folder = StudyFolder.existing(study)
    if as_json:
        click.echo(json.dumps([run.json() for run in summaries(folder)], indent=2))
    else:
        show(folder, control)
    return 1 if options.tell_damages([folder]) else 0


def _table(title: str, frame: pd.DataFrame) -> Table:
    """Some rows as a terminal shows them, words on the left and numbers on the right."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in frame.columns:
        table.add_column(column, justify="left" if column in ("method", "verdict") else "right", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(str(value).replace("[", r"\[") for value in row))
    return table


def show(study: StudyFolder, control: str | None = None) -> None:
    """Print the table of results, problem by problem, what is claimed, and what is not finished."""
    from rich.console import Console

    from ..comparison.anytime import curves_of
    from ..comparison.effort import counted
    from ..comparison.races import races, told
    from ..comparison.summary import after_training, results
    from ..comparison.verdicts import chosen, holds_for
    from ..report import place
    from ..study.facts import overview
    from ..study.table import evaluations, long_table

    known, asked = overview(study).beside(control), evaluations(study)
    console = Console() if Console().is_terminal else Console(width=PLAIN_WIDTH)
    for board in known.boards:
        runs = known.done(board)
        frame = results(runs, known.control)
        console.print(_table(board.label, frame))
        for epochs in sorted({run.finetuned for run in runs if run.finetuned}):
            own = [run for run in runs if run.finetuned == epochs]
            title = f"test accuracy in per cent, as searched and after {counted(epochs, 'epoch')} of fine-tuning"
            console.print(_table(title, after_training(long_table(study), board, own)))
        if "verdict" in frame:
            console.print(f"{chosen(known, list(frame.method))} {holds_for(board, runs)}", markup=False)
            console.print(told(races(runs, curves_of(asked, board, runs), known.control)), markup=False)
    for run in known.runs:
        if not run.done:
            reason = f": {run.reason}" if run.reason else ""
            console.print(
                f"{run.status}: {run.method} on {place(run, known.runs)}{reason}",
                markup=False,
                soft_wrap=True,
            )
    if not known.runs:
        console.print("no runs yet")
