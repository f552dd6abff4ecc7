"""`pruneframe plugins check`: whether what a plugin brings keeps the rules of its kind, and what to do where not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, unknown
from ..files import read_toml
from ..spec import parse_spec
from . import options

if TYPE_CHECKING:
    from ..registry import Registry
    from ..testing import Verdict

KEPT, BROKEN = 0, 1  # exit codes
LOADS = "loads"  # the rule that whatever a plugin brings can be taken in


@dataclass(frozen=True)
class Subject:
    """What is to be checked: components, by kind and spec, and what was wrong with their plugin before it was asked."""

    registry: Registry
    components: list[tuple[str, str]]
    complaints: list[str]


@click.command("check", short_help="Try the rules that what a plugin brings must keep.")
@click.argument("what", metavar="NAME|FILE|DIR")
@options.data
@options.plugins
@options.as_json
def command(what: str, sources: tuple[str, ...], as_json: bool) -> int:
    """Check all components called NAME (settings in brackets), all of a plugin or distribution, a FILE or a project.

    Prints a verdict for each rule, and what to do where one is broken; exits with 1 where one is. A project in DIR need
    not be installed. What a problem lacks is fetched or trained first.
    """
    told: list[dict[str, Any]] = []
    for kind, component, verdict in judged(subject_of(what, sources)):
        if not as_json:
            if component and (not told or told[-1]["component"] != component or told[-1]["kind"] != kind):
                click.echo(f"{kind} {component}")
            click.echo(f"  {verdict.state:12} {verdict.rule}: {verdict.says}")
            if verdict.way_out:
                click.echo(f"{'':15}what to do: {verdict.way_out}")
        told.append({"kind": kind, "component": component, **asdict(verdict)})
    broken = sum(one["state"] == "broken" for one in told)
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(f"{len(told)} rules, {broken} broken", err=True)
    return BROKEN if broken else KEPT


def judged(subject: Subject) -> Iterator[tuple[str, str, Verdict]]:
    """Kind and spec of each component with every verdict on it; first what cannot be taken in, without a component."""
    from ..testing import Verdict, verdicts

    for line in subject.complaints:
        yield "", "", Verdict(LOADS, "broken", line, "mend it first; what it brings is named in the list of hooks")
    for kind, spec in subject.components:
        name, settings = parse_spec(spec)
        found = subject.registry.entry(kind, name).value
        try:
            component = found if kind == "problem" else found.configured(settings)
        except InputError as error:
            yield kind, spec, Verdict("settings", "declined", str(error))
            continue
        for verdict in verdicts(kind, component, subject.registry):
            yield kind, spec, verdict


def subject_of(what: str, sources: tuple[str, ...]) -> Subject:
    """What a file, a project or a name stands for; raises InputError where it is none of them."""
    path = Path(what)
    if path.is_file():
        return _loaded((*sources, what), {what})
    if (path / "pyproject.toml").is_file():
        return _project(path, sources)
    if path.suffix == ".py" or path.is_dir():
        raise InputError(f"a plugin is a Python file, or a folder with a pyproject.toml, but got {what!r}")
    return _named(options.registry(sources), what)


def _named(registry: Registry, what: str) -> Subject:
    """All components of a name, or all of a plugin or distribution."""
    from ..hooks import KINDS

    name = parse_spec(what)[0]
    named = [(kind, what) for kind in KINDS if name in registry.names(kind)]
    if named:
        return Subject(registry, named, [])
    plugins = [plugin for plugin in registry.plugins if what in (plugin.name, plugin.distribution)]
    if not plugins:
        known = {known for kind in KINDS for known in registry.names(kind)}
        raise unknown("component or plugin", what, known | {plugin.name for plugin in registry.plugins})
    return Subject(registry, _brought(plugins), [line for plugin in plugins for line in plugin.complaints])


def _loaded(sources: Iterable[str], distributions: set[str]) -> Subject:
    """All that some sources add to what there is; where one cannot be loaded, that."""
    from ..registry import Registry

    sources = tuple(sources)
    try:
        registry = Registry(sources)
    except InputError as error:
        return Subject(Registry(one for one in sources if one not in distributions), [], [str(error)])
    plugins = [plugin for plugin in registry.plugins if plugin.distribution in distributions]
    return Subject(registry, _brought(plugins), [line for plugin in plugins for line in plugin.complaints])


def _project(folder: Path, sources: tuple[str, ...]) -> Subject:
    """What the entry points of a project bring, from its folder, installed or not."""
    from ..plugin import GROUP, installed

    try:
        found, _ = read_toml(folder / "pyproject.toml", f"{folder / 'pyproject.toml'} must be a project's")
        project = found["project"]
        modules = {str(module) for module in project["entry-points"][GROUP].values()}
        name = str(project["name"])
    except (KeyError, AttributeError, ValueError) as error:
        raise InputError(
            f"{folder / 'pyproject.toml'} must name the plugin in [project.entry-points.{GROUP}]; "
            "`pruneframe plugins new` writes one that does"
        ) from error
    sys.path[:0] = [str(place) for place in (folder / "src", folder) if place.is_dir()]
    without = {f"no:{name}"} if name in {plugin.distribution for plugin, _ in installed()} else set()
    return _loaded((*sources, *sorted(without), *sorted(modules)), modules)


def _brought(plugins: Iterable[Any]) -> list[tuple[str, str]]:
    """Kind and name of all that some plugins bring."""
    return [tuple(one.split(" ", 1)) for plugin in plugins for one in plugin.brings]
