"""Every command of the documents: it parses, what it names is there, and its page says or shows what runs it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from pruneframe.cli.main import COMMANDS, cli
from pruneframe.errors import InputError
from pruneframe.registry import Registry
from pruneframe.spec import names

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text() for path in (*DOCS.glob("*.md"), *DOCS.glob("results/*.md"))}
PAGES |= {name: (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md")}
STORIES = ("tutorial.md", "clusters.md", "targets.md", "hamp.md")  # run from top to bottom in one empty folder
ELSEWHERE = {  # pages whose commands would take too long there, and what runs them instead
    "README.md": "tests/test_docs.py",
    "commands.md": "tests/test_docs.py",
    "data.md": "tests/test_docs.py",
    "CONTRIBUTING.md": "tests/test_authors_page.py",
    "authors.md": "tests/test_authors_page.py",
    "index.md": "tests/test_docs.py",
    "export.md": "tests/deploy/test_onnx.py",
    "problems.md": "benchmarks/results.py",
    "report.md": "tests/cli/test_report.py",
    "reproduce.md": "tests/cli/test_reproduce.py",
    "sparse.md": "benchmarks/results.py",
    "training.md": "tests/test_examples.py",
    "tuning.md": "benchmarks/tuning.py",
}
ELSEWHERE |= {page: "benchmarks/results.py" for page in PAGES if page.startswith("results/")}
NAMED = {"--methods": "method", "--problems": "problem", "--objectives": "objective", "--units": "unit"}
NAMED |= {"--target": "target", "--control": "method"}
OWN = {
    "climber",
    "my-idea",
    "largest",
    "own",
    "theirs",
    "two-moons",
    "my-board",
    "my-inputs",
    "my-moons",
}  # names that a page brings itself
SHORT = ("--budget", "12")  # of a story: as long as a page needs to be true, and no longer


def blocks(text: str) -> list[str]:
    """Commands that stand in blocks of their own; what is continued in the next line is one of them."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    found = [block for language, block in fenced if language in ("", "text")]
    found += re.findall(r"(?:^    .*\n)+", text, flags=re.MULTILINE)
    lines = [line.strip() for block in found for line in block.replace("\\\n", " ").splitlines()]
    lines = [part for line in lines for part in re.split(r" && ", line)]
    return [line for line in lines if line.startswith("pruneframe ")]


def inline(text: str) -> list[str]:
    """Commands in the middle of a sentence."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = [" ".join(code.split()) for code in re.findall(r"`(pruneframe [^`]+)`", text)]
    return [line for line in found if line.split()[1] in COMMANDS]


EVERY = sorted({(page, line) for page, text in PAGES.items() for line in (*blocks(text), *inline(text))})


def words(line: str) -> list[str]:
    return [word for word in shlex.split(line, comments=True)[1:] if word != "..."]


def command_of(arguments: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """The command that some words begin with, and what is left of them."""
    command: click.Command = cli
    context = click.Context(cli, info_name="pruneframe")
    rest = list(arguments)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found is not None, f"no command is named {rest[0]!r}"
        command, context = found, click.Context(found, info_name=rest.pop(0), parent=context)
    return command, context, rest


def faults(line: str, registry: Registry) -> list[str]:
    """What is wrong with a command; words in capitals stand for anything."""
    arguments = words(line)
    try:
        command, context, rest = command_of(arguments)
        left = command.make_parser(context).parse_args(list(rest))[1]
        assert not left, f"{command.name} has no place for {' '.join(left)}"
    except (click.UsageError, AssertionError) as error:
        return [str(error)]
    if "-p" in rest or "--problem-file" in rest:
        return []
    given = [(rest[place], rest[place + 1]) for place in range(len(rest) - 1) if rest[place] in NAMED]
    given += [("--methods", rest[0])] if arguments[0] == "tune" and rest else []
    wrong = []
    for option, value in given:
        for spec in names([value]):
            name = spec.split("[")[0]
            if name.isupper() or name in OWN:
                continue
            try:
                registry.check(NAMED[option], registry.canonical(NAMED[option], spec))
            except InputError as error:
                wrong.append(str(error))
    return wrong


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.mark.parametrize(("page", "line"), EVERY)
def test_a_command_of_the_documents_is_one(page: str, line: str, registry: Registry) -> None:
    assert faults(line, registry) == []


def test_faults_are_found(registry: Registry) -> None:
    assert "such option" in faults("pruneframe bench --method nsga2", registry)[0].lower()
    assert "no command" in faults("pruneframe bnch", registry)[0]
    assert "no method is named" in faults("pruneframe bench --methods nsga3", registry)[0]


def test_every_page_with_commands_is_run_somewhere() -> None:
    with_commands = {page for page, text in PAGES.items() if blocks(text)}
    assert with_commands == {*STORIES, *ELSEWHERE}
    assert [path for path in ELSEWHERE.values() if not (ROOT / path).exists()] == []


@pytest.mark.slow("minutes")
@pytest.mark.parametrize("page", STORIES)
def test_a_story_runs_from_top_to_bottom(page: str, pruneframe) -> None:
    for line in blocks(PAGES[page]):
        arguments = words(line)
        short = SHORT if arguments[0] in ("bench", "tune") and "--dry-run" not in arguments else ()
        done = pruneframe(*arguments, *short)
        assert done.returncode == 0, f"{line}: {done.stderr}"
