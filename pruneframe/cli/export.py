"""`pruneframe export`: a pruned network out of a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, NothingSelected
from . import options

if TYPE_CHECKING:
    from ..registry import Registry
    from ..study.store import RunFolder


@click.command("export", short_help="Write a pruned network out of a study.")
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--problem", help="The problem.")
@click.option("--method", help="The method, as the summary names it [default: any].")
@click.option("--instance", type=int, help="The instance of the problem [default: any].")
@click.option("--seed", type=int, help="The seed [default: any].")
@click.option("--run", "hash", help="The run with this hash, as summary --json and report --trace name it.")
@click.option(
    "--max-drop",
    type=float,
    help="The smallest member whose search error is at most so many points above dense.",
)
@click.option("--member", type=int, help="The member with this number in its run's final front.")
@click.option("-o", "output", type=click.Path(path_type=Path), required=True, help="FILE.safetensors")
@options.data
@options.plugins
def command(
    study: Path,
    problem: str | None,
    method: str | None,
    instance: int | None,
    seed: int | None,
    hash: str | None,
    max_drop: float | None,
    member: int | None,
    output: Path,
    sources: tuple[str, ...],
) -> int:
    """Write one member of a final front as a state dict, zeros in place of what is pruned."""
    from ..study.store import StudyFolder

    if (max_drop is None) == (member is None):
        raise InputError("exactly one of --max-drop and --member must be given")
    if output.suffix != ".safetensors":
        raise InputError(f"-o must name a .safetensors file, but got {str(output)!r}")
    if problem is None and hash is None:
        raise InputError("--problem or --run must be given; pruneframe summary lists both")
    wanted = {"problem": problem, "method": method, "instance": instance, "seed": seed, "hash": hash}
    runs = [run for run in StudyFolder.existing(study).runs() if run.finished and _fits(run.identity, wanted)]
    if not runs:
        raise NothingSelected(f"{study} has no finished run with {_words(wanted)}; see pruneframe summary {study}")
    if member is not None and len(runs) > 1:
        raise InputError(f"--member needs one run, but {len(runs)} fit; add --method, --instance and --seed")
    folder, row = (runs[0], _checked(runs[0], member)) if member is not None else _smallest(runs, max_drop or 0.0)
    _write(options.registry(sources), folder, row, output)
    return 0


def _fits(identity: dict[str, Any], wanted: dict[str, Any]) -> bool:
    method = identity["method"]
    names = {key: identity[key] for key in ("problem", "instance", "seed", "hash")}
    return wanted["method"] in (None, method, method.partition("[")[0]) and all(
        wanted[key] in (None, value) for key, value in names.items()
    )


def _words(wanted: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in wanted.items() if value is not None)


def _checked(run: RunFolder, member: int) -> int:
    size = len(run.front()["bits"])
    if not 0 <= member < size:
        raise InputError(f"--member must be from 0 to {size - 1} in {run.path}, but got {member}")
    return member


def _smallest(runs: list[RunFolder], drop: float) -> tuple[RunFolder, int]:
    """Over all runs, the member with the fewest parameters whose search error is at most `drop` points above dense."""
    from ..front import choose

    found = []
    for run in runs:
        front = run.front()
        row = choose(front["search_error"], -front["params"].astype(float), run.result["dense_error"] + drop / 100)
        if row is not None:
            found.append((int(front["params"][row]), float(front["search_error"][row]), str(run.path), run, row))
    if not found:
        raise NothingSelected(
            f"no member loses at most {drop:g} points on the search split; allow more with --max-drop"
        )
    return min(found, key=lambda item: item[:3])[3:]


def _write(registry: Registry, folder: RunFolder, row: int, output: Path) -> None:
    from safetensors.torch import save

    from ..files import write_whole
    from ..study.member import Front

    tensors = Front.read(folder, registry, options.say).state(row)
    try:
        write_whole(output, lambda file: file.write(save(tensors)))
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another place with -o") from error
    identity, front, result = folder.identity, folder.front(), folder.result
    drop = 100 * (front["search_error"][row] - result["dense_error"])
    test = 100 * front["test_error"][row]
    told = f", instance {identity['instance']}" if identity["instance"] else ""
    share = 1 - front["params"][row] / result["total_params"]
    click.echo(
        f"{output}: member {row} of {identity['method']}{told}, seed {identity['seed']}: {100 * share:.2f} % of the "
        f"parameters removed, search error {drop:+.2f} points, test error {test:.2f} %"
    )
