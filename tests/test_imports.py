"""Imports point one way between rooms and inside each, plugins use the public door, and the core knows no plugin."""

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
# Room by room, the modules of each in order; what stands on a line may import what stands before it. The top level,
# which authors of plugins import, stands between the rooms that it is built of.
ROOMS = """
pruneframe: errors patience files spec component mask front
model: precision inputs trace acceptance layers cut places state laid network liveness atoms flow rules pieces groups
model: memory attention branches shrink rows recipe augmentation training
model: data dataset archives fetch digits cifar decoding pictures imagenet weights saved given sealed session trained
model: shipped tabular
pruneframe: units encoding scorer variation target objective problem profile
declared: fields factory images problem
engine: batch_norm plan winograd prefix library values windows operations taping tape lesson segments
engine: trainable gradients plain shrunk capture flat gpu lists rooms curves steps memory call layers pointwise
engine: pooling views
engine: compiler sparse moments halves agreement choice
deploy: onnx
search: slopes tuning prices pile archive answer journal ledger desk shelf spool loans scoring images judge learner
search: workbench enumeration subnetwork part records task
kit: corridor ranking scheme pareto sweep tuner phase evolution turns
reproduction: experiment
pruneframe: method item report hookspecs index hooks plugin registry
study: log machine terms clerk truth timing paired result indicators formats evaluations folder stamp store
study: progress run outlook member finetuning worker executor cluster verification merging suitability plan
study: surroundings wanted display removal campaign control selection labels rows facts correctness table noise
study: resampling inventory
deploy: formats reader exported card
configuration: space trials tuned rounds
reproduction: savings at_hand estimate table
comparison: statistics nested ranking verdicts anytime races ioh summary style course latex effort beforehand protocol
comparison: drawing document conduct page receipt literature edition live
testing: rule settings tiny small method scorer encoding variation objective target units problem report verdicts
scaffold: project
interactive: html prompt result member opened bench loaded
cli: options boards epochs summary report bench remove tune data reproduce export info noise list check
cli: plugins train verify tabulate merge main
"""
ORDER = [
    name if room == CORE else f"{room}.{name}"
    for room, _, names in (line.partition(": ") for line in ROOMS.split("\n") if line)
    for name in names.split()
]
LONGEST = 300  # lines of a module
MOST = 24  # modules at the top of the core
ALLOWED = {
    "pruneframe_plugins": {"kit"},
    "pruneframe_problems": set(),
    "pruneframe_reports": {"kit", "comparison.style", "comparison.anytime"}
    | {f"comparison.{name}" for name in ("effort", "nested", "races", "ranking", "verdicts")},
}


@dataclass(frozen=True)
class Import:
    """One imported name, absolute: `from ..mask import Masks` in a room of the core is pruneframe.mask.Masks."""

    target: str
    line: int

    @property
    def root(self) -> str:
        return self.target.partition(".")[0]

    @property
    def inside(self) -> str:
        """What stands behind the package's name."""
        return self.target.partition(".")[2]


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


def module(path: str) -> str:
    """The dotted name of a file inside its package; a room's own for its __init__."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def place(dotted: str) -> int | None:
    """Where in the order the module lies that a name is of; what a room itself gives comes behind all its modules."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        if name in ORDER:
            return ORDER.index(name)
        if any(known.startswith(f"{name}.") for known in ORDER):
            return max(i for i, known in enumerate(ORDER) if known.startswith(f"{name}."))
    return None


def backwards(path: str, package: str, source: str) -> list[str]:
    """What a file of the core imports from modules that do not come before it."""
    own, found = place(module(path)), []
    if own is None:
        return [f"{path} belongs to no line of the list"]
    for item in imports(source, package):
        if item.root != CORE:
            continue
        target = place(item.inside) if item.inside else None
        if target is None:
            found.append(f"{path}:{item.line} imports {item.target}, which is no module of the list")
        elif target > own:
            found.append(f"{path}:{item.line} imports {ORDER[target]}, which comes after {module(path)}")
    return found


def around_the_door(path: str, package: str, source: str) -> list[str]:
    """What a plugin, problem or report imports but its own package, the public names, and what its kind may."""
    top = package.partition(".")[0]
    others = ({*FOLDERS, *FOLDERS.values()}) - {CORE, top}
    found = [item for item in imports(source, package) if item.root in others]
    inner = {name.partition(".")[0] for name in ORDER}  # rooms and modules of the core
    for item in (item for item in imports(source, package) if item.root == CORE):
        public = item.inside.partition(".")[0] not in inner
        if not public and not any(f"{item.inside}.".startswith(f"{allowed}.") for allowed in ALLOWED[top]):
            found.append(item)
    return [f"{path}:{item.line} imports {item.target}" for item in found]


