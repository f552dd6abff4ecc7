"""The registry: what can be named, found among plugins that are loaded one by one, each when it is first needed."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .component import NONE, Found
from .errors import Faulty, InputError, unknown
from .hooks import KINDS, Brought, tracing
from .index import Described, Index
from .plugin import HOME, Plugin, from_environment, given, imported, installed, required
from .spec import meant, parse_spec, plain, split

if TYPE_CHECKING:
    from .method import Method
    from .problem import Problem

ALL = "*"  # in `no:*`, whatever is not bundled


@dataclass
class Entry:
    """Something a plugin brings: a component class, or a problem; imported when its value is asked for."""

    described: Described
    plugin: Plugin
    found: Any = None

    @property
    def value(self) -> Any:
        """The class, or the problem; raises InputError where the plugin does not bring it any more."""
        if self.found is None:
            kind, name = self.described.kind, self.described.name
            reason = (self.plugin.complaints or ["it does not any more"])[-1]
            raise InputError(
                f"plugin {self.plugin.name!r} of {self.plugin.who} must bring {kind} {name!r}, but {reason}"
            )
        return self.found


class Registry:
    """What can be named: components by kind and name, from bundled and installed plugins and from files.

    `sources` are the values of `-p`: `no:NAME` leaves out a plugin or distribution and `no:*` all that is not bundled,
    `FILE.py` adds a file and `MODULE` what can be imported; and `FILE.toml`, a value of `--problem-file`, the problem
    that it declares; or they are problems themselves. Those of the environment variable `PRUNEFRAME_PLUGINS`, separated
    by commas, come before them.
    """

    def __init__(self, sources: Iterable[str | Problem] = ()) -> None:
        self.sources = tuple(sources)
        self.plugins: list[Plugin] = []
        self.declared: list[str] = []  # problems of TOML files, and of those who made them in Python
        self._entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
        self._unloaded: dict[str, EntryPoint] = {}  # by the plugin's name and distribution
        named = [source for source in (*from_environment(), *self.sources) if isinstance(source, str)]
        excluded = {source.removeprefix("no:") for source in named if source.startswith("no:")}
        found = installed()
        left_over = excluded - {name for p, _ in found for name in (p.name, p.distribution)} - {ALL}
        if left_over:
            raise unknown("plugin", min(left_over), {p.name for p, _ in found})
        index = Index()
        for plugin, entry_point in found:
            self.plugins.append(plugin)
            names = {plugin.name, plugin.distribution} | ({ALL} if plugin.distribution != HOME else set())
            if excluded & names:
                plugin.left_out = f"no:{min(excluded & names)}"
            elif plugin.fits(required(entry_point)):
                self._take_in(plugin, entry_point, index)
        index.save()
        for source in dict.fromkeys(source for source in named if not source.startswith("no:")):
            self._add(source)
        for made in self.sources:
            if not isinstance(made, str):
                self._bring(made)

    @property
    def complaints(self) -> list[str]:
        """One line for everything wrong with a plugin, naming it, its distribution and version."""
        return [f"plugin {p.name!r} of {p.who}: {complaint}" for p in self.plugins for complaint in p.complaints]

    def names(self, kind: str) -> list[str]:
        """All names of one kind, sorted."""
        return sorted(self._entries[kind])

    def described(self, kind: str, name: str) -> tuple[Described, Plugin]:
        """What is said of something, and who brings it; imports nothing. Raises InputError naming the nearest one."""
        entry = self._found(kind, name)
        return entry.described, entry.plugin

    def entry(self, kind: str, name: str) -> Entry:
        """What has this name; imports its plugin. Raises InputError naming the nearest one."""
        found = self._found(kind, name)
        entry_point = self._unloaded.pop(_place(found.plugin), None)
        if entry_point is not None:
            brought = imported(found.plugin, entry_point)
            self._fill(found.plugin, brought)
        return found

    def canonical(self, kind: str, spec: str) -> str:
        """The spec with the names that its components have, its own and those in its settings; imports nothing."""
        name, settings = parse_spec(spec)
        described = self._found(kind, name).described
        named = {one.name: one.kind for one in described.settings if one.kind}
        for key in named.keys() & settings.keys():
            parts = [
                part if part in ("", NONE) else self.canonical(named[key], part) for part in split(settings[key], "+")
            ]
            settings[key] = "+".join(parts)
        told = ",".join(f"{key}={value}" for key, value in settings.items())
        return described.name + (f"[{told}]" if told else "")

    def _found(self, kind: str, name: str) -> Entry:
        """The one that is meant by a name, or by what else it is called."""
        entries = self._entries[kind]
        aliased = {plain(alias): entry for entry in entries.values() for alias in entry.described.aliases}
        if plain(name) in aliased and name not in entries:
            return aliased[plain(name)]
        return entries[meant(kind, name, entries)]

    def check(self, kind: str, spec: str) -> None:
        """Raise InputError where a spec names nothing, or a setting or value that there is not; imports nothing."""
        described, _ = self.described(kind, parse_spec(spec)[0])
        described.check(spec)
        for inner, named in described.named(spec):
            self.check(inner, named)

    def component(self, kind: type[Found], spec: str, /) -> Found:
        """The component that `name[field=value,...]` describes."""
        name, settings = parse_spec(self.canonical(kind.kind, spec))
        return self.entry(kind.kind, name).value.configured(settings)

    def problem(self, name: str) -> Problem:
        """A problem by name."""
        return self.entry("problem", name).value

    def versions_behind(self, problem: Problem, method: Method) -> dict[str, str]:
        """Distributions and versions of all plugins behind a run: of what its settings name, and what these name."""
        named = [("method", repr(method)), ("unit", problem.units)]
        named += [("objective", spec) for spec in problem.objectives]
        named += [("target", problem.target)] if problem.meter(self.component) else []
        plugins = [self.entry("problem", problem.name).plugin]
        while named:
            kind, spec = named.pop()
            name, settings = parse_spec(spec)
            entry = self.entry(kind, name)
            plugins.append(entry.plugin)
            named += entry.value.configured(settings).named()
        return dict(sorted((plugin.distribution, plugin.version) for plugin in plugins))

    def blamed(self, error: BaseException) -> Plugin | None:
        """Whose fault an error is: the component's that broke its contract, else the innermost plugin's whose code ran.

        None where no plugin's did. A search that was broken off in the middle is nothing that bundled plugins in it
        are to blame for.
        """
        if isinstance(error, Faulty) and error.spec:
            return self.described(error.kind, parse_spec(error.spec)[0])[1]
        broken = isinstance(error, Faulty)
        frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
        blameable = [plugin for plugin in self.plugins if plugin.module and not (broken and plugin.origin == "bundled")]
        by_module = {plugin.module: plugin for plugin in blameable}
        return next((by_module[name] for name in reversed(frames) if name in by_module), None)

    def _take_in(self, plugin: Plugin, entry_point: EntryPoint, index: Index) -> None:
        """One installed plugin, from the index where that knows it."""
        plugin.stamp, plugin.module = index.stamp(entry_point), entry_point.module
        known = None if tracing() else index.get(entry_point)
        if known is not None:
            self._unloaded[_place(plugin)] = entry_point
            for described in known:
                self._enter(plugin, described, None)
            return
        brought = imported(plugin, entry_point)
        if not plugin.complaints:
            index.put(entry_point, [described for described, _ in brought])
        for described, value in brought:
            self._enter(plugin, described, value)

    def _enter(self, plugin: Plugin, described: Described, value: Any) -> None:
        entries = self._entries[described.kind]
        if described.name in entries:
            other = entries[described.name].plugin
            way_out = f", or leave that one out by -p no:{other.name}" if other.origin == "installed" else ""
            plugin.complaints.append(
                f"{described.kind} {described.name!r} is already brought by {other.who}; rename one of them{way_out}"
            )
            return
        entries[described.name] = Entry(described, plugin, value)
        plugin.brings.append(f"{described.kind} {described.name}")

    def _fill(self, plugin: Plugin, brought: list[Brought]) -> None:
        """Values for the entries of a plugin that is imported now; what it has not said before is not taken in."""
        for described, value in brought:
            entry = self._entries[described.kind].get(described.name)
            if entry is not None and entry.plugin is plugin:
                entry.found = value

    def _add(self, source: str) -> None:
        """A file or a module; what is wrong with it is an error, since somebody asks for it by name."""
        if source.endswith(".toml") and Path(source).is_file():
            self._declare(Path(source))
            return
        plugin, brought = given(source)
        self.plugins.append(plugin)
        for described, value in brought:
            self._enter(plugin, described, value)
        if plugin.complaints and plugin.compatible:
            raise InputError(f"{source}: {plugin.complaints[0]}")

    def _declare(self, path: Path) -> None:
        """The problem of a TOML file; known by the file's name alone, so that a study of it can be moved."""
        from .declared.problem import declared

        problem, version = declared(path)
        self._problem(problem, Plugin(path.stem, path.name, version, "problem file", version), str(path))

    def _bring(self, problem: Problem) -> None:
        """A problem that somebody has made in Python."""
        version = problem.version
        plugin = Plugin(problem.name, f"{problem.name} in memory", version, "in memory", version)
        self._problem(problem, plugin, problem.name)

    def _problem(self, problem: Problem, plugin: Plugin, source: str) -> None:
        self.plugins.append(plugin)
        self.declared.append(problem.name)
        self._enter(plugin, Described.of("problem", problem), problem)
        if plugin.complaints:
            raise InputError(f"{source}: {plugin.complaints[0]}")


def _place(plugin: Plugin) -> str:
    return f"{plugin.distribution} {plugin.name}"
