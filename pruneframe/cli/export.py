"""`pruneframe export`: a pruned network out of a study."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError
from . import options

if TYPE_CHECKING:
    from ..deploy.exported import Exported
    from ..study.folder import RunFolder
    from ..study.selection import Selection

SUFFIXES = ("safetensors", "pt2", "onnx")


@click.command("export", short_help="Write pruned networks out of a study.")
@click.argument("study", type=click.Path(path_type=Path))
@options.selection
@click.option(
    "--max-drop",
    type=float,
    help="The smallest member whose search error is at most so many points above dense.",
)
@click.option("--member", type=int, help="The member with this number in its run's final front.")
@click.option("--all-front", is_flag=True, help="All members of a run's final front, into a new folder.")
@click.option("--format", "suffix", type=click.Choice(SUFFIXES), help="Of --all-front.  [default: safetensors]")
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    required=True,
    help="FILE.safetensors, FILE.pt2 or FILE.onnx; with --all-front, a folder.",
)
@options.data
@options.plugins
@options.as_json
def command(
    study: Path,
    selection: Selection,
    max_drop: float | None,
    member: int | None,
    all_front: bool,
    suffix: str | None,
    output: Path,
    sources: tuple[str, ...],
    as_json: bool,
) -> int:
    """Write members of a final front as files that other programs load, each with a model card.

    .safetensors holds the state dict, zeros in place of what is pruned; .pt2 (torch.export) and .onnx hold a network
    without it, where it can be taken out. Each file is read back by a fresh process, and must predict the same classes
    on all search images. ONNX needs pip install 'pruneframe[runtimes]'.
    """
    from ..study.store import StudyFolder

    if [max_drop is None, member is None, not all_front].count(False) != 1:
        raise InputError("exactly one of --max-drop, --member and --all-front must be given")
    if suffix is not None and not all_front:
        raise InputError("--format is of --all-front; the suffix of -o says the format of a single file")
    if not all_front and output.suffix[1:] not in SUFFIXES:
        raise InputError(f"-o must name a file with the suffix .{', .'.join(SUFFIXES)}, but got {str(output)!r}")
    if selection.problem is None and selection.hash is None:
        raise InputError("--problem or --run must be given; pruneframe summary lists both")
    opened = StudyFolder.existing(study)
    options.tell_damages([opened])
    if all_front:
        folder = selection.run(opened, "--all-front")
        rows = list(range(len(folder.front()["bits"])))
        names = [f"member-{row}.{suffix or SUFFIXES[0]}" for row in rows]
    else:
        folder, row = selection.member(opened, max_drop, member)
        rows, names = [row], [output.name]
    _write(sources, folder, rows, names, output, as_json)
    return 0


def _write(
    sources: tuple[str, ...], folder: RunFolder, rows: list[int], names: list[str], output: Path, as_json: bool
) -> None:
    """Into a folder beside the place that is meant, and there when all of it is as it should be."""
    from ..deploy.card import card
    from ..deploy.exported import export
    from ..study.member import Front

    whole = output.suffix[1:] not in SUFFIXES or names != [output.name]
    if whole and output.exists():
        raise InputError(f"-o must be a new folder with --all-front, but {output} is there")
    registry = options.registry(sources)
    front = Front.read(folder, registry, options.say)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as stage:
            files = [Path(stage) / name for name in names]
            found = export(front, folder, rows, files, registry, sources)
            text = card(found, folder, front.bench.loaded)
            records = [one.record for one in found]
            if whole:
                (Path(stage) / "README.md").write_text(text)
                (Path(stage) / "index.json").write_text(json.dumps(records, indent=2) + "\n")
                shutil.copytree(stage, output)
            else:
                files[0].replace(output)
                output.with_suffix(".md").write_text(text)
    except OSError as error:
        raise InputError(
            f"{output} cannot be written ({error.strerror or error}); choose another place with -o"
        ) from error
    if as_json:
        click.echo(json.dumps(records, indent=2))
        return
    for one in found:
        click.echo("\n".join(_told(one, folder, output / one.file if whole else output)))
    if not whole:
        click.echo(_other(found[0], front.bench.network.units.removable, output))


def _told(one: Exported, folder: RunFolder, place: Path) -> list[str]:
    """What was written, and what it takes beside the unpruned network."""
    identity, result, pruned, dense = folder.identity, folder.result, one.pruned, one.dense
    drop = 100 * (one.search_error - result["dense_error"])
    instance = f", instance {identity['instance']}" if identity["instance"] else ""
    return [
        f"{place}: member {one.member} of {identity['method']}{instance}, seed {identity['seed']}: "
        f"{100 * (1 - pruned.params / dense.params):.2f} % of the parameters removed, search error {drop:+.2f} points, "
        f"test error {100 * one.test_error:.2f} %",
        f"  holds the network {one.holds}: {pruned.params:,} of {dense.params:,} parameters, {pruned.macs:,} of "
        f"{dense.macs:,} multiply-adds, {pruned.bytes:,} bytes (unpruned {dense.bytes:,}), "
        f"{1e3 * pruned.seconds:.3g} ms an image (unpruned {1e3 * dense.seconds:.3g}) on {one.target}",
        f"  read back by a fresh process, it predicts the same classes on all {one.images} search images",
    ]


def _other(one: Exported, removable: bool, output: Path) -> str:
    """Which other form there is."""
    if one.shrunk:
        return f"With zeros in place, in the unpruned network's shapes: -o {output.with_suffix('.safetensors')}"
    if removable:
        return f"Without what is pruned, smaller and faster: -o {output.with_suffix('.pt2')}, or .onnx"
    return (
        "Single weights cannot be taken out, so that the file is no smaller and no faster; filters can: --units filter"
    )
