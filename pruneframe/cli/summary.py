"""`pruneframe summary`: the figures of a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from ..study.store import StudyFolder


PLAIN_WIDTH = 160  # where no terminal says how wide it is


@click.command("summary", short_help="Print a study's figures.")
@click.argument("study", type=click.Path(path_type=Path))
@options.as_json
def command(study: Path, as_json: bool) -> int:
    """Print one line per method of every problem in STUDY; with --json one object per run."""
    from ..study.facts import summaries
    from ..study.store import StudyFolder

    folder = StudyFolder.existing(study)
    if as_json:
        click.echo(json.dumps([run.json() for run in summaries(folder)], indent=2))
    else:
        show(folder)
    return 0


def show(study: StudyFolder) -> None:
    """Print the table of results, problem by problem, and what is not finished."""
    from rich.console import Console
    from rich.table import Table

    from ..comparison.summary import results
    from ..report import place
    from ..study.facts import overview

    known = overview(study)
    console = Console() if Console().is_terminal else Console(width=PLAIN_WIDTH)
    for board in known.boards:
        frame = results(known.done(board))
        table = Table(title=board.label, title_justify="left")
        for column in frame.columns:
            table.add_column(column, justify="left" if column == "method" else "right", overflow="fold")
        for row in frame.itertuples(index=False):
            table.add_row(*(str(value).replace("[", r"\[") for value in row))
        console.print(table)
    for run in known.runs:
        if not run.done:
            reason = f": {run.reason}" if run.reason else ""
            console.print(
                f"{run.status}: {run.method} on {place(run, known.runs)}{reason}",
                markup=False,
            )
    if not known.runs:
        console.print("no runs yet")
