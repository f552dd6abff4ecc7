"""The pages of bundled components, one for each kind, from what the registry says of them."""

from __future__ import annotations

from typing import Any

from pruneframe.component import Setting
from pruneframe.hooks import KINDS
from pruneframe.index import Described
from pruneframe.registry import HOME, Registry

from .markdown import code, page, prose, section, table, target

OPENINGS = {
    "method": "A method searches for good masks, `--methods NAME[setting=value,...]`.",
    "problem": "A problem is a trained network with its data, `--problems NAME`.",
    "objective": "An objective is a number to be minimised, `--objectives NAME,...`.",
    "target": "A target is what the network is meant for: it says latency and memory, `--target NAME`.",
    "unit": "A unit is what a mask keeps or removes, `--units NAME`.",
    "encoding": "An encoding writes a mask as a genome; methods take one as their setting `encoding`.",
    "scorer": "A scorer says how important each unit is; methods take one as their setting `scorer`.",
    "variation": "A variation makes children from parents; methods take one as their setting `variation`.",
    "report": "A report gives figures and tables of the comparison, `--reports NAME,...`.",
}


def bundled(kind: str, found: Registry) -> list[str]:
    """The names that pruneframe itself brings, whatever else is installed here."""
    return [name for name in found.names(kind) if found.described(kind, name)[1].distribution == HOME]


def pages() -> dict[str, str]:
    """One page for each kind."""
    found = Registry()
    if OPENINGS.keys() != KINDS.keys():
        raise ValueError(f"every kind of component needs one opening, but {OPENINGS.keys() ^ KINDS.keys()} differ")
    return {
        f"{kind}s.md": page(
            f"Bundled {kind}s",
            OPENINGS[kind] + f" `pruneframe info NAME` prints the same of any {kind} that is installed.",
            *(_component(kind, found, name) for name in bundled(kind, found)),
        )
        for kind in KINDS
    }


def _component(kind: str, found: Registry, name: str) -> str:
    described, plugin = found.described(kind, name)
    if plugin.distribution != HOME:
        raise ValueError(f"the reference is of bundled components alone, but {name} comes from {plugin.who}")
    instances = f"Instances: {prose(described.instances)}" if described.instances else ""
    word = "Provenance" if kind == "method" else "Source"
    source = f"{word}: {prose(described.source)}" if described.source else ""
    parts = (prose(described.about), _settings(described), instances, source)
    return section(2, f"`{name}`", target(kind, name), *parts)


def _settings(described: Described) -> str:
    if described.kind == "problem":
        rows = [(code(one.name), code(_written(one.default, ","))) for one in described.settings]
        return table(("rule", "where a command says nothing else"), rows)
    rows = [(code(one.name), _default(one), one.type, code(one.rule), prose(one.help)) for one in described.settings]
    return table(("setting", "default", "type", "holds", "meaning"), [tuple(map(str, row)) for row in rows])


def _default(one: Setting) -> str:
    return "must be given" if one.required else code(_written(one.default, "+"))


def _written(value: Any, separator: str) -> str:
    several = isinstance(value, tuple | list)
    return "none" if value is None else separator.join(map(str, value)) if several else str(value)
