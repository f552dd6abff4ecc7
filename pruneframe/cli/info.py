"""`pruneframe info`: everything about one component."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..errors import unknown
from . import options

if TYPE_CHECKING:
    from ..registry import Entry


@click.command("info", short_help="Show a component's settings, source and provenance.")
@click.argument("name")
@options.plugins
@options.as_json
def command(name: str, sources: tuple[str, ...], as_json: bool) -> int:
    """Show all components called NAME: what they do, their settings, and where they come from."""
    from ..registry import KINDS

    registry = options.registry(sources)
    kinds = [kind for kind in KINDS if name in registry.names(kind)]
    if not kinds:
        raise unknown("component", name, {known for kind in KINDS for known in registry.names(kind)})
    found = [describe(kind, registry.entry(kind, name)) for kind in kinds]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return 0
    click.echo("\n\n".join(_text(one) for one in found))
    return 0


def describe(kind: str, entry: Entry) -> dict[str, Any]:
    """One component as JSON values."""
    from ..engine import available
    from ..problem import Problem

    value = entry.value
    head = {
        "kind": kind,
        "name": value.name,
        "distribution": entry.plugin.distribution,
        "version": entry.plugin.version,
    }
    if isinstance(value, Problem):
        names = ("units", "objectives", "batch_norm", "search_images", "budget")
        fields = [{"name": n, "default": getattr(value, n), "help": "", "type": ""} for n in names]
        return head | {"about": value.summary, "source": value.source, "settings": fields, "engine": available()}
    fields = [asdict(setting) for setting in value.settings()]
    about = inspect.getdoc(value) or ""
    return head | {"about": about, "source": getattr(value, "provenance", ""), "settings": fields}


def _text(found: dict[str, Any]) -> str:
    lines = [
        f"{found['kind']} {found['name']}  ({found['distribution']} {found['version']})",
        "",
        found["about"],
    ]
    if found["settings"]:
        lines += ["", "settings"]
    for item in found["settings"]:
        kind = f"{item['type']}; " if item["type"] else ""
        kind += f"{item['rule']}; " if item.get("rule") else ""
        value = item["default"]
        default = "none" if value is None else ",".join(value) if isinstance(value, tuple) else value
        lines.append(
            f"  {item['name']} = {default}  ({kind}{item['help']})" if kind else f"  {item['name']} = {default}"
        )
    if "engine" in found:
        lines += ["", "engine", f"  {found['engine']}"]
    if found["source"]:
        lines += ["", "provenance" if found["kind"] == "method" else "source", f"  {found['source']}"]
    return "\n".join(lines)
