"""The book: `sphinx-build -W --keep-going docs FOLDER` builds it, without a network, and fails at a broken link."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import SphinxError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402 - beside this file
from generate.markdown import target  # noqa: E402

project = "pruneframe"
author = "The pruneframe authors"
version = release = metadata.version("pruneframe")
extensions = ["myst_parser"]
exclude_patterns = ["generate"]
myst_heading_anchors = 4
nitpicky = True
highlight_language = "text"
html_theme = "furo"
html_title = "pruneframe"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False

FENCED = re.compile(r"^```.*?^```[^\S\n]*$|^#[^\n]*$|\[[^\]]*\]\([^)]*\)", re.DOTALL | re.MULTILINE)
PUBLIC = re.compile(r"`(pf|kit)\.(\w+)(?:\.(\w+))?(\([^`]*\))?`")
COMMAND = re.compile(r"`pruneframe (\w+)( [^`]*)?`")


def linked(text: str, public: set[str], commands: set[str]) -> str:
    """Markdown in which public names and commands lead to the reference; code blocks, headings and links stay."""

    def name(found: re.Match[str]) -> str:
        whole = f"{found[1]}.{found[2]}"
        return f"[{found[0]}](#{target(*whole.split('.'))})" if whole in public else found[0]

    def command(found: re.Match[str]) -> str:
        return f"[{found[0]}](#{target('pruneframe', found[1])})" if found[1] in commands else found[0]

    def piece(part: str) -> str:
        return COMMAND.sub(command, PUBLIC.sub(name, part))

    kept = [*FENCED.finditer(text)]
    ends = [0, *(found.end() for found in kept)]
    starts = [*(found.start() for found in kept), len(text)]
    between = [piece(text[end:start]) for end, start in zip(ends, starts, strict=True)]
    return "".join(part + (kept[number][0] if number < len(kept) else "") for number, part in enumerate(between))


def seen(app: Sphinx, page: str, content: list[str]) -> None:
    """A page as the book has it: files beside `docs` that are pages of the book, and links to the reference."""
    import pruneframe
    from pruneframe import kit
    from pruneframe.cli.main import COMMANDS

    text = content[0]
    if not page.startswith("reference/"):
        for file, name in generate.repository.FILES.items():
            text = text.replace(f"](../{file}", f"](reference/{name}")
    public = {f"pf.{name}" for name in pruneframe.__all__} | {f"kit.{name}" for name in kit.__all__}
    content[0] = linked(text, public - {f"pf.{name}" for name in generate.names.ELSEWHERE}, {*COMMANDS})


def write_reference(app: Sphinx) -> None:
    """Write its pages before pages are looked for; what stands nowhere is one line and no book."""
    try:
        generate.write(HERE / "reference")
    except ValueError as error:
        raise SphinxError(str(error)) from error


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", write_reference, priority=1)
    app.connect("source-read", seen)
