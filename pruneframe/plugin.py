"""Plugins: where they come from, what became of each, and how the code of one is imported."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points, version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from .errors import InputError
from .files import read_plain
from .hooks import Brought, brought_by
from .index import owner
from .patience import TimeUp, within

GROUP = "pruneframe"
HOME = "pruneframe"  # the distribution whose plugins are bundled
REQUIRES = "pruneframe_requires"  # what a module calls the versions that it was written for

IMPORTING = 600.0  # seconds; libraries may lie on a slow disk

HANDLING = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}  # of errors, as NumPy begins

State = Literal["loaded", "left out", "not compatible", "failed"]
Origin = Literal["bundled", "installed", "file", "module", "problem file", "in memory"]


@dataclass
class Plugin:
    """One plugin, imported or not; `stamp` changes with its code, `complaints` say what is wrong with it.

    One that is `left out` was so by who runs pruneframe, and is `why` not there; nobody complains about it.
    """

    name: str
    distribution: str
    version: str
    origin: Origin = "installed"
    stamp: str = ""
    module: str = ""  # where its code begins
    brings: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    left_out: str = ""  # by what, where it is
    compatible: bool = True

    @property
    def who(self) -> str:
        """Who ships it, for messages."""
        return f"{self.distribution} {self.version}"

    def signed(self, fault: str) -> str:
        """What went wrong by its fault, with its name."""
        return f"{fault} (plugin {self.name!r} of {self.who})"

    @property
    def state(self) -> State:
        """What became of it."""
        if self.left_out:
            return "left out"
        if not self.compatible:
            return "not compatible"
        return "failed" if self.complaints and not self.brings else "loaded"

    @property
    def why(self) -> str:
        """What led to its state, in a line; empty where all is well."""
        return self.left_out or "; ".join(self.complaints)

    def told(self) -> dict[str, Any]:
        """As `pruneframe plugins --json` tells it."""
        names = ("name", "distribution", "version", "origin", "state", "why", "brings")
        return {name: getattr(self, name) for name in names}

    def fits(self, requires: str) -> bool:
        """Whether this version of pruneframe is one that it was written for; complains where not."""
        ours = version("pruneframe")
        try:
            self.compatible = SpecifierSet(requires).contains(ours, prereleases=True)
        except InvalidSpecifier:
            self.complaints.append(f"{REQUIRES} must be versions, such as '>=0.1,<0.2', but is {requires!r}")
            return False
        if not self.compatible:
            self.complaints.append(f"it was written for pruneframe {requires}, and this is pruneframe {ours}; left out")
        return self.compatible


def installed() -> list[tuple[Plugin, EntryPoint]]:
    """All entry points of the group, bundled ones first, then by distribution and name."""
    found = []
    for entry_point in entry_points(group=GROUP):
        distribution, number = owner(entry_point)
        origin: Origin = "bundled" if distribution == HOME else "installed"
        found.append((Plugin(entry_point.name, distribution, number, origin), entry_point))
    return sorted(found, key=lambda pair: (pair[0].distribution != HOME, pair[0].distribution, pair[0].name))


def required(entry_point: EntryPoint) -> str:
    """The versions of pruneframe that an installed distribution says it needs; empty where any will do."""
    return "" if entry_point.dist is None or entry_point.dist.name == HOME else _required(entry_point.dist)


@cache
def _required(distribution: Distribution) -> str:
    for text in distribution.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.name == HOME and requirement.marker is None:
            return str(requirement.specifier)
    return ""


def imported(plugin: Plugin, entry_point: EntryPoint) -> list[Brought]:
    """Import an installed plugin; whatever is wrong with it becomes a complaint."""
    try:
        with _harmless():
            module = within(IMPORTING, entry_point.load)
    except (Exception, SystemExit, TimeUp) as error:  # a plugin may fail in any way while it is imported
        plugin.complaints.append(f"it cannot be imported: {_why(error)}")
        return []
    return brought_by(module, plugin.complaints.append, f"{plugin.name} of {plugin.who}")


def given(source: str) -> tuple[Plugin, list[Brought]]:
    """The plugin that is a file or a module, by its value of `-p`; raises InputError where it cannot be used."""
    path, spec = Path(source), None
    if path.is_file() and path.suffix == ".py":
        spec = importlib.util.spec_from_file_location(f"pruneframe_file_{path.stem}_{_version(path)}", path)
    elif all(part.isidentifier() for part in source.split(".")):
        spec = _found(source)
    if spec is None or spec.loader is None or spec.origin is None:
        raise InputError(f"-p takes a Python file, a module or no:NAME, --problem-file a TOML file, but got {source!r}")
    number = _version(Path(spec.origin))
    name, origin = (path.stem, "file") if path.suffix == ".py" else (source, "module")
    plugin = Plugin(name, source, number, origin, number, spec.name)  # type: ignore[arg-type] # one of two
    requires = _stated(Path(spec.origin))
    if requires is not None and not plugin.fits(requires):
        return plugin, []
    try:
        with _harmless():
            module = within(IMPORTING, lambda: _executed(spec) if origin == "file" else importlib.import_module(source))
    except (Exception, SystemExit, TimeUp) as error:
        raise InputError(f"{source} cannot be imported: {_why(error)}") from error
    return plugin, brought_by(module, plugin.complaints.append, f"{plugin.name} of {plugin.who}")


def _found(module: str) -> Any:
    """Where a module lies, or None; raises InputError where a package around it cannot be imported."""
    try:
        with _harmless():
            return within(IMPORTING, lambda: importlib.util.find_spec(module))
    except ModuleNotFoundError:
        return None
    except (Exception, SystemExit, TimeUp) as error:
        raise InputError(f"{module} cannot be imported: {_why(error)}") from error


def _why(error: BaseException) -> str:
    """Why it cannot be, in a few words."""
    over = f"it must end within {IMPORTING:g} s, but goes on; a problem's functions may take longer"
    return over if isinstance(error, TimeUp) else f"{type(error).__name__}: {error}"


def _executed(spec: Any) -> ModuleType:
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up the names in postponed annotations there
    spec.loader.exec_module(module)
    return module


def _version(path: Path) -> str:
    return hashlib.sha256(read_plain(path)).hexdigest()[:12]


def _stated(path: Path) -> str | None:
    """What a module says at its top that it was written for, read without running it: it may not run any more."""
    try:
        body = ast.parse(read_plain(path)).body
    except (SyntaxError, ValueError):  # which importing it tells
        return None
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)) if name == REQUIRES:
                return str(value)
    return None


def from_environment() -> Iterator[str]:
    """The sources that `PRUNEFRAME_PLUGINS` lists."""
    return (source.strip() for source in os.environ.get("PRUNEFRAME_PLUGINS", "").split(",") if source.strip())


@contextmanager
def _harmless() -> Iterator[None]:
    """What a plugin prints while it is imported is no part of a command's output, and what it changes is put back.

    Of what all share: the working folder, NumPy's handling of errors, and torch's default dtype. A plugin may not know
    of it, since a library that it imports may do that.
    """
    folder = Path.cwd() if Path().exists() else Path("/")  # somebody may have removed it
    handling, dtype = _loaded("numpy", "geterr"), _loaded("torch", "get_default_dtype")
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.chdir(folder)
        if _loaded("numpy", "geterr") not in (None, handling):
            sys.modules["numpy"].seterr(**(handling or HANDLING))
        if _loaded("torch", "get_default_dtype") not in (None, dtype):
            sys.modules["torch"].set_default_dtype(dtype or sys.modules["torch"].float32)


def _loaded(module: str, function: str) -> Any:
    """What a function of a module says, where that has been imported; None where it has not."""
    return getattr(sys.modules.get(module), function, lambda: None)()
