"""Options that several commands share."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import click

from ..errors import InputError

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


def check_device(device: str) -> None:
    """Raises InputError for what is no device, or none of this machine's."""
    if not re.fullmatch(r"cpu|cuda:(0|[1-9][0-9]*)", device):
        raise InputError(f"--device must be cpu or cuda:N, but got {device!r}")
    if device == "cpu":
        return
    import torch

    if int(device.removeprefix("cuda:")) >= torch.cuda.device_count():
        raise InputError(f"--device {device} needs that GPU, but torch sees {torch.cuda.device_count()} GPUs; use cpu")
