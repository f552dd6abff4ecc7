"""Docstrings and tables as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

EMPHASIS = re.compile(r"(?<![\w*/])\*(\w[^*\n]*\w|\w)\*(?![\w*])")


def target(*names: str) -> str:
    """The anchor of something in the whole book."""
    return "-".join(re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names)


def prose(text: str) -> str:
    """A docstring: what is in backticks or indented stays as it is, all else means what it says."""
    lines: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        indented = line.startswith("    ")
        if indented and lines and lines[-1] and not lines[-1].startswith("    "):
            lines.append("")
        lines.append(line if indented else _escaped(line))
    return "\n".join(lines)


def _escaped(line: str) -> str:
    """One line, character for character but for *emphasis* and `code`."""
    pieces = re.split(r"(`[^`]*`)", line)
    return "".join(piece if piece.startswith("`") else _plain(piece) for piece in pieces)


def _plain(text: str) -> str:
    kept = EMPHASIS.split(text)  # every second piece is emphasised
    escaped = [re.sub(r"([*<>_\[\]$|])", r"\\\1", piece) for piece in kept]
    return "".join(f"*{piece}*" if number % 2 else piece for number, piece in enumerate(escaped))


def code(text: str) -> str:
    """A piece of code in a line, or nothing where there is none."""
    return f"`{text}`" if text else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty where it has no rows."""
    lines = [" | ".join(_cell(cell) for cell in row) for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {line} |" for line in lines)])


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"(?<!\\)\|", r"\|", text))


def page(title: str, *parts: str) -> str:
    """A page with its heading; parts that are empty are left out."""
    return "\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n"


def section(level: int, title: str, anchor: str, *parts: str) -> str:
    """A section that can be linked to by its anchor."""
    return "\n\n".join([f"({anchor})=\n{'#' * level} {title}", *(part for part in parts if part)])
