"""The pictures of the tutorial: `python docs/pictures.py STUDY`, of the study that the tutorial makes."""

from __future__ import annotations

import sys
from pathlib import Path

import typst

FIGURES = ("front-1", "progress-1")
PAGE = '#set page(width: auto, height: auto, margin: 6pt, fill: white)\n#image("{name}.pdf")\n'


def draw(study: Path, into: Path) -> list[Path]:
    """Write each figure of a finished comparison as a PNG; returns the files."""
    parts, files = study / "comparison-parts", []
    into.mkdir(exist_ok=True)
    for name in FIGURES:
        page = parts / f"{name}.typ"
        page.write_text(PAGE.format(name=name))
        try:
            files.append(into / f"{name}.png")
            typst.compile(str(page), output=str(files[-1]), format="png", ppi=110.0)
        finally:
            page.unlink()
    return files


if __name__ == "__main__":
    for file in draw(Path(sys.argv[1]), Path(__file__).parent / "pictures"):
        print(file)
