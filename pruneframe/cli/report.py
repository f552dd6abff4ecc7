"""`pruneframe report`: the comparison as a PDF, with its figures and tables as files of their own."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, NothingSelected, unknown
from . import options

if TYPE_CHECKING:
    from ..comparison.document import Comparison
    from ..registry import Registry
    from ..report import Report, StudyFacts
    from ..study.store import StudyFolder


@click.command("report", short_help="Typeset the comparison of one or several studies as a PDF.")
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    help="Where to write [default: comparison.pdf in the first study]; its parts go into a folder beside it.",
)
@click.option("--control", help="The method that others are tested against [default: the best on each problem].")
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
    known = _known(folders, registry, control, highlight)
    reports = _reports(registry, chosen)
    if trace is not None:
        return _trace(folders, known, reports, trace, as_json)
    target = output or folders[0].pdf
    written = write(folders, registry, target, known, reports, paper, anonymous, template, html)
    click.echo(json.dumps([str(path) for path in written]) if as_json else "\n".join(map(str, written)))
    return 0


def _known(
    studies: Sequence[StudyFolder], registry: Registry, control: str | None = None, highlight: str | None = None
) -> StudyFacts:
    """What reports are told, with what papers claim of its methods, or of its problems."""
    from ..study.facts import facts

    known = facts(*studies)
    if not known.boards:
        raise NothingSelected(f"{studies[0].path} has no finished run yet; run bench first")
    for option, name in (("control", control), ("highlight", highlight)):
        if name is not None and name not in known.methods:
            raise InputError(f"--{option}: {unknown('method', name, known.methods)}")
    own, problems = {_base(method) for method in known.methods}, {board.problem for board in known.boards}
    claims = {name: registry.entry("method", name).value.claims for name in registry.names("method")}
    told = {
        name: tuple(claim for claim in made if name in own or problems & {*claim.problems})
        for name, made in claims.items()
    }
    return replace(known, claims={n: c for n, c in told.items() if c}, control=control, highlight=highlight)


def _base(method: str) -> str:
    """The name of a method without its settings and versions."""
    return method.partition(" (")[0].partition("[")[0]


def _reports(registry: Registry, chosen: Sequence[str]) -> list[Report]:

    from ..report import Report
    from ..spec import names

    specs = names(chosen) or registry.names("report")
    return [registry.component(Report, spec) for spec in specs]


def _bibtex(registry: Registry, study: StudyFacts) -> str:
    """The entries of all methods, problems and claims of a study, each once."""
    named = [("method", name) for name in {_base(method) for method in study.methods} | study.claims.keys()]
    named += [("problem", board.problem) for board in study.boards]
    texts = [registry.entry(kind, name).value.bibtex for kind, name in named if name in registry.names(kind)]
    entries = {inspect.cleandoc(entry) for text in texts for entry in re.findall(r"^ *@.*?^ *}$", text, re.M | re.S)}
    return "".join(f"{entry}\n\n" for entry in sorted(entries))


def _warn(line: str) -> None:
    click.echo(f"Warning: {line}", err=True)


def write(
    studies: Sequence[StudyFolder],
    registry: Registry,
    output: Path,
    known: StudyFacts | None = None,
    reports: Sequence[Report] | None = None,
    paper: str = "a4",
    anonymous: bool = False,
    template: Path | None = None,
    html: bool = False,
) -> list[Path]:
    """Typeset the comparison, and write its parts beside it; returns what was written."""
    from ..comparison.document import close, typeset, write_parts
    from ..comparison.page import write_page
    from ..study.table import long_table

    known = known or _known(studies, registry)
    table, chosen = long_table(*studies), reports or _reports(registry, ())
    comparison = _composed(studies, table, known, chosen, anonymous, _bibtex(registry, known))
    parts = output.with_name(f"{output.stem}-parts")
    try:
        typeset(comparison, output, paper, template)
        write_parts(comparison, parts)
        written = [output, parts]
        if html:
            written.append(output.with_suffix(".html"))
            write_page(comparison, known, table, written[-1], anonymous)
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another place with -o") from error
    finally:
        close(comparison)
    return written


def _composed(
    studies: Sequence[StudyFolder],
    table: Any,
    known: StudyFacts,
    reports: Sequence[Report],
    anonymous: bool = False,
    bibtex: str = "",
) -> Comparison:
    from ..comparison.document import compose

    settings = [study.settings for study in studies]
    return compose(reports, table, known, settings, _warn, anonymous, bibtex)


def _trace(
    studies: Sequence[StudyFolder], known: StudyFacts, reports: Sequence[Report], wanted: str, as_json: bool
) -> int:
    """Print the finished runs behind a figure or table."""
    from ..comparison.document import close
    from ..study.table import long_table

    comparison = _composed(studies, long_table(*studies), known, reports)
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
    rows = [{name: getattr(run, name) for name in ("problem", "method", "seed", "hash", "folder")} for run in behind]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        if not rows:
            click.echo(f"{wanted} shows no run")
        for row in rows:
            click.echo(f"{row['hash']}  {row['problem']}  {row['method']}  seed {row['seed']}  {row['folder']}")
    return 0
