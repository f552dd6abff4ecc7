"""The index: what installed plugins bring, kept per installed version, so that names are known without an import.

Importing all plugins imports all libraries that any of them needs, which takes seconds; their names do not change
between two versions. What a plugin was found to bring is kept in the cache under a stamp of everything that could
change it; a plugin with a complaint is not kept, but asked again each time.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, version
from pathlib import Path
from typing import Any

from .component import NONE, Claim, Range, Setting, check_given, no_setting
from .errors import InputError
from .files import cache_folder, read_json, write_whole
from .spec import fits, parse_spec, split

FORMAT = 4


@dataclass(frozen=True)
class Described:
    """A component or problem as `list`, `info` and reports tell of it; its settings are known, its class is not."""

    kind: str
    name: str
    about: str
    source: str
    settings: tuple[Setting, ...]
    bibtex: str = ""
    claims: tuple[Claim, ...] = ()
    instances: str = ""  # of a problem: how many, and what varies
    aliases: tuple[str, ...] = ()

    @classmethod
    def of(cls, kind: str, value: Any) -> Described:
        """From what a plugin brings, as the index would give it back: through JSON."""
        if kind == "problem":
            about, source, settings = value.summary, value.source, _settings_of(value)
        else:
            about, source, settings = inspect.getdoc(value) or "", getattr(value, "provenance", ""), value.settings()
        papers = getattr(value, "bibtex", ""), tuple(getattr(value, "claims", ()))
        rest = getattr(value, "instances", ""), tuple(getattr(value, "aliases", ()))
        found = cls(kind, value.name, about, source, tuple(settings), *papers, *rest)
        return cls.read(json.loads(json.dumps(asdict(found), default=str)))

    @classmethod
    def read(cls, found: dict[str, Any]) -> Described:
        """From JSON values."""
        claims = tuple(Claim(**one | {"problems": tuple(one["problems"])}) for one in found["claims"])
        settings, aliases = tuple(_setting(one) for one in found["settings"]), tuple(found["aliases"])
        return cls(**found | {"settings": settings, "claims": claims, "aliases": aliases})

    @property
    def summary(self) -> str:
        """The first sentence about it."""
        return self.about.split("\n\n")[0].replace("\n", " ")

    def named(self, spec: str) -> Iterator[tuple[str, str]]:
        """Kind and spec of every component that the settings in a spec of it name."""
        given = parse_spec(spec)[1]
        for one in self.settings:
            text = given.get(one.name, NONE)
            if one.kind and (text or not one.type.endswith("+...")):  # several may be none at all
                yield from ((one.kind, part) for part in split(text, "+") if part != NONE)

    def check(self, spec: str) -> None:
        """Raise InputError for a spec of it with a setting that it has not, or a value that the setting cannot hold."""
        known, given = {one.name: one for one in self.settings}, parse_spec(spec)[1]
        for name, text in given.items():
            if name not in known:
                raise no_setting(self.name, name, known)
            one = known[name]
            if not fits(text, one.type):
                raise InputError(f"{self.name}[{name}=...] must be {one.type}, but got {text!r}")
            with suppress(ValueError):
                if text != "none" and float(text) not in one.range:
                    raise InputError(f"{self.name}: {one.range.rule(name)} must hold, but got {text}")
        check_given(self.name, given, (one.name for one in self.settings if one.required))


def _setting(found: dict[str, Any]) -> Setting:
    """From JSON values, which know no tuples."""
    several = {name: tuple(found[name]) for name in ("default", "tried") if isinstance(found[name], list)}
    return Setting(**found | {"range": Range(**found["range"])} | several)


def _settings_of(problem: Any) -> list[Setting]:
    """What a command may set of a problem, with its own values."""
    names = ("units", "objectives", "batch_norm", "search_images", "budget")
    values = {name: getattr(problem, name) for name in names}
    return [Setting(name, "", value, "") for name, value in values.items()]


class Index:
    """What each plugin brought when it was last imported, by its place; kept in the cache."""

    def __init__(self) -> None:
        self._path = cache_folder() / "plugins.json"
        self._known: dict[str, Any] = _read(self._path)
        self._stamps: dict[str, str] = {}
        self._ours = version("pruneframe")
        self._changed = False

    def get(self, entry_point: EntryPoint) -> list[Described] | None:
        """What a plugin brings; None where it must be imported to know."""
        found = self._known.get(self._place(entry_point))
        if not isinstance(found, dict) or found.get("stamp") != self.stamp(entry_point):
            return None
        try:
            return [Described.read(one) for one in found["brings"]]
        except (KeyError, TypeError):  # another hand's
            return None

    def put(self, entry_point: EntryPoint, brings: list[Described]) -> None:
        """Remember what a plugin brings."""
        stamp = self.stamp(entry_point)
        self._known[self._place(entry_point)] = {"stamp": stamp, "brings": [asdict(one) for one in brings]}
        self._changed = True

    def save(self) -> None:
        """Write what is new; a cache that cannot be written is no error, only slower."""
        if self._changed:
            text = json.dumps({"format": FORMAT, "plugins": self._known})
            with suppress(OSError):
                write_whole(self._path, lambda file: file.write(text.encode()))

    def _place(self, entry_point: EntryPoint) -> str:
        return f"{sys.prefix} {owner(entry_point)[0]} {entry_point.name}"

    def stamp(self, entry_point: EntryPoint) -> str:
        """Changes whenever what a plugin brings could: with its code, ours, or Python's version."""
        own, ours = (self._code(name) for name in (entry_point.module.partition(".")[0], "pruneframe"))
        return f"{self._ours} {sys.version_info[:3]} {owner(entry_point)[1]} {entry_point.value} {own} {ours}"

    def _code(self, package: str) -> str:
        """The newest change, the number and the size of a package's files; found without importing it."""
        if package not in self._stamps:
            with suppress(ImportError, ValueError):
                spec = importlib.util.find_spec(package)
                folders = list(spec.submodule_search_locations or []) if spec else []
                found = [path for folder in folders for path in Path(folder).rglob("*.py")]
                found += [Path(spec.origin)] if spec and not folders and spec.origin else []
                facts = [path.stat() for path in found]
                newest = max((fact.st_mtime_ns for fact in facts), default=0)
                self._stamps[package] = f"{newest}-{len(facts)}-{sum(fact.st_size for fact in facts)}"
        return self._stamps.setdefault(package, "none")


def owner(entry_point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that a plugin comes from; its metadata are read once."""
    distribution = entry_point.dist
    return ("unknown", "unknown") if distribution is None else _named(distribution)


@cache
def _named(distribution: Distribution) -> tuple[str, str]:
    return distribution.name, distribution.version


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
        return dict(found["plugins"]) if found["format"] == FORMAT else {}
    except (InputError, ValueError, KeyError, TypeError):
        return {}
