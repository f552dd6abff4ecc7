"""The page of hooks, from `pruneframe.hookspecs`."""

from __future__ import annotations

import inspect

from pruneframe import hookspecs
from pruneframe.hooks import KINDS

from .markdown import page, prose, section, target


def hooks() -> dict[str, str]:
    """All hooks, each with the public class of what it brings."""
    found = {name for name in vars(hookspecs) if name.startswith("pruneframe_")}
    brought = {f"pruneframe_{kind}s": name for kind, name in KINDS.items()}
    if found != brought.keys():
        raise ValueError(f"a hook and a kind of component must belong together, but {found ^ brought.keys()} do not")
    return brought


def pages() -> dict[str, str]:
    """One page."""
    return {"hooks.md": page("Hooks", prose(hookspecs.__doc__ or ""), *map(_hook, hooks().items()))}


def _hook(named: tuple[str, str]) -> str:
    hook, public = named
    function = getattr(hookspecs, hook)
    signature = f"{hook}{inspect.signature(function)}".replace("'", "")
    brings = f"What each of them must do stands with its class, [`pf.{public}`](#{target('pf', public)})."
    code = f"```python\n@pruneframe.hookimpl\ndef {signature}: ...\n```"
    return section(2, f"`{hook}`", target(hook), prose(function.__doc__ or ""), code, brings)
