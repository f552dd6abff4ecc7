"""A study's folder: its runs' (see `folder`), and beside them

STUDY/study.json                            commands, versions, hardware, the control
STUDY/comparison.pdf                        the comparison, as `bench` or `report` last wrote it
STUDY/lock                                  held while study.json is written
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import Damaged, InputError
from ..files import UNFINISHED, locked, read_document, sweep, write_document
from .folder import RunFolder

FORMAT = 5
TOLD = ("identity.json", "run.json", "failure.json", "evaluations.parquet", "front.npz", "diagnostics.parquet")
ASKED = ("problem", "method", "instance", "seed")  # what commands have lists of


def _asks_for(settings: dict[str, Any], key: Sequence[Any]) -> bool:
    """Whether a command asks for a run."""
    return all(one in settings.get(f"{name}s", ()) for name, one in zip(ASKED, key, strict=True))


def _begins(path: Path) -> bool:
    """Whether a file is of a study that another command is just beginning."""
    return path.name in ("lock", "study.json") or path.name.startswith(UNFINISHED)


class StudyFolder:
    """A folder with a study, or one that is to become a study."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def existing(cls, path: Path) -> StudyFolder:
        """Open a study; raises InputError when the folder is none."""
        if not os.path.lexists(path / "study.json"):
            raise InputError(f"{path} is not a study (it has no study.json); name a folder that bench has written")
        try:
            found = read_document(path / "study.json").get("format")
        except Damaged as error:
            raise Damaged(f"{error}; put a copy of it there, or name another folder") from error
        if found != FORMAT:
            raise InputError(f"{path} has study format {found!r}, but this version reads {FORMAT}")
        return cls(path)

    def prepare(self, settings: dict[str, Any], environment: dict[str, Any], control: str | None = None) -> None:
        """Create the study, or note another command in it; raises InputError when the folder cannot be used."""
        if os.path.lexists(self.path / "study.json"):
            StudyFolder.existing(self.path)
        elif self.path.exists() and not (self.path.is_dir() and all(map(_begins, self.path.iterdir()))):
            raise InputError(f"{self.path} must be a study, an empty folder or a new name, but is something else")
        try:
            with locked(self.path / "lock"):  # another command may begin the same study
                self._note(settings, environment, control)
                sweep(self.path)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}); choose another --output") from error

    def _note(self, settings: dict[str, Any], environment: dict[str, Any], control: str | None) -> None:
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        study: dict[str, Any] = {"format": FORMAT, "begun": begun, "control": None, "commands": [], "environments": []}
        if os.path.lexists(self.path / "study.json"):
            study = self.settings
        study["control"] = control or study["control"]
        study["removed"] = [key for key in study.get("removed", []) if not _asks_for(settings, key)]
        for name, value in (("commands", settings), ("environments", environment)):
            if value not in study[name]:
                study[name].append(value)
        write_document(self.path / "study.json", study)

    def note_removed(self, identities: Sequence[dict[str, Any]]) -> None:
        """Remember which runs were taken out: they are not missing until a command asks for them again."""
        study = self.settings
        keys = [[identity[name] for name in ASKED] for identity in identities]
        study["removed"] = study.get("removed", []) + [key for key in keys if key not in study.get("removed", [])]
        write_document(self.path / "study.json", study)

    @property
    def settings(self) -> dict[str, Any]:
        """The contents of study.json."""
        return read_document(self.path / "study.json")

    @property
    def pdf(self) -> Path:
        """Where the comparison goes."""
        return self.path / "comparison.pdf"

    def run(self, problem: str, method: str, instance: int, seed: int, hash: str) -> RunFolder:
        """The folder of one run; the hash alone tells runs apart, the rest is for people."""
        parts = [re.sub(r"^\.*$|[^A-Za-z0-9._=,+\[\]-]", "_", part)[:80] for part in (problem, method)]
        return RunFolder(self.path / "runs" / parts[0] / parts[1] / f"{instance}-{seed}-{hash}")

    @property
    def digest(self) -> str:
        """64 hex digits over where it lies and the contents of all files that figures and tables are made of."""
        found = hashlib.sha256(str(self.path.resolve()).encode())
        for folder in self.runs():
            names = (*TOLD, "finetuned.json", "verified.json") if folder.finished else (*TOLD, folder.journal.name)
            for path in (folder.path / name for name in names):
                content = path.read_bytes() if path.exists() else b""
                found.update(f"\n{path.relative_to(self.path)} {len(content)}\n".encode() + content)
        found.update((self.path / "study.json").read_bytes())
        return found.hexdigest()

    def runs(self) -> Iterator[RunFolder]:
        """All runs that have begun and are as they were written, sorted by their folders."""
        return (folder for folder in self._begun() if folder.damage is None)

    @property
    def damages(self) -> list[str]:
        """A line for every run that is not: nothing is told of it until it is carried out again."""
        return [f"{damage}; nothing of this run is told" for folder in self._begun() if (damage := folder.damage)]

    def _begun(self) -> Iterator[RunFolder]:
        """All runs that have begun, and whatever lies in place of their folders and is none."""
        level = [self.path / "runs"]
        for _ in range(3):
            yield from (RunFolder(path) for path in level if path.is_symlink())
            level = sorted(one for path in level if path.is_dir() and not path.is_symlink() for one in path.iterdir())
        yield from (folder for folder in map(RunFolder, level) if folder.path.is_symlink() or folder.begun)
