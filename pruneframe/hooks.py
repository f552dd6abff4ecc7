"""Hooks asked one by one: what a plugin's module brings, and everything that is wrong with it."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pluggy

from . import hookspecs
from .errors import unknown
from .index import Described
from .patience import PLANNING, TimeUp, within

KINDS = {  # what hooks bring, with the public class of each
    "method": "Method",
    "problem": "Problem",
    "objective": "Objective",
    "target": "Target",
    "unit": "Units",
    "encoding": "Encoding",
    "scorer": "Scorer",
    "variation": "Variation",
    "report": "Report",
}
Brought = tuple[Described, Any]  # a component class or a problem, and what is said of it
Complain = Callable[[str], None]


def tracing() -> bool:
    """Whether who answers which hook is told, on standard error."""
    return os.environ.get("PRUNEFRAME_TRACE_PLUGINS", "") not in ("", "0")


def brought_by(module: ModuleType, complain: Complain, who: str = "") -> list[Brought]:
    """All that a module's hooks return, each hook asked on its own; `complain` hears what cannot be taken in.

    `who` is whose module it is, for those that trace hooks.
    """
    for complaint in _misspelt(module):
        complain(complaint)
    manager = pluggy.PluginManager("pruneframe")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module)
    except (pluggy.PluginValidationError, ValueError) as error:
        complain(str(error))
        return []
    return [
        brought
        for caller in manager.get_hookcallers(module) or []
        for hook in caller.get_hookimpls()
        if caller.has_spec()
        for brought in _asked(caller.name, hook, complain, who)
    ]


def _asked(name: str, hook: pluggy.HookImpl, complain: Complain, who: str) -> Iterator[Brought]:
    kind = name.removeprefix("pruneframe_").removesuffix("s")
    try:
        values: list[Any] = within(PLANNING, lambda: list(hook.function()))  # type: ignore[call-overload] # checked one by one below
    except (Exception, SystemExit) as error:  # any failure of one plugin stays its own
        complain(f"{name} fails: {type(error).__name__}: {error}")
        _trace(who, name, f"{type(error).__name__}: {error}")
        return
    except TimeUp:
        complain(f"{name} must end within {PLANNING:g} s, but goes on")
        return
    _trace(who, name, ", ".join(str(getattr(value, "name", value)) for value in values) or "nothing")
    for value in values:
        complaint = _unfit(kind, value)
        if complaint:
            complain(complaint)
        else:
            yield Described.of(kind, value), value


def _trace(who: str, hook: str, answer: str) -> None:
    if tracing():
        print(f"plugin {who} answers {hook}: {answer}", file=sys.stderr)


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
    wanted = getattr(import_module("pruneframe"), KINDS[kind])
    if kind == "problem":
        return None if isinstance(value, wanted) else f"a problem must be a pruneframe.Problem, but got {value!r}"
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
