"""Files beside the folder `docs` that belong to the book; their links are as they are seen from the book."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def pages() -> dict[str, str]:
    """A page for each file."""
    return {page: _seen((ROOT / name).read_text()) for name, page in FILES.items()}


def _seen(text: str) -> str:
    text = re.sub(r"\]\(docs/", "](../", text)
    return re.sub(r"\]\((?=(examples|benchmarks|pruneframe)/)", "](../../", text)
