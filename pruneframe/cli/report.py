"""`pruneframe report`: the comparison as a PDF, with its figures and tables as files of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError
from ..spec import meant
from ..study.wanted import check_used
from . import options

if TYPE_CHECKING:
    from ..comparison.edition import Edition
    from ..registry import Registry
    from ..study.store import StudyFolder


@click.command("report", short_help="Typeset the comparison of one or several studies as a PDF.")
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    help="Where to write [default: comparison.pdf in the first study]; its parts go into a folder beside it.",
)
@click.option("--control", help="The method that others are tested against [default: the studies'; else all pairs].")
@click.option("--highlight", help="The method that figures draw strongest.")
@click.option(
    "--reports", "chosen", multiple=True, help="Which figures and tables, e.g. results,progress[over=seconds]."
)
@click.option("--format", "paper", type=click.Choice(["a4", "letter"]), default="a4", show_default=True, help="Paper.")
@click.option("--anonymous", is_flag=True, help="Leave out hardware and the study's hash.")
@click.option(
    "--template", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A Typst file of your own."
)
@click.option("--html", is_flag=True, help="Also write one page for a browser, with interactive fronts.")
@click.option(
    "--ioh",
    "curves",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write the curves over passes for IOHanalyzer into a new folder, and nothing else.",
)
@click.option("--trace", metavar="ID", help="List the runs behind a figure or table, and write nothing.")
@options.as_json
@options.plugins
def command(
    studies: tuple[Path, ...],
    output: Path | None,
    control: str | None,
    highlight: str | None,
    chosen: tuple[str, ...],
    paper: str,
    anonymous: bool,
    template: Path | None,
    html: bool,
    curves: Path | None,
    trace: str | None,
    as_json: bool,
    sources: tuple[str, ...],
) -> int:
    """Write the figures and tables of all STUDYs as one PDF; each also as a file for a paper."""
    from ..comparison.edition import Edition, specs, write
    from ..study.store import StudyFolder

    folders = [StudyFolder.existing(study) for study in studies]
    registry = options.registry(sources)
    if output is not None and output.suffix != ".pdf":
        raise InputError(f"-o must name a .pdf file, but got {str(output)!r}")
    edition = Edition(specs(registry, chosen), control, highlight, paper, anonymous, template, html)
    written_as = {"-o": output, "--html": html, "--template": template, "--format": paper != "a4"}
    if trace is not None:
        check_used(written_as | {"--ioh": curves}, "--trace writes nothing; leave one of them out")
        return _trace(folders, registry, edition, trace, as_json)
    if curves is not None:
        unused = written_as | {"--reports": chosen, "--highlight": highlight, "--anonymous": anonymous}
        check_used(unused | {"--control": control}, "--ioh writes curves and nothing else; leave one of them out")
        written, complaints = _curves(folders, registry, edition, curves), list[str]()
    else:
        written, complaints = write(folders, registry, output or folders[0].pdf, edition, options.warn)
    click.echo(json.dumps([str(path) for path in written]) if as_json else "\n".join(map(str, written)))
    return 1 if options.tell_damages(folders) or complaints else 0


def _curves(studies: Sequence[StudyFolder], registry: Registry, edition: Edition, folder: Path) -> list[Path]:
    """Write the curves of all finished runs; returns the folders of the methods."""
    from ..comparison.edition import told
    from ..comparison.ioh import write_ioh
    from ..study.table import long_table

    known = told(studies, registry, edition)
    try:
        return write_ioh(long_table(*studies), known, folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); choose another with --ioh") from error


def _trace(studies: Sequence[StudyFolder], registry: Registry, edition: Edition, wanted: str, as_json: bool) -> int:
    """Print the finished runs behind a figure or table."""
    from ..comparison.document import close
    from ..comparison.edition import composed, told
    from ..report import place
    from ..study.table import long_table

    known = told(studies, registry, edition)
    comparison, _ = composed(studies, registry, long_table(*studies), known, edition, options.warn)
    close(comparison)
    items = {item.id: item for item in comparison.items}
    item = items[meant("figure or table", wanted, items)]
    behind = [
        run
        for run in known.runs
        if run.done and item.board in ("", run.board) and (item.methods is None or run.method in item.methods)
    ]
    names = ("problem", "method", "instance", "seed", "hash", "folder")
    rows = [{name: getattr(run, name) for name in names} for run in behind]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        if not rows:
            click.echo(f"{item.id} shows no run")
        for run in behind:
            click.echo(f"{run.hash}  {run.method}  {place(run, behind)}  {run.folder}")
    return 0
