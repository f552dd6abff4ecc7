"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import reduce, wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import InputError, one_line

if TYPE_CHECKING:
    from ..registry import Registry
    from ..study.store import StudyFolder

Command = TypeVar("Command", bound=Callable[..., Any])

_plugins = click.option(
    "-p",
    "sources",
    multiple=True,
    metavar="FILE.py|MODULE|no:NAME",
    help="Add a plugin file or module, or leave a plugin out (or PRUNEFRAME_PLUGINS, separated by commas).",
)
_problem_files = click.option(
    "--problem-file", "problem_files", multiple=True, metavar="FILE.toml", help="Add the problem that a file declares."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


def _name_data_folder(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Worker processes inherit the environment, so the option is handed on through it; what is no folder is refused."""
    from ..model.fetch import folders

    if value is not None:
        os.environ["PRUNEFRAME_DATA"] = value
    folders()


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


def several(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in this order."""
    return lambda command: reduce(lambda inner, decorator: decorator(inner), reversed(decorators), command)


_selection = several(
    click.option("--problem", help="Only runs on this problem."),
    click.option("--method", help="Only runs of this method, as the summary names it."),
    click.option("--instance", type=int, help="Only runs on this instance of the problem."),
    click.option("--seed", type=int, help="Only runs with this seed."),
    click.option("--run", "hash", help="Only the run with this hash, as summary --json and report --trace name it."),
)


def selection(command: Callable[..., int]) -> Callable[..., int]:
    """Options that say which runs of a study are meant; the command gets them as its `selection`."""

    @wraps(command)
    def selected(
        *,
        problem: str | None,
        method: str | None,
        instance: int | None,
        seed: int | None,
        hash: str | None,
        **given: Any,
    ) -> int:
        from ..study.selection import Selection

        return command(selection=Selection(problem, method, instance, seed, hash), **given)

    return _selection(selected)


def registry(sources: tuple[str, ...]) -> Registry:
    """The registry, with one warning line on standard error for everything wrong with a plugin."""
    from ..registry import Registry

    found = Registry(sources)
    for complaint in found.complaints:
        warn(complaint)
    return found


def warn(line: str) -> None:
    """What is wrong and stops nothing, on standard error."""
    click.echo(f"Warning: {one_line(line)}", err=True)


def tell_damages(studies: Iterable[StudyFolder]) -> bool:
    """A line on standard error for every run that is not as it was written; whether there is one."""
    damages = [damage for study in studies for damage in study.damages]
    for damage in damages:
        click.echo(f"Damaged: {damage}", err=True)
    return bool(damages)


def say(line: str) -> None:
    """Progress, on standard error."""
    click.echo(line, err=True)
