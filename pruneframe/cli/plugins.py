"""`pruneframe plugins`: what is installed, and what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from . import options


@click.command("plugins", short_help="List plugins, what they bring, and what is wrong with them.")
@options.plugins
@options.as_json
def command(sources: tuple[str, ...], as_json: bool) -> int:
    """List all plugins with their distribution, version and what they bring."""
    from ..registry import Registry

    registry = Registry(sources)
    if as_json:
        click.echo(json.dumps([asdict(plugin) for plugin in registry.plugins], indent=2))
        return 0
    for plugin in registry.plugins:
        click.echo(f"{plugin.name}  ({plugin.origin}): {', '.join(plugin.brings) or 'nothing'}")
        for complaint in plugin.complaints:
            click.echo(f"  broken: {complaint}")
    return 0
