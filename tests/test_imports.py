"""Imports point one way, plugins stand alone, and the core knows none of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = "pruneframe"
FOLDERS = {CORE: "pruneframe", "pruneframe_plugins": "plugins", "pruneframe_problems": "problems"} | {
    "pruneframe_reports": "reports"
}
IN_ORDER = """
errors files mask corridor graph cut network front scheme ledger component device encoding scorer variation objective
data training weights problem shrink engine tuning journal archive profile workbench series part finetuning task phase
sweep tuner evolution method report hookspecs registry result statistics store progress suitability run study readout
latex protocol document page testing cli
"""
ORDER = IN_ORDER.split()
MAY_NAME_REPORTS = {"document.py", "page.py", "cli/summary.py"}  # the templates, colours, the summary's table


@dataclass(frozen=True)
class Import:
    """One imported name, absolute: `from .mask import Masks` in the core is pruneframe.mask.Masks."""

    target: str
    line: int

    @property
    def root(self) -> str:
        return self.target.partition(".")[0]

    @property
    def module(self) -> str:
        """The module or folder right inside its package; empty when the package itself is imported."""
        return self.target.split(".")[1] if "." in self.target else ""


def imports(source: str, package: str) -> Iterator[Import]:
    """Every import in a file of `package`, those in functions and under TYPE_CHECKING included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in node.names)


def files(package: str) -> Iterator[tuple[str, str, str]]:
    """The files of a package: path inside it, dotted package that they lie in, source."""
    folder = ROOT / FOLDERS[package]
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder)
        yield inside.as_posix(), ".".join([package, *inside.parent.parts]), path.read_text()


def home(path: str) -> str:
    """The module of ORDER that a file of the core belongs to."""
    return path.partition("/")[0].removesuffix(".py")


def backwards(path: str, package: str, source: str) -> list[str]:
    """What a file of the core imports from modules that do not come before it."""
    own, found = home(path), []
    if own not in ORDER:
        return [f"{path} belongs to no module of the list"]
    for item in imports(source, package):
        if item.root != CORE or item.module == own:
            continue
        if item.module not in ORDER:
            found.append(f"{path}:{item.line} imports {item.target}, which is no module of the list")
        elif ORDER.index(item.module) > ORDER.index(own):
            found.append(f"{path}:{item.line} imports {item.module}, which comes after {own}")
    return found


def foreign(path: str, package: str, source: str) -> list[str]:
    """What a plugin, problem or report imports from another one of the three packages."""
    top = package.partition(".")[0]
    others = ({*FOLDERS, *FOLDERS.values()}) - {CORE, top}
    return [f"{path}:{item.line} imports {item.target}" for item in imports(source, package) if item.root in others]


