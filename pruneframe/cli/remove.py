"""`pruneframe remove`: runs that were a mistake, out of a study."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError
from . import options

if TYPE_CHECKING:
    from ..registry import Registry
    from ..study.folder import RunFolder
    from ..study.selection import Selection
    from ..study.store import StudyFolder


@click.command("remove", short_help="Take runs out of a study.")
@click.argument("study", type=click.Path(path_type=Path))
@options.selection
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.plugins
def command(study: Path, selection: Selection, yes: bool, sources: tuple[str, ...]) -> int:
    """Take runs out of STUDY, finished or not, after asking; what is left is compared anew.

    Nothing outside the study is touched. A command that asks for the runs again carries them out again.
    """
    from ..study.removal import remove
    from ..study.selection import Selection
    from ..study.store import StudyFolder

    if selection == Selection():
        raise InputError("at least one of --method, --problem, --instance, --seed and --run must be given")
    folder, registry = StudyFolder.existing(study), options.registry(sources)
    runs = selection.runs(folder, begun=True)
    if not _agreed(runs, study, yes):
        return 0
    remove(folder, runs)
    click.echo(f"removed {len(runs)} run{'s' * (len(runs) != 1)}")
    return 1 if _compared_anew(folder, registry) else 0


def _agreed(runs: list[RunFolder], study: Path, yes: bool) -> bool:
    """Say what would go, and ask; raises InputError where nobody is there to be asked."""
    for run in runs:
        identity = run.identity
        place = f"{identity['problem']}, instance {identity['instance']}, seed {identity['seed']}"
        options.say(f"{identity['method']} on {place}: {'done' if run.finished else 'not finished'}, {run.path}")
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputError("--yes must be given where nobody can be asked; nothing was removed")
    return click.confirm(f"Remove {len(runs)} of the runs in {study}, for ever?", default=False, err=True)


def _compared_anew(study: StudyFolder, registry: Registry) -> list[str]:
    """Typeset again what bench and report wrote into the study, or take it away where nothing is left to compare."""
    from ..comparison.edition import Edition, specs, write
    from ..study.facts import overview

    page = study.pdf.with_suffix(".html")
    if any(run.done for run in overview(study).runs):
        edition = Edition(specs(registry, ()), html=page.exists())
        return write([study], registry, study.pdf, edition, options.warn)[1] if study.pdf.exists() else []
    for path in (study.pdf, page):
        path.unlink(missing_ok=True)
    shutil.rmtree(study.pdf.with_name(f"{study.pdf.stem}-parts"), ignore_errors=True)
    return []
