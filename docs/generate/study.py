"""The page of a study's files, from the docstrings of the two modules that know their names."""

from __future__ import annotations

import re

from pruneframe.study import folder as run_folder
from pruneframe.study import store

from .markdown import code, page, prose, table

LINE = re.compile(r"^(?P<indent> *)(?P<names>\S+(?:  ?\S+)*?)(?:\s{3,}(?P<meaning>.*))?$")


def files() -> dict[str, str]:
    """What each file of a study is, by its path within the study, as the docstrings list it."""
    found, folder = {}, ""
    for line in [*listed(store.__doc__ or ""), *listed(run_folder.__doc__ or "")]:
        parts = LINE.match(line)
        if parts is None:
            continue
        for name in re.split(r"\s+", parts["names"]):
            inside = f"{folder}{name}" if parts["indent"] else name.removeprefix("STUDY/")
            folder = folder if parts["indent"] else inside if inside.endswith("/") else ""
            found[inside] = parts["meaning"] or ""
    return found


def listed(text: str) -> list[str]:
    """The lines of a docstring that name files."""
    return [line for line in text.splitlines() if line.startswith(("STUDY/", "    "))]


def pages() -> dict[str, str]:
    """One page."""
    rows = [(code(path), prose(meaning)) for path, meaning in files().items() if meaning]
    opening = "`bench` writes a study into the folder that `--output` names."
    return {"study.md": page("Files of a study", opening, table(("file", "what it is"), rows))}
