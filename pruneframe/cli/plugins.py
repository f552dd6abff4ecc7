"""`pruneframe plugins`: what is installed, and what is wrong with it; a new one; whether one keeps the rules."""

from __future__ import annotations

import json
from pathlib import Path

import click

from . import check, options

NOUNS = ("method", "scorer", "encoding", "variation", "objective", "units", "target", "problem", "report")


@click.group(
    "plugins", invoke_without_command=True, short_help="List plugins and what is wrong with them; begin and check one."
)
@options.plugins
@options.as_json
def command(sources: tuple[str, ...], as_json: bool) -> int:
    """List all plugins with their distribution, version and what they bring; `new` begins one, `check` tries one."""
    if click.get_current_context().invoked_subcommand is not None:
        return 0
    from ..registry import Registry

    registry = Registry(sources)
    if as_json:
        click.echo(json.dumps([plugin.told() for plugin in registry.plugins], indent=2))
        return 0
    for plugin in registry.plugins:
        click.echo(f"{plugin.name}  ({plugin.who}, {plugin.origin}): {', '.join(plugin.brings) or plugin.state}")
        for line in plugin.complaints or [plugin.left_out] * bool(plugin.left_out):
            click.echo(f"  {plugin.state if plugin.state != 'loaded' else 'in part'}: {line}")
    return 0


@command.command("new", short_help="Write a whole project around a new plugin.")
@click.argument("name")
@click.option("--kind", type=click.Choice(NOUNS), default="method", show_default=True, help="What it brings.")
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
def new(name: str, kind: str, folder: Path | None) -> int:
    """Write a project that can be installed, tested and published, around a small component that works.

    It is called NAME, as its component is, and lies in DIR, which must be new or empty: `./NAME` where none is given.
    """
    from ..scaffold.project import Project

    project = Project(name, kind)
    where = folder or Path(name)
    for path in project.write(where):
        click.echo(path)
    click.echo(f"next: cd {where} && pip install -e '.[test]' && pytest && pruneframe plugins check {name}", err=True)
    return 0


command.add_command(check.command)
