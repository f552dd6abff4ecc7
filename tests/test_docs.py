"""Documentation is executed: the story of all commands, the plugin in CONTRIBUTING, the table of hooks."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from pruneframe import hookspecs
from pruneframe.cli.main import COMMANDS
from pruneframe.method import Method
from pruneframe.registry import Registry
from pruneframe.testing import check_method

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def blocks(text: str, language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


STORY = "".join(blocks((ROOT / "docs" / "commands.md").read_text()))
[OWN] = (block for block in blocks((ROOT / "docs" / "data.md").read_text()) if block.startswith("pruneframe "))


@pytest.fixture
def shell(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Commands as they stand in the documents, in an empty folder, until one fails."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "pruneframe").write_text(f"#!{sys.executable}\nfrom pruneframe.cli.main import main\n\nmain()\n")
    (programs / "pruneframe").chmod(0o755)
    (tmp_path / "empty").mkdir()

    def run(block: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
        return subprocess.run(
            ["bash", "-eux", "-c", block], cwd=tmp_path / "empty", env=environment, capture_output=True, text=True
        )

    return run


@pytest.mark.slow("minutes")
def test_the_story_of_all_commands_runs_from_top_to_bottom_in_an_empty_folder(
    shell: Callable[[str], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = shell(STORY)
    assert done.returncode == 0, done.stderr[-2000:]
    here = tmp_path / "empty"
    for name in (
        "pruneframe-study/comparison.pdf",
        "paper.pdf",
        "tuned/comparison.pdf",
        "with-settings/comparison.pdf",
    ):
        assert (here / name).read_bytes().startswith(b"%PDF"), name
    assert all((here / name).exists() for name in ("paper.html", "pruned.safetensors", "smaller.pt2"))
    assert not (here / "three").exists(), "a dry run writes nothing"
    assert not list((here / "pruneframe-study" / "runs").glob("*/moead")), "it was removed"
    assert "can claim nothing" not in done.stderr, "what a newcomer copies must be able to claim something"


@pytest.mark.slow
def test_ones_own_network_runs_in_the_folder_of_the_repository(
    shell: Callable[[str], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "empty" / "examples").symlink_to(ROOT / "examples")
    done = shell(OWN)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_story_uses_every_command_that_needs_no_other_data() -> None:
    told = {line.split()[1] for line in STORY.splitlines() if line.startswith("pruneframe ")}
    assert set(COMMANDS) - told == {"data", "merge", "noise", "reproduce", "tabulate", "train"}


def test_the_readme_has_two_commands_one_picture_and_five_links() -> None:
    install, bench = blocks(README)[0].splitlines()
    assert install == "pip install ."
    assert bench in STORY.splitlines(), "it is run there"
    assert len(re.findall(r"!\[", README)) == 1
    assert len(re.findall(r"[^!]\[[^\]]*\]\(", README)) == 5


def test_who_leads_is_what_the_results_say(monkeypatch: pytest.MonkeyPatch):
    glances = re.findall(r"^## \w+ at a glance\n(.*?)(?=^## )", (ROOT / "docs" / "results.md").read_text(), re.M | re.S)
    weights, filters = ({row[0]: row[1:] for row in rows(glance)} for glance in glances[:2])
    (table,) = re.findall(r"^## Who leads\n(.*?)(?=^## )", README, re.M | re.S)
    told = rows(table)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    shown = importlib.import_module("chapters").LEADING
    assert {row[0] for row in told} == set(shown), "the picture beside the table has the same methods"
    for method, *single, structured in told:
        assert (weights[method], filters[method][0]) == (single, structured)


def rows(text: str) -> list[list[str]]:
    """The cells of a table in Markdown, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_contributors_install_what_pyproject_offers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"test", "docs"} <= project["optional-dependencies"].keys()
    assert 'pip install -e ".[test]"\npytest\n' in CONTRIBUTING
    install, tests = next(block for block in blocks(README) if "pytest" in block).strip().split(" && ")
    assert re.search(rf"^{re.escape(install)} .*&& {tests}$", (ROOT / ".ci" / "run").read_text(), re.M)


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


def test_the_page_about_python_runs_from_top_to_bottom_in_short_pieces(tmp_path: Path) -> None:
    """As a script that somebody saves, which worker processes do not run again; nothing warns."""
    found = blocks((ROOT / "docs" / "python.md").read_text(), "python")
    assert len(found) >= 8
    assert all(len([line for line in block.splitlines() if line]) <= 10 for block in found)
    path = tmp_path / "page.py"
    path.write_text("\n".join(found) + "\nprint(type(smaller).__name__, len(table), len(study.runs))\n")
    command = [sys.executable, "-W", "error::UserWarning:pruneframe", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("Sequential ")
    assert done.stdout.splitlines()[-1].endswith(" 6")
    assert done.stderr == ""
    assert (tmp_path / "fronts.pdf").read_bytes().startswith(b"%PDF")
