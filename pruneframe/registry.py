"""The registry: what can be named, found among plugins that are loaded one by one, each when it is first needed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .component import Found
from .errors import Faulty, InputError, unknown
from .hooks import KINDS, Brought, brought_by
from .index import Described, Index, owner
from .spec import parse_spec

if TYPE_CHECKING:
    from .method import Method
    from .problem import Problem

GROUP = "pruneframe"
HOME = "pruneframe"  # the distribution whose plugins are bundled


@dataclass
class Plugin:
    """One plugin, loaded or not; `stamp` changes with its code, `complaints` say what is wrong with it."""

    name: str
    distribution: str
    version: str
    stamp: str = ""
    module: str = ""  # where its code begins
    brings: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Who ships it, for messages."""
        return f"{self.distribution} {self.version}"


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
                f"plugin {self.plugin.name!r} of {self.plugin.origin} must bring {kind} {name!r}, but {reason}"
            )
        return self.found


class Registry:
    """What can be named: components by kind and name, from bundled and installed plugins and from files.

    `sources` are the values of `-p`: `no:NAME` leaves out a plugin or distribution, `FILE.py` adds a file, and
    `FILE.toml`, a value of `--problem-file`, the problem that it declares. The
    environment variable `PRUNEFRAME_PLUGINS`, when set, lists the outside distributions to load; empty loads none.
    """

    def __init__(self, sources: Iterable[str] = ()) -> None:
        self.sources = tuple(sources)
        self.plugins: list[Plugin] = []
        self.declared: list[str] = []  # problems of TOML files
        self._entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
        self._unloaded: dict[str, EntryPoint] = {}  # by the plugin's name and distribution
        excluded = {source.removeprefix("no:") for source in self.sources if source.startswith("no:")}
        found = list(_installed())
        left_over = excluded - {name for p, _ in found for name in (p.name, p.distribution)}
        if left_over:
            raise unknown("plugin", min(left_over), {p.name for p, _ in found})
        index = Index()
        for plugin, entry_point in found:
            if not excluded & {plugin.name, plugin.distribution}:
                self._take_in(plugin, entry_point, index)
        index.save()
        for source in self.sources:
            if not source.startswith("no:"):
                self._load_file(Path(source))

    @property
    def complaints(self) -> list[str]:
        """One line for everything wrong with a plugin, naming it, its distribution and version."""
        return [f"plugin {p.name!r} of {p.origin}: {complaint}" for p in self.plugins for complaint in p.complaints]

    def names(self, kind: str) -> list[str]:
        """All names of one kind, sorted."""
        return sorted(self._entries[kind])

    def described(self, kind: str, name: str) -> tuple[Described, Plugin]:
        """What is said of something, and who brings it; imports nothing. Raises InputError naming the nearest one."""
        if name not in self._entries[kind]:
            raise unknown(kind, name, self._entries[kind])
        entry = self._entries[kind][name]
        return entry.described, entry.plugin

    def entry(self, kind: str, name: str) -> Entry:
        """What has this name; imports its plugin. Raises InputError naming the nearest one."""
        _, plugin = self.described(kind, name)
        entry_point = self._unloaded.pop(_place(plugin), None)
        if entry_point is not None:
            brought = _imported(plugin, entry_point)
            self._fill(plugin, brought)
        return self._entries[kind][name]

    def check(self, kind: str, spec: str) -> None:
        """Raise InputError where a spec names nothing, or a setting or value that there is not; imports nothing."""
        described, _ = self.described(kind, parse_spec(spec)[0])
        described.check(spec)
        for inner, named in described.named(spec):
            self.check(inner, named)

    def component(self, kind: type[Found], spec: str, /) -> Found:
        """The component that `name[field=value,...]` describes."""
        name, settings = parse_spec(spec)
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

        None where no plugin's did.
        """
        if isinstance(error, Faulty) and error.spec:
            return self.described(error.kind, parse_spec(error.spec)[0])[1]
        frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
        by_module = {plugin.module: plugin for plugin in self.plugins if plugin.module}
        return next((by_module[name] for name in reversed(frames) if name in by_module), None)

    def _take_in(self, plugin: Plugin, entry_point: EntryPoint, index: Index) -> None:
        """One installed plugin, from the index where that knows it."""
        self.plugins.append(plugin)
        plugin.stamp, plugin.module = index.stamp(entry_point), entry_point.module
        known = index.get(entry_point)
        if known is not None:
            self._unloaded[_place(plugin)] = entry_point
            for described in known:
                self._enter(plugin, described, None)
            return
        brought = _imported(plugin, entry_point)
        if not plugin.complaints:
            index.put(entry_point, [described for described, _ in brought])
        for described, value in brought:
            self._enter(plugin, described, value)

    def _enter(self, plugin: Plugin, described: Described, value: Any) -> None:
        entries = self._entries[described.kind]
        if described.name in entries:
            other = entries[described.name].plugin.origin
            complaint = f"{described.kind} {described.name!r} is already brought by {other}; rename one of them"
            plugin.complaints.append(complaint)
            return
        entries[described.name] = Entry(described, plugin, value)
        plugin.brings.append(f"{described.kind} {described.name}")

    def _fill(self, plugin: Plugin, brought: list[Brought]) -> None:
        """Values for the entries of a plugin that is imported now; what it has not said before is not taken in."""
        for described, value in brought:
            entry = self._entries[described.kind].get(described.name)
            if entry is not None and entry.plugin is plugin:
                entry.found = value

    def _load_file(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"-p takes a Python file or no:NAME, --problem-file a TOML file, but got {str(path)!r}")
        if path.suffix == ".toml":
            self._declare(path)
            return
        version = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        plugin = Plugin(path.stem, str(path), version, version)
        self.plugins.append(plugin)
        spec = importlib.util.spec_from_file_location(f"pruneframe_file_{path.stem}_{version}", path)
        assert spec is not None
        assert spec.loader is not None
        plugin.module = spec.name
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look up the names in postponed annotations there
        try:
            with _not_printing():
                spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise InputError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
        for described, value in brought_by(module, plugin.complaints.append):
            self._enter(plugin, described, value)
        if plugin.complaints:
            raise InputError(f"{path}: {plugin.complaints[0]}")

    def _declare(self, path: Path) -> None:
        """The problem of a TOML file; known by the file's name alone, so that a study of it can be moved."""
        from .declared.problem import declared

        problem, version = declared(path)
        plugin = Plugin(path.stem, path.name, version, version)
        self.plugins.append(plugin)
        self.declared.append(problem.name)
        self._enter(plugin, Described.of("problem", problem), problem)
        if plugin.complaints:
            raise InputError(f"{path}: {plugin.complaints[0]}")


