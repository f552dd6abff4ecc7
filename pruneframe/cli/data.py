"""`pruneframe data`: fetch a problem's data and weights before they are needed."""

from __future__ import annotations

import click

from . import options


@click.command("data", short_help="Fetch and check a problem's data.")
@click.argument("problem")
@options.data
@options.plugins
def command(problem: str, sources: tuple[str, ...]) -> int:
    """Fetch what PROBLEM's data need, once, and print the sizes of its splits."""
    from ..data import Data, cache_folder

    found = options.registry(sources).problem(problem)
    options.say(f"looking for the data of {problem}; downloads go to {cache_folder()}")
    data = found.data if isinstance(found.data, Data) else found.data()
    for name in ("train", "search", "test"):
        split = getattr(data, name)
        click.echo(f"{name:7} {len(split):6} images {list(split.images.shape[1:])}  {split.digest}")
    return 0
