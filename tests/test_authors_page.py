"""The tutorial for authors: its commands run as they stand there, around the method that stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Command

PAGE = (Path(__file__).parent.parent / "docs" / "authors.md").read_text()
KINDS = ("A target", "A kind of units", "A problem")  # sections that are stories of their own
SHORT = ("--budget", "20")

Follow = Callable[[str], None]


def section(heading: str) -> str:
    """What stands below a heading, up to the next one."""
    return PAGE.split(f"\n## {heading}\n", 1)[1].partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block for named, block in found if named == language]


@pytest.fixture
def follow(pruneframe: Command, tmp_path: Path) -> Follow:
    """Give a command in an empty folder; what it installs goes into a folder of its own, for this test alone."""
    site = tmp_path / "site"
    env = {"PYTHONPATH": str(site), "PRUNEFRAME_PLUGINS": ""}

    def given(line: str) -> None:
        place, _, command = line.rpartition(" && ")
        program, *words = shlex.split(command)
        if program == "pruneframe":
            done = pruneframe(*words, *(SHORT if words[0] == "bench" else ()), env=env)
        elif program == "pip":
            assert words[:2] == ["install", "-e"]
            how = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(site)]
            folder = words[2].removesuffix("[test]")
            done = _python(tmp_path, {}, "pip", "install", *how, folder)
        else:
            assert program == "pytest"
            done = _python(tmp_path / place.removeprefix("cd "), env, "pytest", "-q", "-p", "no:cacheprovider")
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"

    return given


def _python(folder: Path, env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=os.environ | env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_tutorial_for_authors_runs_from_top_to_bottom(follow: Follow, tmp_path: Path) -> None:
    own = PAGE.partition(f"\n## {KINDS[0]}\n")[0]
    [method] = blocks(own, "python")
    new, *lines = (line for block in blocks(own, "") for line in block.splitlines())
    follow(new)
    (tmp_path / "climber" / "climber.py").write_text(method)
    for line in lines:
        follow(line)
    assert (tmp_path / "pruneframe-study" / "comparison.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_so_does_the_section_about_another_kind(kind: str, follow: Follow, tmp_path: Path) -> None:
    lines = "".join(blocks(section(kind), "")).splitlines()
    for line in lines:
        follow(line)
    output = shlex.split(lines[-1])[-1]
    assert (tmp_path / output / "comparison.pdf").read_bytes().startswith(b"%PDF")
