"""Finds plugins, loads each in isolation, and looks up by name what they bring."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from . import hookspecs
from .component import Component, parse_spec, split
from .device import Device
from .encoding import Encoding
from .errors import InputError, unknown
from .method import Method
from .objective import Objective
from .problem import Problem
from .report import Report
from .scorer import Scorer
from .variation import Variation

GROUP = "pruneframe"
HOME = "pruneframe"  # the distribution whose plugins are bundled
KINDS: dict[str, type] = {
    "method": Method,
    "problem": Problem,
    "objective": Objective,
    "device": Device,
    "encoding": Encoding,
    "scorer": Scorer,
    "variation": Variation,
    "report": Report,
}


@dataclass
class Plugin:
    """One plugin, loaded or not; `complaints` say what is wrong with it."""

    name: str
    distribution: str
    version: str
    brings: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Who ships it, for messages."""
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class Entry:
    """Something a plugin brings: a component class, or a problem."""

    value: Any
    plugin: Plugin


class Registry:
    """What can be named: components by kind and name, from bundled and installed plugins and from files.

    `sources` are the values of `-p`: `no:NAME` leaves out a plugin or distribution, `FILE.py` adds a file. The
    environment variable `PRUNEFRAME_PLUGINS`, when set, lists the outside distributions to load; empty loads none.
    """

    def __init__(self, sources: Iterable[str] = ()) -> None:
        self.sources = tuple(sources)
        self.plugins: list[Plugin] = []
        self._entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        excluded = {source.removeprefix("no:") for source in self.sources if source.startswith("no:")}
        found = list(_installed())
        left_over = excluded - {name for p, _ in found for name in (p.name, p.distribution)}
        if left_over:
            raise unknown("plugin", min(left_over), {p.name for p, _ in found})
        for plugin, entry_point in found:
            if not excluded & {plugin.name, plugin.distribution}:
                self._load(plugin, entry_point)
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

    def entry(self, kind: str, name: str) -> Entry:
        """What has this name; raises InputError naming the nearest one."""
        if name not in self._entries[kind]:
            raise unknown(kind, name, self._entries[kind])
        return self._entries[kind][name]

    def component(self, kind: str, spec: str) -> Component:
        """The component that `name[field=value,...]` describes."""
        name, settings = parse_spec(spec)
        return self.entry(kind, name).value.configured(settings)

    def problem(self, name: str) -> Problem:
        """A problem by name."""
        return self.entry("problem", name).value

    def versions_behind(self, problem: Problem, method: Method) -> dict[str, str]:
        """Distributions and versions of all plugins that a run involves, found by the names in its settings."""
        entries = [self.entry("problem", problem.name), self.entry("method", method.name)]
        entries += [self.entry("objective", parse_spec(spec)[0]) for spec in problem.objectives]
        if any(self.component("objective", spec).physical for spec in problem.objectives):  # type: ignore[attr-defined]
            entries.append(self.entry("device", parse_spec(problem.target)[0]))
        texts = [getattr(method, f.name) for f in dataclasses.fields(method)]
        for text in (text for text in texts if isinstance(text, str)):
            for name in re.findall(r"[A-Za-z0-9_.-]+", text):
                entries += [self._entries[k][name] for k in KINDS if k != "problem" and name in self._entries[k]]
        return dict(sorted((entry.plugin.distribution, entry.plugin.version) for entry in entries))

    def _load(self, plugin: Plugin, entry_point: EntryPoint) -> None:
        self.plugins.append(plugin)
        try:
            module = entry_point.load()
        except (Exception, SystemExit) as error:  # a plugin may fail in any way while it is imported
            plugin.complaints.append(f"it cannot be imported: {type(error).__name__}: {error}")
            return
        self._register(plugin, module)

    def _load_file(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"-p takes a Python file or no:NAME, but got {str(path)!r}")
        version = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        plugin = Plugin(path.stem, str(path), version)
        self.plugins.append(plugin)
        spec = importlib.util.spec_from_file_location(f"pruneframe_file_{path.stem}_{version}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look up the names in postponed annotations there
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise InputError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
        self._register(plugin, module)
        if plugin.complaints:
            raise InputError(f"{path}: {plugin.complaints[0]}")

    def _register(self, plugin: Plugin, module: ModuleType) -> None:
        """Take in what one plugin's hooks return, each hook on its own."""
        plugin.complaints += _misspelt(module)
        try:
            self._manager.register(module, f"{plugin.distribution}:{plugin.name}")
        except (pluggy.PluginValidationError, ValueError) as error:
            plugin.complaints.append(str(error))
            return
        for caller in self._manager.get_hookcallers(module) or []:
            for hook in caller.get_hookimpls():
                if hook.plugin is module and caller.has_spec():
                    kind = caller.name.removeprefix("pruneframe_").removesuffix("s")
                    self._take(plugin, kind, caller.name, hook)

    def _take(self, plugin: Plugin, kind: str, name: str, hook: pluggy.HookImpl) -> None:
        try:
            brought: list[Any] = list(hook.function())  # type: ignore[call-overload] # checked one by one below
        except (Exception, SystemExit) as error:  # as above: any failure of one plugin stays its own
            plugin.complaints.append(f"{name} fails: {type(error).__name__}: {error}")
            return
        for value in brought:
            complaint = _unfit(kind, value) or self._taken(kind, value.name)
            if complaint:
                plugin.complaints.append(complaint)
            else:
                self._entries[kind][value.name] = Entry(value, plugin)
                plugin.brings.append(f"{kind} {value.name}")

    def _taken(self, kind: str, name: str) -> str | None:
        if name not in self._entries[kind]:
            return None
        return f"{kind} {name!r} is already brought by {self._entries[kind][name].plugin.origin}; rename one of them"


def names(text: Iterable[str]) -> list[str]:
    """Comma lists and repeated values as one list: ("a,b[x=1,y=2]", "c") has three names."""
    return [name for part in text for name in split(part) if name]


def _installed() -> Iterator[tuple[Plugin, EntryPoint]]:
    """All entry points of the group, bundled ones first, then by distribution and name."""
    wanted = os.environ.get("PRUNEFRAME_PLUGINS")
    chosen = None if wanted is None else {HOME, *re.findall(r"[^,\s]+", wanted)}
    found = []
    for entry_point in entry_points(group=GROUP):
        distribution = entry_point.dist.name if entry_point.dist else "unknown"
        version = entry_point.dist.version if entry_point.dist else "unknown"
        if chosen is None or distribution in chosen:
            found.append((Plugin(entry_point.name, distribution, version), entry_point))
    absent = (chosen or set()) - {plugin.distribution for plugin, _ in found} - {HOME}
    if absent:
        raise InputError(f"PRUNEFRAME_PLUGINS must name installed distributions with plugins, but got {min(absent)!r}")
    return iter(sorted(found, key=lambda pair: (pair[0].distribution != HOME, pair[0].distribution, pair[0].name)))


def _misspelt(module: ModuleType) -> list[str]:
    """Complaints about functions that look like hooks but are none, and hooks without their mark."""
    known = {name for name in vars(hookspecs) if name.startswith("pruneframe_")}
    complaints = []
    for name, value in vars(module).items():
        # as pluggy looks: other objects may answer to any name, or fail when asked
        marked = inspect.isroutine(value) and isinstance(getattr(value, "pruneframe_impl", None), dict)
        if (marked or (name.startswith("pruneframe_") and callable(value))) and name not in known:
            complaints.append(str(unknown("hook", name, known)))
        elif name in known and not marked:
            complaints.append(f"{name} must be marked with @pruneframe.hookimpl to be called")
    return complaints


def _unfit(kind: str, value: Any) -> str | None:
    """Why something cannot be a component of this kind, or None."""
    wanted = KINDS[kind]
    if kind == "problem":
        return None if isinstance(value, Problem) else f"a problem must be a pruneframe.Problem, but got {value!r}"
    if not isinstance(value, type) or not issubclass(value, wanted):
        return f"a {kind} must be a subclass of pruneframe.{wanted.__name__}, but got {value!r}"
    lacking = sorted(getattr(value, "__abstractmethods__", ()))
    if lacking:
        return f"{kind} {value.__name__} must define {', '.join(lacking)}"
    name = getattr(value, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        return f"{kind} {value.__name__} must have a name of lower-case letters, digits and dashes, but got {name!r}"
    own = vars(value)  # a generated repr would hide Component's, which is the identity
    if "__dataclass_fields__" not in own or not own["__dataclass_params__"].frozen or "__repr__" in own:
        return f"{kind} {name!r} must be marked with @dataclass(frozen=True, repr=False)"
    return None
