"""Settings of a component of any kind: they can be written and read back, and hold only what they may."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..component import Component, Range
from ..errors import InputError
from ..spec import parse_spec
from .rule import C, Case, Contract


def with_settings(contract: Contract[C]) -> Contract[C]:
    """Begin a contract with the rules about settings."""
    contract.rule("settings", "let fields be bool, int, float, str, Literals, or tuples of them, and repr as it is")(
        reads_back
    )
    contract.rule("bounds", "begin a __post_init__ of your own with super().__post_init__()")(keeps_bounds)
    return contract


def reads_back(case: Case) -> None:
    """Its repr, with any settings, reads back as the same component."""
    for component in (case.component, *varied(case.component)):
        name, settings = parse_spec(repr(component))
        assert name == component.name, "repr must begin with the name"
        assert type(component).configured(settings) == component, f"repr must read back, but got {component!r}"
    hash(case.component)


def keeps_bounds(case: Case) -> None:
    """It refuses numbers that its settings may not hold."""
    for name, allowed in ranges(case.component):
        for value in outside(allowed):
            try:
                dataclasses.replace(case.component, **{name: value})
            except (ValueError, InputError):
                continue
            raise AssertionError(f"{allowed.rule(name)} must hold, but {name}={value:g} is taken")


def varied(component: Component) -> Iterator[Component]:
    """The component with one setting at a time another, wherever that can be told and may be."""
    hints = get_type_hints(type(component))
    for item in dataclasses.fields(component):
        for value in others(getattr(component, item.name), hints[item.name]):
            try:
                yield dataclasses.replace(component, **{item.name: value})
            except (ValueError, InputError):  # not together with the others
                continue


def others(value: Any, hint: Any) -> tuple[Any, ...]:
    """Other values of a setting."""
    if get_origin(hint) is Literal:
        return tuple(choice for choice in get_args(hint) if choice != value)
    if isinstance(value, bool):
        return (not value,)
    return (value / 2, value + 1) if type(value) is float else (value + 1,) if type(value) is int else ()


def ranges(component: Component) -> Iterator[tuple[str, Range]]:
    """All settings that are numbers with bounds."""
    for item in dataclasses.fields(component):
        allowed = item.metadata.get("range", Range())
        if allowed != Range():
            yield item.name, allowed


def outside(allowed: Range) -> Iterator[float]:
    """A number beyond each bound."""
    if allowed.least is not None:
        yield allowed.least - 1
    if allowed.above is not None:
        yield allowed.above
    if allowed.most is not None:
        yield allowed.most + 1
    if allowed.below is not None:
        yield allowed.below