def named_plugins(path: str, package: str, source: str) -> list[str]:
    """Where a file of the core names a plugin package, in an import or in a string; hooks share such names."""
    named = [item.target for item in imports(source, package)]
    named += [n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    found = re.findall(r"\bpruneframe_(?:plugins|problems|reports)\b", "\n".join(named))
    return [f"{path} names {name}" for name in found]


def test_no_module_of_the_core_is_missing_from_the_list() -> None:
    present = {home(path) for path, _, _ in files(CORE)} - {"__init__"}
    assert present == set(ORDER)
    assert len(ORDER) == len(set(ORDER))


def test_imports_in_the_core_point_one_way() -> None:
    assert [line for path, *rest in files(CORE) if path != "__init__.py" for line in backwards(path, *rest)] == []


def test_the_core_itself_imports_nothing_early() -> None:
    tree = ast.parse((ROOT / "pruneframe" / "__init__.py").read_text())
    guarded = [node for node in tree.body if isinstance(node, ast.If)]
    assert [ast.unparse(node.test) for node in guarded] == ["TYPE_CHECKING"]
    tree.body = [node for node in tree.body if node not in guarded]
    assert {item.root for item in imports(ast.unparse(tree), CORE)} == {"__future__", "importlib", "typing"}


@pytest.mark.parametrize("package", sorted({*FOLDERS} - {CORE}))
def test_plugins_import_their_own_package_and_the_core_alone(package: str) -> None:
    found = list(files(package))
    assert found
    assert [line for path, *rest in found for line in foreign(path, *rest)] == []


def test_the_core_names_no_plugin() -> None:
    found = [(path, name) for path, *rest in files(CORE) for name in named_plugins(path, *rest)]
    assert {path for path, _ in found} <= MAY_NAME_REPORTS
    assert {name for path, name in found} == {f"{path} names pruneframe_reports" for path in MAY_NAME_REPORTS}


def test_the_core_imports_no_folder_of_plugins() -> None:
    folders = {*FOLDERS.values()} - {CORE}
    assert [item for _, *rest in files(CORE) for item in imports(rest[1], rest[0]) if item.root in folders] == []


def test_platypus_is_imported_by_its_adapter_alone() -> None:
    users = {
        f"{FOLDERS[package]}/{path}"
        for package in FOLDERS
        for path, inside, source in files(package)
        if any(item.root == "platypus" for item in imports(source, inside))
    }
    assert users == {"plugins/platypus_adapter.py"}


@pytest.mark.parametrize(
    ("path", "package", "source"),
    [
        ("mask.py", "pruneframe", "from .registry import Registry"),
        ("mask.py", "pruneframe", "from . import registry"),
        ("mask.py", "pruneframe", "import pruneframe.registry"),
        ("mask.py", "pruneframe", "from pruneframe import registry"),
        ("mask.py", "pruneframe", "from pruneframe.registry import Registry"),
        ("mask.py", "pruneframe", "def late():\n    from .registry import Registry"),
        (
            "mask.py",
            "pruneframe",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .registry import Registry",
        ),
        ("engine/plain.py", "pruneframe.engine", "from ..registry import Registry"),
        ("engine/plain.py", "pruneframe.engine", "from .. import registry"),
    ],
)
def test_a_backwards_import_is_reported(path: str, package: str, source: str) -> None:
    [complaint] = backwards(path, package, source)
    assert complaint.startswith(f"{path}:")
    assert "imports registry, which comes after " in complaint


@pytest.mark.parametrize("source", ["import pruneframe as pf", "from pruneframe import Task", "from .helpers import x"])
def test_an_import_around_the_list_is_reported(source: str) -> None:
    [complaint] = backwards("mask.py", "pruneframe", source)
    assert "which is no module of the list" in complaint


@pytest.mark.parametrize(
    ("path", "package", "source"),
    [
        ("registry.py", "pruneframe", "from .mask import Masks\nimport numpy as np\nfrom . import hookspecs"),
        (
            "engine/plain.py",
            "pruneframe.engine",
            "from .batch_norm import shifted_statistics\nfrom ..mask import Masks",
        ),
        ("engine/plain.py", "pruneframe.engine", "from . import batch_norm"),
        ("cli/bench.py", "pruneframe.cli", "from .summary import show\nfrom ..testing import check_method"),
    ],
)
def test_a_forwards_import_is_not(path: str, package: str, source: str) -> None:
    assert backwards(path, package, source) == []


@pytest.mark.parametrize(
    "source",
    ["from pruneframe_problems.lenet import lenet", "import pruneframe_reports", "from reports.style import looks"],
)
def test_an_import_between_plugin_packages_is_reported(source: str) -> None:
    assert len(foreign("nsga2.py", "pruneframe_plugins", source)) == 1
    assert foreign("nsga2.py", "pruneframe_plugins", "from .scorers import Magnitude\nimport pruneframe as pf") == []


@pytest.mark.parametrize(
    "source",
    ["import pruneframe_plugins.nsga2", "from pruneframe_plugins import nsga2", "x = 'pruneframe_plugins.nsga2'"],
)
def test_a_plugin_named_in_the_core_is_reported(source: str) -> None:
    assert named_plugins("task.py", "pruneframe", source) == ["task.py names pruneframe_plugins"]
    assert named_plugins("task.py", "pruneframe", "def pruneframe_reports(): ...") == []
