"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..registry import Registry

plugins = click.option(
    "-p",
    "sources",
    multiple=True,
    metavar="FILE.py|no:NAME",
    help="Add a plugin file, or leave a plugin out.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


def _name_data_folder(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Worker processes inherit the environment, so the option is handed on through it."""
    if value is not None:
        os.environ["PRUNEFRAME_DATA"] = value


data = click.option(
    "--data",
    metavar="FOLDER",
    expose_value=False,
    callback=_name_data_folder,
    help="A read-only folder of data sets and weights that is looked at first (or PRUNEFRAME_DATA).",
)


def registry(sources: tuple[str, ...]) -> Registry:
    """The registry, with one warning line on standard error for everything wrong with a plugin."""
    from ..registry import Registry

    found = Registry(sources)
    for complaint in found.complaints:
        click.echo(f"Warning: {complaint}", err=True)
    return found


def say(line: str) -> None:
    """Progress, on standard error."""
    click.echo(line, err=True)


def seeds(texts: Iterable[str]) -> list[int]:
    """`0-4` or `1,5,9`, or both mixed, as distinct integers in the given order."""
    from ..errors import InputError

    found: list[int] = []
    for text, part in ((whole, part) for whole in texts for part in whole.split(",")):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(f"seeds are written 0-4 or 1,5,9, but got {text!r}")
        start, stop = int(first), int(last or first)
        if stop < start:
            raise InputError(f"a range of seeds must ascend, but got {part.strip()!r}")
        found += range(start, stop + 1)
    return list(dict.fromkeys(found))
