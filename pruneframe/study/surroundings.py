"""Surroundings: a study goes on under the versions and on the hardware that it was computed with, or it says so."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..registry import Registry
from .store import StudyFolder

FREE = ("cores",)  # what may differ: nothing that is computed depends on it
DEVICE = ("gpu", "bfloat16")  # of the device, which is part of each run
GIT = "git of "  # and a distribution whose code lies in a repository
PATIENCE = 10  # seconds for git


def repositories(registry: Registry) -> dict[str, str]:
    """The commit of each installed plugin whose code lies in a git repository, and whether it was changed since.

    A plugin in a file has its content for a version; bundled ones have pruneframe's.
    """
    modules = {
        plugin.distribution: sys.modules[plugin.module]
        for plugin in registry.plugins
        if plugin.origin == "installed" and plugin.module in sys.modules
    }
    found = {GIT + name: _commit(Path(module.__file__)) for name, module in modules.items() if module.__file__}
    return {name: commit for name, commit in found.items() if commit}


def _commit(file: Path) -> str:
    """As git describes it; empty where the file is in no repository, or there is no git."""
    with suppress(OSError, subprocess.SubprocessError):
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        return _git(file.parent, "describe", "--always", "--dirty", "--exclude=*")
    return ""


def _git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return run.stdout.strip()


def check_surroundings(study: StudyFolder, here: dict[str, Any]) -> None:
    """Raise InputError, with all that differs, where a study has runs and none of its commands ran under what is here.

    Said of the earlier surroundings that are nearest.
    """
    if not any(study.path.glob("runs/*/*/*/identity.json")):
        return
    known = study.settings["environments"]
    alike = [earlier for earlier in known if ("gpu" in earlier) == ("gpu" in here)]
    differing = [_differing(earlier, here) for earlier in alike or known]
    nearest = min(differing, key=len, default={})
    if nearest:
        then = ", ".join(f"{name} {value}" for name, (value, _) in nearest.items())
        now = ", ".join(f"{name} {value}" for name, (_, value) in nearest.items())
        raise InputError(
            f"{study.path} must go on where it was computed, under {then}, but here is {now}; another output begins a "
            "study of its own, and bench --force carries the runs out again here"
        )


def _differing(earlier: dict[str, Any], here: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By name, what was and what is; a plugin that only one of both has is part of what runs are."""
    free = {*FREE, *(DEVICE if ("gpu" in earlier) != ("gpu" in here) else ())}
    free |= {name for name in {**earlier, **here} if name.startswith(GIT) and not (name in earlier and name in here)}
    names = [name for name in {**earlier, **here} if name not in free]
    pairs = {name: (earlier.get(name, "unknown"), here.get(name, "none")) for name in names}
    return {name: (then, now) for name, (then, now) in pairs.items() if then != now}
