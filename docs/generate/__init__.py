"""The pages of the book that are written from the code: reference, contributing, changelog.

`pages()` gives them by their file names in `docs/reference`. It raises ValueError where something public stands
nowhere, and where something is named that there is not.
"""

from __future__ import annotations

from pathlib import Path

from . import commands, components, hooks, names, repository, study


def pages() -> dict[str, str]:
    """Markdown by file name."""
    parts = (hooks, names, components, commands, study, repository)
    return {name: text for part in parts for name, text in part.pages().items()}


def write(folder: Path) -> None:
    """Bring a folder up to date with the code: only what differs is written, and what is not a page any more goes."""
    folder.mkdir(exist_ok=True)
    wanted = pages()
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
