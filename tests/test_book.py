"""The book: every page is in it, its reference has all that is public, and it is built without a warning."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pruneframe as pf
from pruneframe import hookspecs, kit
from pruneframe.cli.main import COMMANDS
from pruneframe.hooks import KINDS
from pruneframe.registry import Registry
from pruneframe.study.store import StudyFolder

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LOADED = re.compile(r"""<(?:script|link|img|iframe|source)[^>]*\s(?:src|href)="(https?:)?//""")


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    """What writes the pages of the reference, `docs/generate`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        import generate

        yield generate


@pytest.fixture(scope="module")
def reference(generate: ModuleType) -> dict[str, str]:
    return generate.pages()


def anchors(reference: dict[str, str]) -> set[str]:
    """What can be linked to on the pages that are generated."""
    return {name for text in reference.values() for name in re.findall(r"^\(([a-z0-9-]+)\)=$", text, re.MULTILINE)}


def entries(index: str) -> set[str]:
    """The pages that the index names, by their path without an ending."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", index, flags=re.DOTALL | re.MULTILINE)
    return {line for block in blocks for line in block.splitlines() if line and line[0] != ":"}


def test_every_page_is_in_the_book(reference):
    written = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    generated = {f"reference/{name.removesuffix('.md')}" for name in reference}
    there, named = written | generated, entries((DOCS / "index.md").read_text())
    assert there == named


def test_the_reference_has_every_public_name(reference, generate):
    found = anchors(reference)
    lacking = {name for name in pf.__all__ if f"pf-{name.strip('_').lower().replace('_', '-')}" not in found}
    assert lacking == generate.names.ELSEWHERE
    assert {f"kit-{name.lower().replace('_', '-')}" for name in kit.__all__} <= found
    assert {f"testing-{name.replace('_', '-')}" for name in vars(pf.testing) if name.startswith("check_")} <= found


def test_the_reference_has_every_hook_component_and_command(reference, generate):
    found = anchors(reference)
    assert {name.replace("_", "-") for name in vars(hookspecs) if name.startswith("pruneframe_")} <= found
    assert {f"pruneframe-{name}" for name in COMMANDS} <= found
    registry = Registry()
    for kind in KINDS:
        for name in generate.components.bundled(kind, registry):
            assert f"{kind}-{name}" in found
            settings = registry.described(kind, name)[0].settings
            section = reference[f"{kind}s.md"].split(f"({kind}-{name})=\n")[1].split("\n(")[0]
            assert all(f"| `{one.name}` |" in section for one in settings), name


def test_the_reference_has_every_environment_variable(generate):
    named = {name for path in modules() for name in re.findall(r"\bPRUNEFRAME_[A-Z_]+\b", path.read_text())}
    assert named | {"SOURCE_DATE_EPOCH"} == generate.commands.ENVIRONMENT.keys()


def test_what_a_public_name_is_made_of_stands_with_it(reference):
    assert "evaluate(masks: Masks" in reference["api-search.md"]
    assert "importance of every unit, larger = keep" in reference["api-masks.md"]
    assert "| `epochs` | `int` |" in reference["api-problems.md"]


@pytest.mark.parametrize(
    ("placed", "told"),
    [
        (["Task"], "Masks stand on no page"),
        (["Task", "Masks", "Tsak"], "Tsak are not public any more"),
        (["Task", "Masks", "Task"], "Task stand there twice"),
    ],
)
def test_a_name_without_a_place_and_a_stale_one_stop_the_build(generate, placed, told):
    with pytest.raises(ValueError, match=told):
        generate.names.check(placed, {"Task", "Masks"})


def test_what_has_no_docstring_stops_the_build(generate):
    class Silent(pf.Remark):
        def unsaid(self) -> None: ...

    Silent.__doc__ = None
    with pytest.raises(ValueError, match=r"needs a docstring"):
        generate.described.described(type("Bare", (), {}), "Bare")
    with pytest.raises(ValueError, match=r"Silent\.unsaid is public and needs a docstring"):
        list(generate.described._members(type("Silent", (), {"__module__": "pruneframe.x", "unsaid": Silent.unsaid})))


def test_the_reference_has_every_file_of_a_study(generate, small: StudyFolder):
    """Those of a finished study, and the others by their names in the code."""
    known = generate.study.files()
    for path in (path for path in small.path.rglob("*") if path.is_file()):
        inside = path.relative_to(small.path)
        if inside.parts[0] == "runs":
            inside = Path("runs/PROBLEM/METHOD/INSTANCE-SEED-HASH", *inside.parts[4:])
        assert any(inside.match(name) for name in known), inside
    code = "".join(re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL) for path in modules())
    for name in known:
        last = Path(name).name.removeprefix("*.").removeprefix("journal")
        assert last in code or name.endswith("/"), f"{name} is written by nothing"


def modules() -> Iterator[Path]:
    return (ROOT / "pruneframe").rglob("*.py")


def test_public_names_and_commands_lead_to_the_reference(generate):
    sys.path.insert(0, str(DOCS))
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("book_conf", DOCS / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    conf = module_from_spec(spec)
    spec.loader.exec_module(conf)
    text = (
        "# `pf.Task`\n\n`pf.Task` and `pf.Nothing`, `pruneframe list methods`\n\n```\n`pf.Task`\n```\n[`pf.Task`](x.md)"
    )
    told = conf.linked(text, {"pf.Task"}, {"list"})
    assert told == text.replace("\n`pf.Task` and", "\n[`pf.Task`](#pf-task) and", 1).replace(
        "`pruneframe list methods`", "[`pruneframe list methods`](#pruneframe-list)"
    )


def built(docs: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """The book, built as `.ci/run` does."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(docs), str(into)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
def test_the_book_is_built_strictly_and_needs_no_network(tmp_path: Path):
    shutil.copytree(ROOT, tmp_path / "copy", ignore=shutil.ignore_patterns(".git", "tests", "weights", "reference"))
    docs, book = tmp_path / "copy" / "docs", tmp_path / "book"
    done = built(docs, book)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    pages = list(book.rglob("*.html"))
    assert len(pages) > 30
    assert [path.name for path in pages if LOADED.search(path.read_text())] == []
    assert "https://" not in "".join(re.findall(r"url\([^)]*\)", "".join(p.read_text() for p in book.rglob("*.css"))))
    for fault in ("[gone](gone.md)", "[gone](#gone)", "![gone](gone.png)"):
        (docs / "data.md").write_text((DOCS / "data.md").read_text() + f"\n{fault}\n")
        assert built(docs, book).returncode != 0, fault


def test_ci_builds_the_book_strictly():
    assert "sphinx-build -W --keep-going" in (ROOT / ".ci" / "run").read_text()
