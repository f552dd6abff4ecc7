"""`pruneframe info`: everything about one component."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, unknown
from . import options

if TYPE_CHECKING:
    from ..index import Described
    from ..plugin import Plugin
    from ..registry import Registry
    from ..study.inventory import Inventory


@click.command("info", short_help="Show a component's settings, source and provenance.")
@click.argument("name")
@click.option("--units", help="Of a problem: tell of these units alone, e.g. filter.")
@click.option("--instance", default=0, show_default=True, help="Of a problem: which of its instances.")
@options.data
@options.plugins
@options.as_json
def command(name: str, units: str | None, instance: int, sources: tuple[str, ...], as_json: bool) -> int:
    """Show all components called NAME: what they do, their settings, and where they come from.

    Of a problem also its data, layers, units of each kind, the unpruned network's errors, references of objectives and
    what `pruneframe noise` has measured. It is loaded for that; what is not here and cannot be fetched is named.
    """
    from ..hooks import KINDS

    registry = options.registry(sources)
    kinds = [kind for kind in KINDS if _means(registry, kind, name)]
    if not kinds:
        raise unknown("component", name, {known for kind in KINDS for known in registry.names(kind)})
    if units is not None:
        registry.check("unit", units)
        registry.described("problem", name)
    found = [_told(*registry.described(kind, name)) for kind in kinds]
    held = _inventory(registry, name, units, instance) if "problem" in kinds else None
    for one in found:
        if held is not None and one["kind"] == "problem":
            one |= held.record
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return 0
    click.echo("\n\n".join(_text(one, held if one["kind"] == "problem" else None) for one in found))
    return 0


def _means(registry: Registry, kind: str, name: str) -> bool:
    """Whether something of one kind is meant by a name."""
    try:
        return bool(registry.described(kind, name))
    except InputError:
        return False


def _inventory(registry: Registry, name: str, units: str | None, instance: int) -> Inventory:
    """What a problem consists of, with all kinds of units or one."""
    from ..study.inventory import inventory

    problem = registry.problem(name).with_settings(units=units, instance=instance)
    return inventory(problem, registry.names("unit") if units is None else [units], registry.component, options.say)


def _told(described: Described, plugin: Plugin) -> dict[str, Any]:
    """One component as JSON values."""
    from ..engine.library import available

    settings = [
        {"name": one.name, "type": one.type, "default": one.default, "help": one.help, "rule": one.rule}
        | ({"required": True} if one.required else {})
        for one in described.settings
    ]
    head = {"kind": described.kind, "name": described.name}
    head |= {"distribution": plugin.distribution, "version": plugin.version}
    about = {"about": described.about, "source": described.source, "settings": settings}
    if described.kind == "problem":
        about |= {"instances": described.instances, "engine": available(), "bibtex": described.bibtex}
    return head | about


def _text(found: dict[str, Any], held: Inventory | None) -> str:
    lines = [
        f"{found['kind']} {found['name']}  ({found['distribution']} {found['version']})",
        *(["", found["about"]] if found["about"] else []),
    ]
    if found["settings"]:
        lines += ["", "settings"]
    for item in found["settings"]:
        kind = f"{item['type']}; " if item["type"] else ""
        kind += f"{item['rule']}; " if item["rule"] else ""
        kind += "must be given; " if item.get("required") else ""
        default = "..." if item.get("required") else _written(item["default"], "+" if item["type"] else ",")
        lines.append(
            f"  {item['name']} = {default}  ({kind}{item['help']})" if kind else f"  {item['name']} = {default}"
        )
    if "instances" in found:
        lines += ["", "instances", f"  {found['instances']}"]
    if "engine" in found:
        lines += [
            "",
            "engine",
            f"  {found['engine']}",
            *([f"  this network: {held.evaluated_by}"] if held and held.evaluated_by else []),
        ]
    for heading, inside in (held.sections if held else {}).items():
        lines += ["", heading, *(f"  {line}" for line in inside)]
    if found["source"]:
        lines += ["", "provenance" if found["kind"] == "method" else "source", f"  {found['source']}"]
    return "\n".join(lines)


def _written(default: Any, separator: str) -> str:
    """A default as one gives it: several values of a component's setting are joined by +, of an option by commas."""
    several = isinstance(default, tuple | list)
    return "none" if default is None else separator.join(map(str, default)) if several else str(default)
