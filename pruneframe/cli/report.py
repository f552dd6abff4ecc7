"""`pruneframe report`: the comparison as a PDF, with its figures and tables as files of their own."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, NothingSelected, unknown
from . import options

if TYPE_CHECKING:
    from ..comparison.document import Comparison
    from ..component import Claim
    from ..registry import Registry
    from ..report import StudyFacts
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
    from ..study.store import StudyFolder

    folders = [StudyFolder.existing(study) for study in studies]
    registry = options.registry(sources)
    if output is not None and output.suffix != ".pdf":
        raise InputError(f"-o must name a .pdf file, but got {str(output)!r}")
    edition = Edition(_specs(registry, chosen), control, highlight, paper, anonymous, template, html)
    if trace is not None:
        return _trace(folders, registry, edition, trace, as_json)
    if curves is not None:
        written, complaints = _curves(folders, registry, edition, curves), list[str]()
    else:
        written, complaints = write(folders, registry, output or folders[0].pdf, edition)
    click.echo(json.dumps([str(path) for path in written]) if as_json else "\n".join(map(str, written)))
    return 1 if complaints else 0


@dataclass(frozen=True)
class Edition:
    """How a comparison is drawn and printed: by which reports, as specs, and as `pruneframe report` says."""

    reports: tuple[str, ...]
    control: str | None = None
    highlight: str | None = None
    paper: str = "a4"
    anonymous: bool = False
    template: Path | None = None
    html: bool = False

    @property
    def text(self) -> str:
        """All of it, the template with what it says."""
        return repr(self) + (self.template.read_text() if self.template else "")


def _specs(registry: Registry, chosen: Sequence[str]) -> tuple[str, ...]:
    """The reports that are asked for, or all; raises InputError for one that there is not."""
    from ..spec import names

    specs = names(chosen) or registry.names("report")
    for spec in specs:
        registry.check("report", spec)
    return tuple(specs)


def write(
    studies: Sequence[StudyFolder], registry: Registry, output: Path, edition: Edition | None = None
) -> tuple[list[Path], list[str]]:
    """Typeset the comparison, and write its parts beside it; returns what lies there then, and reports' complaints.

    What has been made of the same, and is still as it was written, is left as it is.
    """
    from ..comparison.receipt import NAME, Receipt, made_of, stands

    edition = edition or Edition(_specs(registry, ()))
    parts = output.with_name(f"{output.stem}-parts")
    wanted = [output, parts, *([output.with_suffix(".html")] if edition.html else [])]
    plugins = sorted(f"{plugin.distribution} {plugin.name} {plugin.stamp}" for plugin in registry.plugins)
    date = os.environ.get("SOURCE_DATE_EPOCH", "")
    digest = made_of(*(study.digest for study in studies), *plugins, date, edition.text)
    whole = [path for path in wanted if path != parts]
    if stands(parts, digest, whole):
        return wanted, []
    try:
        files, complaints = _made(studies, registry, output, edition, parts)
        if complaints:  # are told again next time
            (parts / NAME).unlink(missing_ok=True)
        else:
            Receipt.of(digest, parts, [*whole, *files]).write(parts)
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another place with -o") from error
    return wanted, complaints


def _made(
    studies: Sequence[StudyFolder], registry: Registry, output: Path, edition: Edition, parts: Path
) -> tuple[list[Path], list[str]]:
    """Write the comparison; returns the files of its parts, and what reports that failed have to say."""
    from ..comparison.document import close, typeset, write_parts
    from ..comparison.page import write_page
    from ..study.table import long_table

    known, table = _known(studies, registry, edition), long_table(*studies)
    comparison, complaints = _composed(studies, registry, table, known, edition)
    try:
        typeset(comparison, output, edition.paper, edition.template)
        files = write_parts(comparison, parts)
        if edition.html:
            write_page(comparison, known, table, output.with_suffix(".html"), edition.anonymous)
    finally:
        close(comparison)
    return files, complaints


def _known(studies: Sequence[StudyFolder], registry: Registry, edition: Edition) -> StudyFacts:
    """What reports are told, with what papers claim of its methods, or of its problems."""
    from ..comparison.literature import about, literature
    from ..study.facts import facts

    known = facts(*studies)
    if not known.boards:
        raise NothingSelected(f"{studies[0].path} has no finished run yet; run bench first")
    if edition.highlight not in (None, *known.methods):
        raise InputError(f"--highlight: {unknown('method', str(edition.highlight), known.methods)}")
    own, problems = {_base(method) for method in known.methods}, {board.problem for board in known.boards}
    claims = about((*literature(), *_own(registry)), own, problems)
    return replace(known.beside(edition.control), claims=claims, highlight=edition.highlight)


def _own(registry: Registry) -> Iterator[Claim]:
    """What methods say themselves that their papers report."""
    for name in registry.names("method"):
        yield from (replace(claim, method=name) for claim in registry.described("method", name)[0].claims)


def _base(method: str) -> str:
    """The name of a method without its settings and versions."""
    return method.partition(" (")[0].partition("[")[0]


def _bibtex(registry: Registry, study: StudyFacts) -> str:
    """The entries of all methods, problems and claims of a study, each once."""
    methods = {_base(method) for method in study.methods} | {claim.method for claim in study.claims}
    named = [("method", name) for name in methods]
    named += [("problem", board.problem) for board in study.boards]
    texts = [registry.described(kind, name)[0].bibtex for kind, name in named if name in registry.names(kind)]
    entries = {inspect.cleandoc(entry) for text in texts for entry in re.findall(r"^ *@.*?^ *}$", text, re.M | re.S)}
    return "".join(f"{entry}\n\n" for entry in sorted(entries))


def _composed(
    studies: Sequence[StudyFolder], registry: Registry, table: Any, known: StudyFacts, edition: Edition
) -> tuple[Comparison, list[str]]:
    """The comparison, and what reports that fail have to say, which is also told at once."""
    from ..comparison.document import compose
    from ..report import Report

    complaints: list[str] = []

    def complain(line: str) -> None:
        click.echo(f"Warning: {line}", err=True)
        complaints.append(line)

    reports = [registry.component(Report, spec) for spec in edition.reports]
    settings, bibtex = [study.settings for study in studies], _bibtex(registry, known)
    return compose(reports, table, known, settings, complain, edition.anonymous, bibtex), complaints


def _curves(studies: Sequence[StudyFolder], registry: Registry, edition: Edition, folder: Path) -> list[Path]:
    """Write the curves of all finished runs; returns the folders of the methods."""
    from ..comparison.ioh import write_ioh
    from ..study.table import long_table

    known = _known(studies, registry, edition)
    try:
        return write_ioh(long_table(*studies), known, folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); choose another with --ioh") from error


def _trace(studies: Sequence[StudyFolder], registry: Registry, edition: Edition, wanted: str, as_json: bool) -> int:
    """Print the finished runs behind a figure or table."""
    from ..comparison.document import close
    from ..report import place
    from ..study.table import long_table

    known = _known(studies, registry, edition)
    comparison, _ = _composed(studies, registry, long_table(*studies), known, edition)
    close(comparison)
    items = {item.id: item for item in comparison.items}
    if wanted not in items:
        raise InputError(f"--trace: {unknown('figure or table', wanted, items)}")
    item = items[wanted]
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
            click.echo(f"{wanted} shows no run")
        for run in behind:
            click.echo(f"{run.hash}  {run.method}  {place(run, behind)}  {run.folder}")
    return 0
