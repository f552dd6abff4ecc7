"""`pruneframe tabulate`: evaluate every mask of a small problem, and write the table that answers in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from . import options


@click.command("tabulate", short_help="Evaluate every mask of a small problem.")
@click.argument("problem")
@click.option(
    "--instances", multiple=True, default=["0"], show_default=True, help="Which of its instances: 0-4, 1,5,9."
)
@click.option(
    "--into",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the tables and their SHA-256s into FOLDER, as a problem ships them.",
    metavar="FOLDER",
)
@options.data
@options.plugins
def command(problem: str, instances: tuple[str, ...], into: Path, sources: tuple[str, ...]) -> int:
    """Evaluate all masks of PROBLEM, of 16 units at most, on its search and test images, and write what came out.

    A problem that has a table is evaluated anew, and it is said whether the table has the same outcomes.
    """
    from ..model.shipped import sums
    from ..search.enumeration import enumerated
    from ..search.shelf import Shelf
    from ..search.workbench import Workbench
    from ..spec import numbers

    registry = options.registry(sources)
    for number in numbers(instances, "instances"):
        found = registry.problem(problem)
        known = {} if found.tabular is None else sums(found.tabular.folder)
        loaded = replace(found, tabular=None, instance=number).load(registry.component, options.say)
        outcomes = enumerated(Workbench(loaded, "cpu", Shelf(None)), _teller(loaded.problem.called))
        path = into / f"{number}.npz"
        outcomes.write(path)
        digest = sums(into)[path.name]
        same = "the same bytes as are shipped" if digest == known.get(path.name) else "other bytes than are shipped"
        told = f"{path}: {outcomes.masks} masks, {path.stat().st_size} bytes, SHA-256 {digest}"
        click.echo(told + (f", {same}" if path.name in known else ""))
    return 0


def _teller(called: str) -> Callable[[float], None]:
    """Says every tenth of what is done."""
    told = 0

    def tell(share: float) -> None:
        nonlocal told
        if share * 10 >= told + 1:
            told = int(share * 10)
            options.say(f"{called}: {told * 10} % of all masks")

    return tell
