"""Documentation is executed: commands of the README, the plugin in CONTRIBUTING, the table of hooks."""

from __future__ import annotations

import inspect
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from pruneframe import hookspecs
from pruneframe.method import Method
from pruneframe.registry import Registry
from pruneframe.testing import check_method

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def blocks(text: str, language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    """Every `pruneframe ...` line of the unmarked code blocks, and what follows `&&` in the others."""
    lines = [line.rpartition("&& ")[2] for block in blocks(text) for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("pruneframe ")]


@pytest.mark.slow
def test_every_command_of_the_readme_runs(pruneframe, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    found = commands(README)
    assert len(found) >= 9
    for command in found:
        done = pruneframe(*command[1:])
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert (tmp_path / "pruneframe-study" / "comparison.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "pruned.safetensors").exists()


def test_the_readme_installs_what_pyproject_offers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "test" in project["optional-dependencies"]
    assert 'pip install ".[test]" && pytest' in README
    assert 'pip install ".[test]"' in (ROOT / ".ci" / "run").read_text()


def test_the_picture_and_all_linked_files_exist():
    for text, folder in ((README, ROOT), (CONTRIBUTING, ROOT)):
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (folder / target).exists(), target


@pytest.fixture
def climber(tmp_path: Path) -> Path:
    path = tmp_path / "climber.py"
    path.write_text(blocks(CONTRIBUTING, "python")[0])
    return path


def test_the_plugin_of_contributing_runs_beside_a_bundled_method(pruneframe, climber):
    arguments = ["-p", str(climber), "--methods", "climber,nsga2", "--seeds", "0", "--budget", "30"]
    done = pruneframe("bench", *arguments)
    assert done.returncode == 0, done.stderr
    assert "climber" in done.stdout


def test_the_plugin_of_contributing_keeps_the_contract(climber):
    registry = Registry([str(climber)])
    check_method(registry.component(Method, "climber"), registry=registry)


def test_contributing_lists_every_hook_with_its_signature_and_sentence():
    for name, hook in vars(hookspecs).items():
        if name.startswith("pruneframe_"):
            line = f"| `{name}{inspect.signature(hook)}`".replace("'", "") + f" | {hook.__doc__} |"
            assert line in CONTRIBUTING, line


def test_the_problem_file_of_the_docs_is_one(tmp_path: Path) -> None:
    """Every field stands there, and the example is read as it stands."""
    from declarations import declaration, photographs

    from pruneframe.declared.problem import RULES, declared

    [text] = blocks((ROOT / "docs" / "data.md").read_text(), "toml")
    declaration(tmp_path)
    for folder in ("photos", "seen"):
        photographs(tmp_path / folder)
    (tmp_path / "order.txt").write_text("ant\nbee\ncat\n")
    path = tmp_path / "docs.toml"
    path.write_text(text)
    problem, _ = declared(path)
    assert (problem.name, problem.units, problem.search_images) == ("my-network", "filter", 200)
    fields = tomllib.loads(text)
    assert fields.keys() == {"name", "network", "weights", "sha256", "prefix", "objectives", "arguments", "data"} | (
        RULES.keys() - {"target"}
    )


def test_the_docs_name_every_data_set() -> None:
    import pruneframe as pf

    named = re.findall(r"`pf\.(\w+)\(", (ROOT / "docs" / "data.md").read_text())
    assert {"mnist", "fashion_mnist", "cifar10", "cifar100", "tiny_imagenet", "imagenette", "imagenet"} <= {*named}
    assert all(hasattr(pf, name) for name in named)
