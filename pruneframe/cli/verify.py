"""`pruneframe verify`: carry finished runs out once more, and compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import PruneframeError, VerificationFailed
from . import options

if TYPE_CHECKING:
    from ..study.selection import Selection


@click.command("verify", short_help="Carry finished runs out once more, and compare.")
@click.argument("study", type=click.Path(path_type=Path))
@options.selection
@click.option(
    "--deep", is_flag=True, help="Compute every answer to the searches anew, which takes as long as they did."
)
@options.data
@options.plugins
@options.as_json
def command(study: Path, selection: Selection, deep: bool, sources: tuple[str, ...], as_json: bool) -> int:
    """Let each finished run of STUDY search again on what its journal holds, and measure its final front anew.

    Scores, trained weights, the front on search and test images and every figure must come out as they were written:
    to the last bit on the machine and under the versions of the run, to rounding elsewhere. A run that does is stamped,
    which the report says. At the first difference the command ends with code 5. Times, and accuracy after the common
    fine-tuning, are believed.
    """
    from ..report import place
    from ..study.facts import summaries
    from ..study.store import StudyFolder
    from ..study.verification import verify

    opened = StudyFolder.existing(study)
    if damages := opened.damages:
        raise VerificationFailed(damages[0])
    registry = options.registry(sources)
    folders = selection.runs(opened)
    told: dict[str, Any] = {run.folder: run for run in summaries(opened)}
    rows = []
    for folder in folders:
        run = told[str(folder.path)]
        name = f"{run.method} on {place(run, list(told.values()))}"
        try:
            stamp = verify(folder, registry, deep)
        except VerificationFailed as error:
            raise VerificationFailed(f"{name}: {error}") from error
        except PruneframeError as error:
            raise VerificationFailed(f"{name} cannot be verified: {error}") from error
        stamp.put(folder)
        rows.append({"problem": run.problem, "method": run.method, "instance": run.instance, "seed": run.seed})
        rows[-1] |= {"hash": run.hash, "computed": stamp.computed, "answers": stamp.answers}
        rows[-1] |= {"deep": stamp.deep, "exact": stamp.exact}
        if not as_json:
            click.echo(f"verified: {name}: {stamp}")
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    return 0
