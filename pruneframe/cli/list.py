"""`pruneframe list`: what can be named."""

from __future__ import annotations

import json

import click

from ..errors import unknown
from . import options


@click.command("list", short_help="List methods, problems and all other components.")
@click.argument("kind", required=False)
@options.plugins
@options.as_json
def command(kind: str | None, sources: tuple[str, ...], as_json: bool) -> int:
    """List everything that can be named, or one KIND of it, such as `methods`."""
    from ..hooks import KINDS

    registry = options.registry(sources)
    wanted = list(KINDS)
    if kind is not None:
        if kind.removesuffix("s") not in KINDS:
            raise unknown("kind of component", kind, [f"{name}s" for name in KINDS])
        wanted = [kind.removesuffix("s")]
    found = [registry.described(one, name) for one in wanted for name in registry.names(one)]
    rows = [
        {"kind": one.kind, "name": one.name, "summary": one.summary}
        | ({"instances": one.instances} if one.kind == "problem" else {})
        | {"distribution": plugin.distribution, "version": plugin.version}
        for one, plugin in found
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return 0
    width = max((len(row["name"]) for row in rows), default=0)
    for one in wanted:
        click.echo(f"{one}s")
        for row in rows:
            if row["kind"] == one:
                told = f"; instances: {row['instances']}" if "instances" in row else ""
                click.echo(f"  {row['name']:{width}}  {row['summary']}{told}")
    return 0
