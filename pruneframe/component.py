"""Components: what plugins contribute, as frozen dataclasses whose fields are their settings.

A component's `repr` is its identity: the name, then the settings that differ from their defaults, in the syntax of the
command line, `nsga2[population=20,scorer=taylor]`. `parse_spec` and `configured` are its inverse.
"""

from __future__ import annotations

import dataclasses
from abc import ABC
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self, TypeVar, get_type_hints

from .errors import InputError, unknown
from .spec import read, split, type_name, write

LARGEST = 10_000_000  # whole number in a setting that does not say how large it may be
NONE = "none"  # in the place of a component's name, where a setting may name none

Tried = tuple[float, float] | tuple[str, ...]  # of a setting: from and to, or texts to choose from


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
    kind: str = "",
    tried: Any = None,
) -> Any:
    """A field of a component with its help beside it, and the numbers that it may hold, see `Range`.

    `kind`: the value is a spec of that kind of component ("scorer", "encoding"), or several joined by `+`; whatever a
    run's settings name so is part of what it involves, with its version. `tried` is what `pruneframe tune` tries: two
    numbers, from and to, or texts to choose from; nothing at all where it is empty; where it is not given, what the
    type, the range and the kind allow; see `Setting`.
    """
    allowed = Range(least, most, above, below)
    return field(default=default, metadata={"help": help, "range": allowed, "kind": kind, "tried": tried})


@dataclass(frozen=True)
class Setting:
    """One setting as `pruneframe info` shows it; `kind` says which sort of component it names, if it does.

    One that is `required` has no default. What `pruneframe tune` tries of it, where that is declared, is `tried`.
    """

    name: str
    type: str
    default: object
    help: str
    range: Range = Range()
    kind: str = ""
    required: bool = False
    tried: Tried | None = None

    @property
    def rule(self) -> str:
        """What numbers it may hold, as `rate >= 0`; empty where all."""
        return self.range.rule(self.name)


@dataclass(frozen=True)
class Claim:
    """What a paper reports under its own protocol: shown behind measured fronts, never compared with them by a test."""

    paper: str  # as it is cited in a line: "Yang et al., 2019"
    text: str  # the claim, in a few words
    protocol: str  # what is known of how it was measured
    problems: tuple[str, ...] = ()  # the problems here that have the same network and data
    removed: float | None = None  # share of all parameters, where the claim is about that
    removed_macs: float | None = None  # share of the multiply-adds, likewise
    drop: float | None = None  # points of accuracy lost, below 0 gained, where they are said
    method: str = ""  # as the paper calls it, or the name here; of a claim among `Method.claims`, that method
    read: str = ""  # where it was read: the abstract, a table, somebody's summary


@dataclass(frozen=True, repr=False)
class Component(ABC):
    """Something with a name and settings that a plugin brings; `kind` is what sort of thing, as "scorer"."""

    kind: ClassVar[str]
    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()  # what else people call it; it is told of by its name alone

    def __post_init__(self) -> None:
        """Raise ValueError for a number out of its range; one that is not given has none."""
        for item in dataclasses.fields(self):
            value, allowed = getattr(self, item.name), item.metadata.get("range", Range())
            if isinstance(value, int | float) and value not in allowed:
                raise ValueError(f"{allowed.rule(item.name)} must hold, but got {value}")
            if isinstance(value, int) and allowed.most is None and abs(value) > LARGEST:
                raise ValueError(f"{item.name} <= {LARGEST:,} must hold, but got {value}")

    def __repr__(self) -> str:
        changed = [
            f"{item.name}={write(getattr(self, item.name))}"
            for item in dataclasses.fields(self)
            if getattr(self, item.name) != item.default
        ]
        return self.name + (f"[{','.join(changed)}]" if changed else "")

    def named(self) -> Iterator[tuple[str, str]]:
        """Kind and spec of every component that the settings name."""
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if item.metadata.get("kind") and value not in (None, NONE):
                specs = value if isinstance(value, tuple) else split(value, "+")
                yield from ((item.metadata["kind"], spec) for spec in specs)

    @classmethod
    def settings(cls) -> list[Setting]:
        """All settings, in the order of the fields."""
        hints = get_type_hints(cls)
        return [
            Setting(
                f.name,
                type_name(hints[f.name]),
                _default(f),
                f.metadata.get("help", ""),
                f.metadata.get("range", Range()),
                f.metadata.get("kind", ""),
                _required(f),
                f.metadata.get("tried"),
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
                raise no_setting(cls.name, key, known)
            values[key] = read(text, hints[key], f"{cls.name}[{key}=...]")
        check_given(cls.name, settings, (f.name for f in dataclasses.fields(cls) if _required(f)))
        try:
            return cls(**values)
        except ValueError as error:
            raise InputError(f"{cls.name}: {error}") from error


Found = TypeVar("Found", bound=Component)


class Lookup(Protocol):
    """Finds components: `lookup(Scorer, "taylor")`; raises InputError for what there is not."""

    def __call__(self, kind: type[Found], spec: str, /) -> Found:
        """The component of this kind that a spec describes."""


def no_setting(component: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a setting that a component has not."""
    error = unknown(f"setting of {component!r}", name, known)
    return InputError(f"{error} (settings: {', '.join(sorted(known)) or 'none'})")


def check_given(component: str, given: Container[str], required: Iterable[str]) -> None:
    """Raise InputError where a setting without a default is not given."""
    lacking = sorted(name for name in required if name not in given)
    if lacking:
        raise InputError(f"{component} needs {', '.join(lacking)}; write {component}[{lacking[0]}=...]")


def _required(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _default(item: dataclasses.Field[Any]) -> object:
    """The value of a setting that is not given; None where it must be."""
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return None if _required(item) else item.default