def _not_printing() -> redirect_stdout[TextIO]:
    """What plugins print while they are imported is no part of a command's output."""
    return redirect_stdout(sys.stderr)


def _place(plugin: Plugin) -> str:
    return f"{plugin.distribution} {plugin.name}"


def _imported(plugin: Plugin, entry_point: EntryPoint) -> list[Brought]:
    """Import an installed plugin; whatever is wrong with it becomes a complaint."""
    try:
        with _not_printing():
            module = entry_point.load()
    except (Exception, SystemExit) as error:  # a plugin may fail in any way while it is imported
        plugin.complaints.append(f"it cannot be imported: {type(error).__name__}: {error}")
        return []
    return brought_by(module, plugin.complaints.append)


def _installed() -> Iterator[tuple[Plugin, EntryPoint]]:
    """All entry points of the group, bundled ones first, then by distribution and name."""
    wanted = os.environ.get("PRUNEFRAME_PLUGINS")
    chosen = None if wanted is None else {HOME, *re.findall(r"[^,\s]+", wanted)}
    found = []
    for entry_point in entry_points(group=GROUP):
        distribution, version = owner(entry_point)
        if chosen is None or distribution in chosen:
            found.append((Plugin(entry_point.name, distribution, version), entry_point))
    absent = (chosen or set()) - {plugin.distribution for plugin, _ in found} - {HOME}
    if absent:
        raise InputError(f"PRUNEFRAME_PLUGINS must name installed distributions with plugins, but got {min(absent)!r}")
    return iter(sorted(found, key=lambda pair: (pair[0].distribution != HOME, pair[0].distribution, pair[0].name)))
