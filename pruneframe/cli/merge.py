"""`pruneframe merge`: several studies as one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..errors import InputError
from ..files import followed
from . import options


@click.command("merge", short_help="Put the runs of several studies into a new one.")
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The new study's folder.")
@options.as_json
def command(studies: tuple[Path, ...], output: Path, as_json: bool) -> int:
    """Put the runs of several studies into a new one, as from several machines; report and bench take it as any other.

    A run that several studies hold must have the same result in each. The studies stay as they are.
    """
    from ..study.merging import merge
    from ..study.store import StudyFolder

    opened = [StudyFolder.existing(followed(path)) for path in studies]
    if len({study.path for study in opened}) < len(opened):
        raise InputError(f"each study may be named once, but got {', '.join(map(str, studies))}")
    try:
        merged = merge(opened, followed(output))
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror or error}); choose another -o") from error
    for damage in merged.left_out:
        options.say(f"Damaged: {damage}")
    if as_json:
        told = {"study": str(output), "runs": merged.runs, "in_several": merged.same, "left_out": merged.left_out}
        click.echo(json.dumps(told, indent=2))
    else:
        several = f", {merged.same} of them in several studies and the same there" if merged.same else ""
        click.echo(f"{output}: {merged.runs} runs of {len(opened)} studies{several}")
    return 1 if merged.left_out else 0