def named_plugins(path: str, package: str, source: str) -> list[str]:
    """Where a file of the core names a plugin package, in an import or in a string; hooks share such names."""
    named = [item.target for item in imports(source, package)]
    named += [n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    found = re.findall(r"\bpruneframe_(?:plugins|problems|reports)\b", "\n".join(named))
    return [f"{path} names {name}" for name in found if name != "pruneframe_reports" or path not in HOOKS]


HOOKS = ("hookspecs.py", "hooks.py")


def test_no_module_of_the_core_is_missing_from_the_list() -> None:
    rooms = {name.partition(".")[0] for name in ORDER if "." in name}
    assert {module(path) for path, _, _ in files(CORE)} - {"__init__", *rooms} == set(ORDER)
    assert len(ORDER) == len(set(ORDER))


def test_imports_in_the_core_point_one_way() -> None:
    assert [line for path, *rest in files(CORE) if path != "__init__.py" for line in backwards(path, *rest)] == []


def test_the_core_itself_imports_nothing_early() -> None:
    for path in ("__init__.py", "kit/__init__.py"):
        tree = ast.parse((ROOT / "pruneframe" / path).read_text())
        guarded = [node for node in tree.body if isinstance(node, ast.If)]
        assert [ast.unparse(node.test) for node in guarded] == ["TYPE_CHECKING"]
        tree.body = [node for node in tree.body if node not in guarded]
        assert {item.root for item in imports(ast.unparse(tree), CORE)} == {"__future__", "importlib", "typing"}


@pytest.mark.parametrize("package", sorted({*FOLDERS} - {CORE}))
def test_plugins_use_the_public_door_alone(package: str) -> None:
    found = list(files(package))
    assert found
    assert [line for path, *rest in found for line in around_the_door(path, *rest)] == []


def test_the_core_names_no_plugin() -> None:
    assert [name for path, *rest in files(CORE) for name in named_plugins(path, *rest)] == []


def test_platypus_is_imported_by_its_adapter_alone() -> None:
    users = {
        f"{FOLDERS[package]}/{path}"
        for package in FOLDERS
        for path, inside, source in files(package)
        if any(item.root == "platypus" for item in imports(source, inside))
    }
    assert users == {"plugins/platypus_adapter.py"}


def test_torch_fx_is_asked_in_one_place() -> None:
    asked = {"fx.symbolic_trace", "fx.Interpreter", "fx.Tracer"}
    users = {
        f"{FOLDERS[package]}/{path}"
        for package in FOLDERS
        for path, _, source in files(package)
        if any(re.search(rf"\b{re.escape(word)}\b", source) for word in asked)
    }
    assert users == {"pruneframe/model/trace.py"}


def test_private_attributes_of_cpython_are_used_by_the_executor_alone() -> None:
    private = re.compile(r"self\._(?:processes|shutdown_lock|executor_manager_thread_wakeup)\b")
    assert [path for path, _, source in files(CORE) if private.search(source)] == ["study/executor.py"]


def test_modules_are_short_and_few_at_the_top() -> None:
    long = [f"{package}/{p}" for package in FOLDERS for p, _, s in files(package) if s.count("\n") > LONGEST]
    assert long == []
    assert len([path for path, _, _ in files(CORE) if "/" not in path]) <= MOST


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


def test_a_backwards_import_inside_a_room_is_reported() -> None:
    [complaint] = backwards("search/journal.py", "pruneframe.search", "from .task import Task")
    assert "imports search.task, which comes after search.journal" in complaint
    [complaint] = backwards("model/cut.py", "pruneframe.model", "from ..search.task import Task")
    assert "imports search.task, which comes after model.cut" in complaint


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
        ("search/workbench.py", "pruneframe.search", "from ..engine import Engine"),
        ("cli/bench.py", "pruneframe.cli", "from .summary import show\nfrom ..testing import check_method"),
    ],
)
def test_a_forwards_import_is_not(path: str, package: str, source: str) -> None:
    assert backwards(path, package, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "from pruneframe_problems.lenet import lenet",
        "import pruneframe_reports",
        "from reports.style import looks",
        "from pruneframe.front import thin",
        "from pruneframe import front",
        "import pruneframe.search.task",
        "from pruneframe.comparison.style import looks",
        "from pruneframe.comparison import statistics",
    ],
)
def test_an_import_around_the_public_door_is_reported(source: str) -> None:
    assert len(around_the_door("nsga2.py", "pruneframe_plugins", source)) == 1


@pytest.mark.parametrize(
    ("package", "source"),
    [
        (
            "pruneframe_plugins",
            "from .scorers import Magnitude\nimport pruneframe as pf\nfrom pruneframe.kit import evolve",
        ),
        ("pruneframe_plugins", "from pruneframe import Task\nfrom pruneframe import kit"),
        ("pruneframe_reports", "from pruneframe.comparison.style import looks"),
    ],
)
def test_an_import_through_the_public_door_is_not(package: str, source: str) -> None:
    assert around_the_door("own.py", package, source) == []


@pytest.mark.parametrize(
    "source",
    ["import pruneframe_plugins.nsga2", "from pruneframe_plugins import nsga2", "x = 'pruneframe_plugins.nsga2'"],
)
def test_a_plugin_named_in_the_core_is_reported(source: str) -> None:
    assert named_plugins("task.py", "pruneframe", source) == ["task.py names pruneframe_plugins"]
    assert named_plugins("task.py", "pruneframe", "def pruneframe_reports(): ...") == []
