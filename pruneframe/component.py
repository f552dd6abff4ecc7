"""Components: what plugins contribute, as frozen dataclasses whose fields are their settings.

A component's `repr` is its identity: the name, then the settings that differ from their defaults, in the syntax of the
command line, `nsga2[population=20,scorer=taylor]`. `parse` is its inverse.
"""

from __future__ import annotations

import dataclasses
import re
import types
from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

from .errors import InputError, unknown

OPENING, CLOSING = "[", "]"
SPEC = re.compile(r"([A-Za-z0-9_.-]+)(?:\[(.*)\])?", re.DOTALL)


@dataclass(frozen=True)
class Range:
    """The numbers that a setting may hold: from `least` to `most`, or between `above` and `below`; none: unbounded."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def rule(self, name: str) -> str:
        """As in `0 <= share < 1` or `population >= 4`; empty where nothing is bounded."""
        lower = next(
            ((bound, sign) for bound, sign in ((self.least, "="), (self.above, "")) if bound is not None), None
        )
        upper = next(((bound, sign) for bound, sign in ((self.most, "="), (self.below, "")) if bound is not None), None)
        if lower and upper:
            return f"{lower[0]:.4g} <{lower[1]} {name} <{upper[1]} {upper[0]:.4g}"
        if lower:
            return f"{name} >{lower[1]} {lower[0]:.4g}"
        return f"{name} <{upper[1]} {upper[0]:.4g}" if upper else ""


def setting(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A field of a component with its help beside it, and the numbers that it may hold, see `Range`."""
    return field(default=default, metadata={"help": help, "range": Range(least, most, above, below)})


@dataclass(frozen=True)
class Setting:
    """One setting as `pruneframe info` shows it; `rule` says what numbers it may hold."""

    name: str
    type: str
    default: object
    help: str
    rule: str = ""


@dataclass(frozen=True, repr=False)
class Component(ABC):
    """Something with a name and settings that a plugin brings."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        """Raise ValueError for a number out of its range; one that is not given has none."""
        for item in dataclasses.fields(self):
            value, allowed = getattr(self, item.name), item.metadata.get("range", Range())
            if isinstance(value, int | float) and value not in allowed:
                raise ValueError(f"{allowed.rule(item.name)} must hold, but got {value}")

    def __repr__(self) -> str:
        changed = [
            f"{item.name}={_write(getattr(self, item.name))}"
            for item in dataclasses.fields(self)
            if getattr(self, item.name) != item.default
        ]
        return self.name + (f"[{','.join(changed)}]" if changed else "")

    @classmethod
    def settings(cls) -> list[Setting]:
        """All settings, in the order of the fields."""
        hints = get_type_hints(cls)
        return [
            Setting(
                f.name,
                _type_name(hints[f.name]),
                f.default,
                f.metadata.get("help", ""),
                f.metadata.get("range", Range()).rule(f.name),
            )
            for f in dataclasses.fields(cls)
        ]

    @classmethod
    def configured(cls, settings: dict[str, str]) -> Self:
        """The component with some settings given as text; raises InputError for an unknown or ill-typed one."""
        hints = get_type_hints(cls)
        known = {f.name for f in dataclasses.fields(cls)}
        values = {}
        for key, text in settings.items():
            if key not in known:
                error = unknown(f"setting of {cls.name!r}", key, known)
                raise InputError(f"{error} (settings: {', '.join(sorted(known)) or 'none'})")
            values[key] = _read(text, hints[key], f"{cls.name}[{key}=...]")
        lacking = sorted(f.name for f in dataclasses.fields(cls) if _required(f) and f.name not in values)
        if lacking:
            raise InputError(f"{cls.name} needs {', '.join(lacking)}; write {cls.name}[{lacking[0]}=...]")
        try:
            return cls(**values)
        except ValueError as error:
            raise InputError(f"{cls.name}: {error}") from error


def split(text: str, separator: str = ",") -> list[str]:
    """Cut at separators outside brackets: `a,b[x=1,y=2]` has two parts. Raises InputError for unbalanced brackets."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char == OPENING) - (char == CLOSING)
        if depth < 0:
            break
        if char == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if depth != 0:
        raise InputError(f"brackets must balance, but got {text!r}; write name[setting=value,...]")
    return [part.strip() for part in [*parts, text[start:]]]


def parse_spec(text: str) -> tuple[str, dict[str, str]]:
    """`name[field=value,...]` as name and settings; raises InputError when it is not of that form."""
    match = SPEC.fullmatch(text.strip())
    if match is None:
        raise InputError(f"a component is written name or name[setting=value,...], but got {text!r}")
    name, inside = match.groups()
    settings: dict[str, str] = {}
    for part in split(inside) if inside else []:
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise InputError(f"settings are written setting=value, but got {part!r} in {text!r}")
        if key.strip() in settings:
            raise InputError(f"each setting may be given once, but {key.strip()!r} stands twice in {text!r}")
        settings[key.strip()] = value.strip()
    return name, settings


def _required(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _write(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "+".join(_write(item) for item in value)
    return "none" if value is None else str(value)


def _type_name(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " | ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(_type_name(part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        return f"{_type_name(get_args(hint)[0])}+..."
    return "none" if hint is type(None) else hint.__name__


def _alternatives(hint: Any) -> Iterator[Any]:
    """The members of a union, None first: `none` must not be read as a string."""
    if get_origin(hint) in (Union, types.UnionType):
        yield from sorted(get_args(hint), key=lambda part: part is not type(None))
    else:
        yield hint


def _read(text: str, hint: Any, where: str) -> object:
    for alternative in _alternatives(hint):
        try:
            return _convert(text, alternative)
        except ValueError:
            continue
    raise InputError(f"{where} must be {_type_name(hint)}, but got {text!r}")


def _convert(text: str, hint: Any) -> object:
    if get_origin(hint) is Literal:
        choices = {str(choice): choice for choice in get_args(hint)}
        if text not in choices:
            raise ValueError
        return choices[text]
    if get_origin(hint) is tuple:
        return tuple(_convert(part, get_args(hint)[0]) for part in split(text, "+")) if text else ()
    if hint is type(None):
        if text != "none":
            raise ValueError
        return None
    if hint is bool:
        if text not in ("true", "false"):
            raise ValueError
        return text == "true"
    return hint(text)
