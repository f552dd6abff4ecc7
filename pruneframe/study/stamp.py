"""The stamp of a finished run that was verified; it is void when the run has become another one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from ..files import digest, read_document, read_plain, write_document
from .folder import RunFolder


@dataclass(frozen=True)
class Stamp:
    """How a run came out as it was written: so many of its answers were computed anew.

    `deep`: all that can be; otherwise tensors and the final front. `exact`: to the last bit, otherwise to rounding.
    """

    computed: int
    answers: int
    deep: bool
    exact: bool
    versions: str  # that it was verified under

    @classmethod
    def of(cls, folder: RunFolder) -> Stamp | None:
        """That of a run as it is now, or None."""
        path = _path(folder)
        if not (folder.finished and path.exists()):
            return None
        found = read_document(path)
        return cls(**found) if found.pop("run") == _seal(folder) else None

    def put(self, folder: RunFolder) -> None:
        """Onto a run as it is now."""
        write_document(_path(folder), {"run": _seal(folder)} | asdict(self))

    def __str__(self) -> str:
        how = "to the last bit" if self.exact else "to rounding, on another machine or under other versions"
        return f"{self.computed} of {self.answers} answers computed anew, the same {how}"


def _path(folder: RunFolder) -> Path:
    return folder.path / "verified.json"


def _seal(folder: RunFolder) -> str:
    return digest(read_plain(folder.path / "run.json", follow=False))
