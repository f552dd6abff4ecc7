"""Plugins of strangers: their sources, sound and faulty, and how they are installed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

HEADER = """
from dataclasses import dataclass
from typing import Literal
import numpy as np
import pruneframe as pf
"""
SCORER = """
@dataclass(frozen=True, repr=False)
class {kind}(pf.Scorer):
    name = "{name}"
    power: int = pf.setting(1, "exponent")
    def score(self, network, images, labels, rng):
        return np.full(network.layout.total, self.power, dtype=np.float32)
"""
HOOK = """
@pf.hookimpl
def pruneframe_scorers():
    return [{brought}]
"""
VARIATION = """
@dataclass(frozen=True, repr=False)
class Stay(pf.Variation):
    name = "stay"
    def vary(self, parents, n, variables, rng, scores=None, free=None):
        return parents[:n].copy()
@pf.hookimpl
def pruneframe_variations():
    return [Stay]
"""


def scorer(name: str = "theirs") -> str:
    """A whole plugin that brings one scorer."""
    return HEADER + SCORER.format(kind="Theirs", name=name) + HOOK.format(brought="Theirs")


HOOK_FAULTS = {  # what asking the hooks of a module finds, with what is said of it
    "misspelt hook": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorer(): return []",
        "no hook is named 'pruneframe_scorer'; did you mean 'pruneframe_scorers'?",
    ),
    "misspelt hook without its mark": (
        HEADER + "def pruneframe_metods(): return []",
        "no hook is named 'pruneframe_metods'; did you mean 'pruneframe_methods'?",
    ),
    "marked function of another name": (
        HEADER + "@pf.hookimpl\ndef scorers(): return []",
        "no hook is named 'scorers'",
    ),
    "hook without its mark": (
        HEADER + "def pruneframe_scorers(): return []",
        "pruneframe_scorers must be marked with @pruneframe.hookimpl",
    ),
    "hook with an argument": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorers(extra): return []",
        "Argument(s) {'extra'} are declared in the hookimpl but can not be found in the hookspec",
    ),
    "hook that fails": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorers(): return 1 / 0",
        "pruneframe_scorers fails: ZeroDivisionError: division by zero",
    ),
    "hook that exits": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorers(): raise SystemExit(3)",
        "pruneframe_scorers fails: SystemExit: 3",
    ),
    "hook that returns nothing": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorers(): pass",
        "pruneframe_scorers fails: TypeError",
    ),
    "not a dataclass": (
        scorer().replace("@dataclass(frozen=True, repr=False)\n", ""),
        "scorer 'theirs' must be marked with @dataclass(frozen=True, repr=False)",
    ),
    "repr of its own": (
        scorer().replace(", repr=False", ""),
        "scorer 'theirs' must be marked with @dataclass(frozen=True, repr=False)",
    ),
    "abstract": (scorer().replace("def score", "def scores"), "scorer Theirs must define score"),
    "object in place of a class": (
        scorer().replace("return [Theirs]", "return [Theirs()]"),
        "a scorer must be a subclass of pruneframe.Scorer, but got theirs",
    ),
    "class of another kind": (
        HEADER + "@pf.hookimpl\ndef pruneframe_scorers(): return [pf.Masks]",
        "a scorer must be a subclass of pruneframe.Scorer, but got <class",
    ),
    "not a problem": (
        HEADER + "@pf.hookimpl\ndef pruneframe_problems(): return ['cifar']",
        "a problem must be a pruneframe.Problem, but got 'cifar'",
    ),
    "name that cannot be written": (
        scorer("Their Scorer"),
        "scorer Theirs must have a name of lower-case letters, digits and dashes, but got 'Their Scorer'",
    ),
    "no name": (
        scorer().replace('    name = "theirs"\n', ""),
        "scorer Theirs must have a name of lower-case letters, digits and dashes, but got None",
    ),
}
IMPORT_FAULTS = {  # what importing a module finds
    "import that fails": ("import no_such_module", "it cannot be imported: ModuleNotFoundError: No module named"),
    "syntax error": ("def (", "cannot be imported: SyntaxError"),
    "import that exits": ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
    "import that interrupts": (
        "raise KeyboardInterrupt",
        "cannot be imported: RuntimeError: it raises Keyboard",
    ),
    "not frozen": (scorer().replace("frozen=True, ", ""), "cannot inherit non-frozen dataclass from a frozen one"),
}

Install = Callable[..., Path]


def installer(folder: Path, patch: pytest.MonkeyPatch) -> Install:
    """Installs distributions with plugins: each a folder on sys.path, as pip would leave it; gives the folder."""
    patch.delenv("PRUNEFRAME_PLUGINS", raising=False)

    def install(distribution: str, version: str, **plugins: str) -> Path:
        home = folder / distribution
        information = home / f"{distribution}-{version}.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"{name} = {module_of(folder, distribution, name)}" for name in plugins]
        (information / "entry_points.txt").write_text("\n".join(["[pruneframe]", *lines]))
        for name, source in plugins.items():
            (home / f"{module_of(folder, distribution, name)}.py").write_text(source)
        patch.syspath_prepend(str(home))
        return home

    return install


def module_of(folder: Path, distribution: str, plugin: str) -> str:
    """The module of an installed plugin; modules stay in sys.modules, so that no two tests may share a name."""
    test = re.sub(r"\W", "_", folder.name)
    return f"{test}_{distribution}_{plugin}"
