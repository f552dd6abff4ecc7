"""What the code says of a public name: docstring, signature, fields with what stands beside them, and members."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from .markdown import code, prose

HIDDEN = {"kind"}  # of components: set once by the class of each kind


@dataclass(frozen=True)
class Member:
    """A method or property of a class."""

    name: str
    code: str
    text: str


@dataclass(frozen=True)
class Described:
    """What a section of the reference is made of; `fields` are name, type, default and meaning."""

    text: str
    signature: str = ""
    fields: tuple[tuple[str, str, str, str], ...] = ()
    members: tuple[Member, ...] = ()


def described(value: Any, name: str = "", module: ModuleType | None = None) -> Described:
    """Raises ValueError for what nothing is said of."""
    if inspect.ismodule(value):
        return Described(_said(value, value.__name__))
    if inspect.isclass(value):
        return Described(_said(value, name), _made(value), tuple(_fields(value)), tuple(_members(value)))
    if callable(value) and hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    if inspect.isfunction(value):
        return Described(_said(value, name), _signature(value))
    assert module is not None
    return Described(*_constant(name, value, module))


def _said(value: Any, name: str) -> str:
    text = inspect.getdoc(value)
    if not text:
        raise ValueError(f"{name} is public and needs a docstring")
    return prose(text)


def _signature(function: Any) -> str:
    """As it is written, but for `self`."""
    whole = inspect.signature(function)
    inner = [one.replace(annotation=_Written(one.annotation)) for one in whole.parameters.values()]
    inner = [one for number, one in enumerate(inner) if number or one.name not in ("self", "cls")]
    return str(whole.replace(parameters=inner, return_annotation=_Written(whole.return_annotation)))


def _made(value: type) -> str:
    """How an object of a class is made, where its fields do not say it."""
    return "" if dataclasses.is_dataclass(value) or "__init__" not in vars(value) else _signature(value.__init__)


class _Written(str):
    """An annotation, which a signature shows without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def __new__(cls, annotation: Any) -> Any:
        return super().__new__(cls, annotation) if isinstance(annotation, str) else annotation


def _constant(name: str, value: Any, module: ModuleType) -> tuple[str, str]:
    """What stands beside a constant or above it, and its value."""
    source = inspect.getsource(_home(name, module))
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and name in {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}:
            text = _beside(lines[node.end_lineno - 1]) or _above(lines[: node.lineno - 1])
            if not text:
                raise ValueError(f"{name} is public and needs a comment that says what it is")
            alias, shown = isinstance(node.value, ast.Subscript), isinstance(value, str | float | int | tuple)
            written = ast.unparse(node.value) if alias else repr(value) if shown else ""
            return prose(text), f" = {written}" if 0 < len(written) < 100 else ""
    raise ValueError(f"{name} is public, but {module.__name__} does not assign it")


def _beside(line: str) -> str:
    """The comment at the end of a line."""
    found = re.search(r"(?:^|\s)# (.*)$", line)
    return found[1] if found else ""


def _home(name: str, module: ModuleType) -> ModuleType:
    """The module that assigns a name which another one offers."""
    homes = dict(getattr(module, "_HOMES", {}))
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom):
            homes |= {one.name: node.module for one in node.names}
    return import_module(f"{module.__name__}.{homes[name]}") if name in homes else module


def _above(lines: list[str]) -> str:
    """The comment in the line above."""
    return lines[-1][2:] if lines and lines[-1].startswith("# ") else ""


def _fields(value: type) -> Iterator[tuple[str, str, str, str]]:
    """The fields of a dataclass, and the class variables that a component sets."""
    if not dataclasses.is_dataclass(value):
        return
    beside = _comments(value)
    for field in dataclasses.fields(value):
        if field.name.startswith("_"):
            continue
        meaning = field.metadata.get("help", "") or beside.get(field.name, "")
        yield code(field.name), code(str(field.type)), code(_default(field)), prose(meaning) if meaning else ""
    for name, kind in inspect.get_annotations(value).items():
        if "ClassVar" in str(kind) and name not in HIDDEN:
            default = repr(getattr(value, name)) if hasattr(value, name) else ""
            yield code(name), code(str(kind)), code(default), prose(beside.get(name, ""))


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return f"{field.default_factory.__name__}()"
    return ""


def _comments(value: type) -> dict[str, str]:
    """What stands beside the fields of a class and of the classes that it is made from."""
    found: dict[str, str] = {}
    for one in reversed(value.__mro__):
        if not one.__module__.startswith("pruneframe"):
            continue
        lines = textwrap.dedent(inspect.getsource(one)).splitlines()
        [node] = ast.parse("\n".join(lines)).body
        assert isinstance(node, ast.ClassDef)
        for inner in node.body:
            if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                found[inner.target.id] = _beside(lines[(inner.end_lineno or 1) - 1])
    return found


def _members(value: type) -> Iterator[Member]:
    """Methods and properties of a class and of those that it is made from, but for what nobody calls by its name."""
    seen: set[str] = set()
    for one in value.__mro__:
        if not one.__module__.startswith("pruneframe"):
            continue
        for name, member in vars(one).items():
            if name.startswith("_") or name in seen:
                continue
            function = _function(member)
            if function is None:
                continue
            seen.add(name)
            text = _said(getattr(value, name) if not _is_property(member) else member, f"{value.__name__}.{name}")
            yield Member(name, _shown(name, member, function), text)


def _is_property(member: Any) -> bool:
    return isinstance(member, property | functools.cached_property)


def _function(member: Any) -> Any:
    if isinstance(member, property):
        return member.fget
    if isinstance(member, functools.cached_property):
        return member.func
    if isinstance(member, classmethod | staticmethod):
        return member.__func__
    return member if inspect.isfunction(member) else None


def _shown(name: str, member: Any, function: Any) -> str:
    if _is_property(member):
        kind = inspect.signature(function).return_annotation
        return f"```python\n{name}: {kind}  # property\n```"
    mark = f"@{type(member).__name__}\n" if isinstance(member, classmethod | staticmethod) else ""
    mark = "@abstractmethod\n" if getattr(function, "__isabstractmethod__", False) else mark
    return f"```python\n{mark}{name}{_signature(function)}\n```"
