"""`pruneframe report`: the comparison as a PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError, NothingSelected
from . import options

if TYPE_CHECKING:
    from ..registry import Registry
    from ..store import StudyFolder


@click.command("report", short_help="Typeset a study's comparison as a PDF.")
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    help="Where to write [default: comparison.pdf in the study].",
)
@options.plugins
def command(study: Path, output: Path | None, sources: tuple[str, ...]) -> int:
    """Write STUDY's figures and tables as one PDF."""
    from ..store import StudyFolder

    folder = StudyFolder.existing(study)
    target = output or folder.pdf
    write(folder, options.registry(sources), target)
    click.echo(str(target))
    return 0


def _warn(line: str) -> None:
    click.echo(f"Warning: {line}", err=True)


def write(study: StudyFolder, registry: Registry, output: Path) -> None:
    """Typeset the comparison."""
    from typing import cast

    from ..document import build
    from ..readout import facts, long_table
    from ..report import Report

    known = facts(study)
    if not known.boards:
        raise NothingSelected(f"{study.path} has no finished run yet; run bench first")
    reports = [cast(Report, registry.component("report", name)) for name in registry.names("report")]
    try:
        build(reports, long_table(study), known, study.settings, output, _warn)
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another place with -o") from error
