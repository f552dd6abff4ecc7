"""`pruneframe data`: fetch a problem's data and weights before they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError
from . import options

if TYPE_CHECKING:
    from ..model.network import Network
    from ..problem import Problem
    from ..profile import Profile
    from ..registry import Registry
    from ..target import Target


@click.command("data", short_help="Fetch and check a problem's data.")
@click.argument("problem")
@click.option("--profile", type=click.Path(path_type=Path), help="Time the network's layers, and write FILE.json.")
@click.option("--target", metavar="TARGET", help="What --profile measures on. [default: local-cpu]")
@click.option("--threads", type=click.IntRange(1), help="Threads of --profile. [default: 1]")
@options.data
@options.plugins
def command(
    problem: str, profile: Path | None, target: str | None, threads: int | None, sources: tuple[str, ...]
) -> int:
    """Fetch what PROBLEM's data need, once, and print the sizes of its splits.

    With --profile, measure how long the layers of its network take at several widths, for
    bench --target 'lookup-table[table=FILE.json]', here or on another machine.
    """
    from ..files import cache_folder

    if profile is None and not (target is None and threads is None):
        raise InputError("--target and --threads are those of --profile, which is missing")
    registry = options.registry(sources)
    found = registry.problem(problem)
    options.say(f"looking for the data of {problem}; downloads go to {cache_folder()}")
    data = found.images()
    for name in ("train", "search", "test"):
        split = getattr(data, name)
        click.echo(f"{name:7} {len(split):6} images {list(split.images.shape[1:])}  {split.digest}")
    if profile is not None:
        _profile(registry, found, profile, "local-cpu" if target is None else target, threads or 1)
    return 0


def _profile(registry: Registry, problem: Problem, path: Path, target: str, threads: int) -> None:
    """Time a problem's network, layer by layer."""
    from ..target import Target

    found = registry.component(Target, target)
    if not path.absolute().parent.is_dir() or path.is_dir():  # found out before the layers are timed, which takes long
        raise InputError(f"--profile must be a file in an existing folder, but got {path}")
    network = problem.load(registry.component, options.say).network
    profile = write_profile(network, found, threads, path)
    click.echo(f"{path}: {len(profile.layers)} layers; the dense network takes {1000 * profile.dense:.3f} ms an image")


def write_profile(network: Network, target: Target, threads: int, path: Path) -> Profile:
    """Time a network's layers on a target, and write the table; raises InputError where that cannot be."""
    from ..profile import Profile
    from ..study.machine import environment, measuring, prepare_torch, say_if_busy
    from ..target import Meter

    prepare_torch(threads)
    say_if_busy(options.say)
    with measuring(Meter(target, timed=True)):
        options.say(f"timing {len(network.layers)} layers on {target!r}, {threads} thread(s)")
        profile = Profile.measure(network, target, environment() | {"threads": threads})
    try:
        profile.write(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another --profile") from error
    return profile
