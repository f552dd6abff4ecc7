"""The receipt of a comparison: what it was made of, and what was written; it is made again where either differs."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from ..errors import InputError
from ..files import read_json, read_plain, write_whole

NAME = "receipt.json"  # in the folder with a comparison's parts
LIBRARIES = ("pruneframe", "numpy", "pandas", "pyarrow", "scipy", "moocore", "scikit-posthocs", "matplotlib", "typst")
TEXTS = ("comparison.typ", "comparison.html", "literature.csv")


@dataclass(frozen=True)
class Receipt:
    """`made_of` is a digest of all that goes into a comparison, `files` has one of each that came out, by its path.

    Paths are relative to the folder above the parts.
    """

    made_of: str
    files: dict[str, str]

    @classmethod
    def of(cls, made_of: str, parts: Path, written: Iterable[Path]) -> Receipt:
        """For files that have just been written."""
        return cls(made_of, {path.relative_to(parts.parent).as_posix(): _digest(path.read_bytes()) for path in written})

    def write(self, parts: Path) -> None:
        """Put it among the parts."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        write_whole(parts / NAME, lambda file: file.write(text.encode()))


def made_of(*ingredients: str) -> str:
    """The digest of some texts, of the libraries that draw and typeset, and of our own files."""
    libraries = [f"{name} {version(name)}" for name in LIBRARIES]
    texts = [(files("pruneframe.comparison") / name).read_text(encoding="utf-8") for name in TEXTS]
    return _digest(json.dumps([*ingredients, platform.python_version(), *libraries, *texts]).encode())


def stands(parts: Path, made_of: str, wanted: Iterable[Path]) -> bool:
    """Whether all that is wanted was made of just this, and every file that came out is still what it was."""
    try:
        found = read_json(parts / NAME, follow=False)
        receipt = Receipt(str(found["made_of"]), dict(found["files"]))
        names = {path.relative_to(parts.parent).as_posix() for path in wanted}
        return (
            receipt.made_of == made_of
            and names <= receipt.files.keys()
            and all(
                _digest(read_plain(parts.parent / name, follow=False)) == digest
                for name, digest in receipt.files.items()
            )
        )
    except (InputError, OSError, ValueError, TypeError, KeyError):  # none yet, not ours, or a file has gone
        return False


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
