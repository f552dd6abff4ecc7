"""`pruneframe info`: everything about one component."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ..errors import unknown
from . import options

if TYPE_CHECKING:
    from ..index import Described
    from ..registry import Plugin, Registry


@click.command("info", short_help="Show a component's settings, source and provenance.")
@click.argument("name")
@click.option("--units", help="Load the problem NAME, and say what of its network these units reach, e.g. filter.")
@click.option("--instance", default=0, show_default=True, help="Which instance of the problem --units loads.")
@options.data
@options.plugins
@options.as_json
def command(name: str, units: str | None, instance: int, sources: tuple[str, ...], as_json: bool) -> int:
    """Show all components called NAME: what they do, their settings, and where they come from."""
    from ..hooks import KINDS

    registry = options.registry(sources)
    kinds = [kind for kind in KINDS if name in registry.names(kind)]
    if not kinds:
        raise unknown("component", name, {known for kind in KINDS for known in registry.names(kind)})
    if units is not None:
        registry.check("unit", units)
        registry.described("problem", name)
    found = [_told(*registry.described(kind, name)) for kind in kinds]
    for one in found:
        if units is not None and one["kind"] == "problem":
            one |= _network(registry, name, units, instance)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return 0
    click.echo("\n\n".join(_text(one) for one in found))
    return 0


def _network(registry: Registry, problem: str, units: str, instance: int) -> dict[str, Any]:
    """What of a problem's network some units reach, and how it is evaluated."""
    from ..engine import Engine

    found = registry.problem(problem).with_settings(units=units, instance=instance)
    network = found.load(registry.component, options.say).network
    nothing = network.layout.full() - network.layout.full()
    return {
        "total_params": network.total_params,
        "total_macs": network.total_macs,
        "units": network.layout.total,
        "reach": network.reach,
        "reach_macs": 1 - int(network.macs(nothing)[0]) / network.total_macs,
        "engine": Engine(network).notice,
        "notes": list(network.notes),
    }


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
        about |= {"instances": described.instances, "engine": available()}
    return head | about


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
        kind += f"{item['rule']}; " if item["rule"] else ""
        kind += "must be given; " if item.get("required") else ""
        default = "..." if item.get("required") else _written(item["default"], "+" if item["type"] else ",")
        lines.append(
            f"  {item['name']} = {default}  ({kind}{item['help']})" if kind else f"  {item['name']} = {default}"
        )
    if "instances" in found:
        lines += ["", "instances", f"  {found['instances']}"]
    if "engine" in found:
        lines += ["", "engine", f"  {found['engine']}"]
    if "reach" in found:
        counts = f"{found['units']} of them, {found['total_params']} parameters, {found['total_macs']} multiply-adds"
        reach = f"reach {found['reach']:.1%} of the parameters and {found['reach_macs']:.1%} of the multiply-adds"
        lines += ["", "units", f"  {counts}; {reach}", *(f"  {note}" for note in found["notes"])]
    if found["source"]:
        lines += ["", "provenance" if found["kind"] == "method" else "source", f"  {found['source']}"]
    return "\n".join(lines)


def _written(default: Any, separator: str) -> str:
    """A default as one gives it: several values of a component's setting are joined by +, of an option by commas."""
    several = isinstance(default, tuple | list)
    return "none" if default is None else separator.join(map(str, default)) if several else str(default)
