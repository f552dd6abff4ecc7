"""One run's files, which a study has a folder of for each; what of them is believed, and what is not.

STUDY/runs/PROBLEM/METHOD/INSTANCE-SEED-HASH/
    identity.json                           what the run is; written first
    journal.jsonl                           every answer, a line each, written before the method sees it
    journal.underway                        how far the next one is, while it is computed
    weights/*.safetensors                   answers that are too large for a line: scores and trained weights
    evaluations.parquet                     a row for each evaluation: its mask's digest, objectives, passes, seconds
    front.npz                               the final front: masks, values, errors, which test images are right
    diagnostics.parquet                     what the method recorded about itself
    finetuning.jsonl                        of `bench --finetune`: its log, member by member
    finetuned.json                          of `bench --finetune`: errors of each member afterwards
    failure.json                            why it failed, if it did
    verified.json                           that `verify` has carried it out once more, if it has, and how
    log.txt                                 what its plugins printed, if they did
    lock                                    held by the process that computes it
    run.json                                written last: its presence marks the run as finished

All of it but the log is checked: each JSON document begins with a checksum of its own, each line of a journal ends in
one, run.json names those of tables and arrays, and weights are named by theirs. No link is followed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import Damaged, InputError
from ..files import locked, read_document, sweep, write_document, write_whole
from ..search.answer import Answer, read_lines
from ..search.journal import under_way
from ..search.records import stacked
from .evaluations import of_answers, of_archive
from .formats import Arrays, from_arrays, from_table, read_sealed, rows_of, seal_of, to_arrays, to_table

if TYPE_CHECKING:  # both take torch along, which nobody needs who only reads
    from ..search.archive import Archive
    from .result import Members

SILENT = 60.0  # seconds after which whoever computed has gone
FILES = ("evaluations.parquet", "front.npz", "diagnostics.parquet")  # whose checksums stand in run.json
DOCUMENTS = ("identity.json", "run.json", "failure.json", "finetuned.json", "verified.json")
LOGS = ("journal.jsonl", "finetuning.jsonl", "log.txt")


@dataclass(frozen=True)
class RunFolder:
    """Where one run's files lie."""

    path: Path

    @property
    def journal(self) -> Path:
        """The log of answers."""
        return self.path / "journal.jsonl"

    @property
    def finetuning(self) -> Path:
        """The log of the common fine-tuning, member by member."""
        return self.path / "finetuning.jsonl"

    @property
    def weights(self) -> Path:
        """The folder of scores and trained weights."""
        return self.path / "weights"

    @property
    def log(self) -> Path:
        """What plugins have printed."""
        return self.path / "log.txt"

    @property
    def begun(self) -> bool:
        """Whether the run has said what it is."""
        return self._has("identity.json") or self.finished

    @property
    def finished(self) -> bool:
        """Whether the run has ended well."""
        return self._has("run.json")

    @property
    def whole(self) -> bool:
        """Whether the run has ended well, and all its files are as they were written."""
        return self.finished and self.damage is None

    @property
    def damage(self) -> str | None:
        """What is not as it was written, in one line; None where nothing is that figures are made of."""
        try:
            self.check_plain()
            if not self.begun:
                return None
            self._check()
        except (InputError, OSError) as error:
            return str(error)
        except Exception as error:  # whoever wrote it has made the checksum fit
            return f"{self.path} holds what no run has written ({type(error).__name__}: {error})"
        return None

    def _check(self) -> None:
        """Raise whatever it may be where the files of a run that has begun are damaged, or are not one run's."""
        identity, _, _ = self.identity, self.failure, self.finetuned_epochs
        agrees = self.path.name == "{instance}-{seed}-{hash}".format_map(identity)
        if self.finished:
            found = {name: self.content(name) for name in FILES if name in self.result["files"]}
            sizes = len(self.front(["params"])["params"]), rows_of(found["evaluations.parquet"])
            agrees &= sizes == (self.result["front_size"], self.result["evaluations"])
        else:
            self.answers()
        if not agrees:
            raise Damaged(f"{self.path} holds files of several runs, or of one that belongs elsewhere")

    def check_plain(self) -> None:
        """Raise Damaged for a link, or anything else that is no plain file or folder, in the place of one."""
        for path in (self.path, *self.path.parents[:3], self.weights):
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                raise Damaged(f"{path} must be a folder, but is a link or something else; remove it")
        inside = [self.path / name for name in (*FILES, *DOCUMENTS, *LOGS, "lock")]
        for path in (*inside, *(self.weights.iterdir() if self.weights.exists() else ())):
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise Damaged(f"{path} must be a plain file, but is a link or something else; remove it")

    def _has(self, name: str) -> bool:
        return os.path.lexists(self.path / name)

    @property
    def identity(self) -> dict[str, Any]:
        """What the run is, with the references of its objectives."""
        return read_document(self.path / "identity.json")

    @property
    def result(self) -> dict[str, Any]:
        """What `finish` wrote."""
        return read_document(self.path / "run.json")

    @property
    def failure(self) -> str | None:
        """The reason why the last try failed."""
        return read_document(self.path / "failure.json")["reason"] if self._has("failure.json") else None

    @contextlib.contextmanager
    def held(self, wait: bool = True) -> Iterator[None]:
        """Nobody else computes this run meanwhile; raises InputError where another process does, unless it waits."""
        try:
            with locked(self.path / "lock", wait):
                yield
        except BlockingIOError as error:
            raise InputError(f"{self.path} is being computed by another process; wait until it has ended") from error

    def begin(self, identity: dict[str, Any]) -> None:
        """Say what the run is; an earlier failure is forgotten."""
        write_document(self.path / "identity.json", identity)
        (self.path / "failure.json").unlink(missing_ok=True)

    def fail(self, reason: str, identity: dict[str, Any]) -> None:
        """Say why the run ended badly, also where it had not begun; its journal stays, so that it can go on."""
        if not self._has("identity.json"):
            write_document(self.path / "identity.json", identity)
        write_document(self.path / "failure.json", {"reason": reason})

    def forget(self) -> None:
        """Remove the run, so that it starts over, or a link in its place; raises InputError while it is computed.

        What lies behind a link above it is not the study's, and stays.
        """
        if any(path.is_symlink() for path in self.path.parents[:3]):
            return
        if self.path.is_symlink():
            self.path.unlink()
        elif self.path.is_dir():
            with self.held(wait=False):
                shutil.rmtree(self.path)

    def reopen(self) -> None:
        """Forget how the run ended, so that it is carried out again as far as its journal does not answer."""
        for name in ("run.json", "failure.json", "finetuned.json", "verified.json"):
            (self.path / name).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a kill has left: half files, and, of a finished run, weights that no member of its front has."""
        for folder in (self.path, self.weights):
            sweep(folder)
        if self.finished and self.weights.exists():
            kept = set(self.front(["weights"])["weights"].tolist())
            for path in self.weights.glob("*.safetensors"):
                if path.stem not in kept:
                    path.unlink()

    def finish(
        self,
        archive: Archive,
        members: Members,
        objectives: tuple[str, ...],
        records: dict[str, pd.DataFrame],
        result: dict[str, Any],
    ) -> None:
        """Write all that a finished run consists of, `run.json` last."""
        from .result import front_of  # it takes torch along, which nobody needs who only reads

        contents = {"evaluations.parquet": from_table(of_archive(archive, objectives))}
        if records:
            contents["diagnostics.parquet"] = from_table(stacked(records))
        contents["front.npz"] = from_arrays(front_of(members))
        for name, content in contents.items():
            write_whole(self.path / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
        seals = {name: seal_of(content) for name, content in contents.items()}
        write_document(self.path / "run.json", result | {"files": seals})

    def content(self, name: str) -> bytes:
        """What a file of a finished run holds; raises Damaged where it is not what `finish` wrote."""
        return read_sealed(self.path / name, self.result["files"][name])

    def front(self, names: Sequence[str] | None = None) -> Arrays:
        """The final front: bits uint8[members, bytes], weights, params, values, errors, what is lost and gained
        beside the unpruned network in search images, and units kept per layer.

        And which test images are right, packed: see `Correctness`. All of that, or some.
        """
        return to_arrays(self.content("front.npz"), names)

    def evaluations(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per evaluation; of an unfinished run, what its journal holds. All columns, or some.

        spent, seconds (of answers), own (of the method's work between them) and processor (seconds that processors
        worked) are totals right after each.
        """
        if self.finished:
            return to_table(self.content("evaluations.parquet"), columns)
        frame = of_answers(self.answers(), self.identity["objectives"])
        return frame if columns is None else frame[list(columns)]

    def answers(self) -> list[Answer]:
        """The answers of the latest session; raises Damaged where a line is not as it was written."""
        if not self.journal.exists():
            return []
        found = read_lines(self.journal)
        found.check(self.journal)
        sessions = [number for number, line in enumerate(found.lines) if isinstance(line, dict)]
        latest = found.lines[sessions[-1] + 1 :] if sessions else []
        return [line for line in latest if isinstance(line, Answer)]

    def under_way(self) -> dict[str, Any] | None:
        """What takes long and is being computed, the share of it that is done, its charge and seconds so far.

        None where nobody has told for a while: a killed process leaves the file behind.
        """
        path = under_way(self.journal)
        with contextlib.suppress(Damaged, OSError):  # gone meanwhile
            if time.time() - path.stat().st_mtime < SILENT:
                return read_document(path)
        return None

    def finetuned(self) -> Arrays | None:
        """The final front after the common fine-tuning: search_error and test_error of each member; None without."""
        if not self._has("finetuned.json"):
            return None
        return {name: np.array(value) for name, value in read_document(self.path / "finetuned.json").items()}

    def finish_finetuning(self, **arrays: Any) -> None:
        """Write what the common fine-tuning found: epochs, search_error, test_error, passes and seconds."""
        found = {name: np.asarray(value).tolist() for name, value in arrays.items()}
        write_document(self.path / "finetuned.json", found)

    @property
    def finetuned_epochs(self) -> int:
        """How many epochs of the common fine-tuning its final front has had."""
        found = self.finetuned()
        return 0 if found is None else int(found["epochs"])

    def diagnostics(self) -> pd.DataFrame | None:
        """What the method recorded: all its tables below each other, told apart by the column `record`."""
        name = "diagnostics.parquet"
        return to_table(self.content(name)) if name in self.result["files"] else None
