"""Options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError

if TYPE_CHECKING:
    from ..registry import Registry

_plugins = click.option(
    "-p",
    "sources",
    multiple=True,
    metavar="FILE.py|no:NAME",
    help="Add a plugin file, or leave a plugin out.",
)
_problem_files = click.option(
    "--problem-file", "problem_files", multiple=True, metavar="FILE.toml", help="Add the problem that a file declares."
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


def plugins(command: Callable[..., int]) -> Callable[..., int]:
    """Both options; the command gets all files as its `sources`."""

    @wraps(command)
    def joined(*, sources: tuple[str, ...], problem_files: tuple[str, ...], **given: Any) -> int:
        wrong = next((file for file in problem_files if not file.endswith(".toml")), None)
        if wrong is not None:
            raise InputError(f"--problem-file takes a TOML file, FILE.toml, but got {wrong!r}")
        return command(sources=(*sources, *problem_files), **given)

    return _plugins(_problem_files(joined))


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
