"""The only module that knows a file name of a study.

STUDY/study.json                            commands, versions, hardware, the control
STUDY/runs/PROBLEM/METHOD/INSTANCE-SEED-HASH/
    identity.json                           what the run is; written first
    journal.jsonl  weights/*.safetensors    every answer as it is given, and what is too large for a line
    journal.underway                        how far the next one is, while it is computed
    evaluations.parquet  front.npz  diagnostics.parquet
    finetuning.jsonl  finetuned.npz         of `bench --finetune`, where it was asked for
    failure.json                            why it failed, if it did
    log.txt                                 what its plugins printed, if they did
    run.json                                written last: its presence marks the run as finished
STUDY/comparison.pdf
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..files import write_whole
from ..search.journal import Answer, read_lines, under_way
from .formats import read_json, read_parquet, write_json, write_parquet

if TYPE_CHECKING:  # both take torch along, which nobody needs who only reads
    from ..search.archive import Archive
    from .result import Members

FORMAT = 4
TOTALS = ("spent", "seconds", "own", "processor")  # until an evaluation had been answered
EVALUATION = ["number", "mask", "weights", *TOTALS]  # columns beside those of the objectives
SILENT = 60.0  # seconds after which whoever computed has gone


@dataclass(frozen=True)
class RunFolder:
    """Where one run's files lie."""

    path: Path

    @property
    def journal(self) -> Path:
        """The log of answers."""
        return self.path / "journal.jsonl"

    @property
    def weights(self) -> Path:
        """The folder of scores and trained weights."""
        return self.path / "weights"

    @property
    def log(self) -> Path:
        """What plugins have printed."""
        return self.path / "log.txt"

    @property
    def finished(self) -> bool:
        """Whether the run has ended well."""
        return (self.path / "run.json").exists()

    @property
    def identity(self) -> dict[str, Any]:
        """What the run is, with the references of its objectives."""
        return read_json(self.path / "identity.json")

    @property
    def result(self) -> dict[str, Any]:
        """What `finish` wrote."""
        return read_json(self.path / "run.json")

    @property
    def failure(self) -> str | None:
        """The reason why the last try failed."""
        path = self.path / "failure.json"
        return read_json(path)["reason"] if path.exists() else None

    def begin(self, identity: dict[str, Any]) -> None:
        """Say what the run is; an earlier failure is forgotten."""
        write_json(self.path / "identity.json", identity)
        (self.path / "failure.json").unlink(missing_ok=True)

    def fail(self, reason: str) -> None:
        """Say why the run ended badly; its journal stays, so that it can go on."""
        write_json(self.path / "failure.json", {"reason": reason})

    def forget(self) -> None:
        """Remove the run, so that it starts over."""
        shutil.rmtree(self.path, ignore_errors=True)

    def finish(
        self,
        archive: Archive,
        members: Members,
        objectives: tuple[str, ...],
        records: dict[str, pd.DataFrame],
        result: dict[str, Any],
    ) -> None:
        """Write all that a finished run consists of, `run.json` last."""
        rows = [asdict(evaluation) for evaluation in archive.evaluations]
        values = np.array([row.pop("values") for row in rows]).reshape(len(rows), len(objectives))
        frame = pd.DataFrame(rows, columns=EVALUATION)
        for column, name in enumerate(objectives):
            frame[name] = values[:, column]
        write_parquet(self.path / "evaluations.parquet", frame)
        if records:
            parts = [table.assign(record=name) for name, table in records.items()]
            write_parquet(self.path / "diagnostics.parquet", pd.concat(parts, ignore_index=True))
        arrays = {
            "bits": members.masks.bits,
            "weights": np.array(members.weights, dtype=str),
            "params": members.params,
            "search": members.search.values,
            "test": members.test.values,
            "search_error": members.search.error,
            "test_error": members.test.error,
            **dict(zip(("search_lost", "search_gained"), members.differing, strict=True)),
            "kept": members.masks.layer_counts(),
            "correct": np.packbits(members.test.correct, axis=1),
            "dense_correct": np.packbits(members.dense_test.correct[0]),
        }
        write_whole(self.path / "front.npz", lambda file: np.savez(file, allow_pickle=False, **arrays))
        write_json(self.path / "run.json", result)

    def front(self, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The final front: bits uint8[members, bytes], weights, params, values, errors, what is lost and gained
        beside the unpruned network in search images, and units kept per layer.

        And which test images are right, packed: see `Correctness`. All of that, or some.
        """
        with np.load(self.path / "front.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names or arrays}

    def evaluations(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per evaluation; of an unfinished run, what its journal holds. All columns, or some.

        spent, seconds (of answers), own (of the method's work between them) and processor (seconds that processors
        worked) are totals right after each.
        """
        if self.finished:
            return read_parquet(self.path / "evaluations.parquet", columns)
        names = self.identity["objectives"]
        rows, totals = [], np.zeros(len(TOTALS))
        for answer in self.answers():
            totals += (answer.charge, answer.seconds, answer.own, answer.processor)
            if answer.kind == "evaluate":
                asked = {"mask": answer.question["mask"], "weights": answer.question["weights"]}
                head = {"number": answer.number} | asked | dict(zip(TOTALS, totals.tolist(), strict=True))
                rows.append(head | dict(zip(names, answer.values, strict=True)))
        frame = pd.DataFrame(rows, columns=[*EVALUATION, *names])
        return frame if columns is None else frame[list(columns)]

    def answers(self, finetuning: bool = False) -> list[Answer]:
        """The answers of the latest session, of the run's journal or of its fine-tuning's."""
        journal = self.finetuning if finetuning else self.journal
        lines = read_lines(journal)[0] if journal.exists() else []
        sessions = [number for number, line in enumerate(lines) if isinstance(line, dict)]
        latest = lines[sessions[-1] + 1 :] if sessions else []
        return [line for line in latest if isinstance(line, Answer)]

    def under_way(self) -> dict[str, Any] | None:
        """What takes long and is being computed, the share of it that is done, its charge and seconds so far.

        None where nobody has told for a while: a killed process leaves the file behind.
        """
        path = under_way(self.journal)
        try:
            return json.loads(path.read_bytes()) if time.time() - path.stat().st_mtime < SILENT else None
        except FileNotFoundError:
            return None

    def finetuned(self) -> dict[str, np.ndarray] | None:
        """The final front after the common fine-tuning: search_error and test_error of each member; None without."""
        path = self.path / "finetuned.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)

    @property
    def finetuning(self) -> Path:
        """The log of the common fine-tuning, member by member."""
        return self.path / "finetuning.jsonl"

    def finish_finetuning(self, **arrays: Any) -> None:
        """Write what the common fine-tuning found: epochs, search_error, test_error, passes and seconds."""
        write_whole(self.path / "finetuned.npz", lambda file: np.savez(file, allow_pickle=False, **arrays))

    @property
    def finetuned_epochs(self) -> int:
        """How many epochs of the common fine-tuning its final front has had."""
        found = self.finetuned()
        return 0 if found is None else int(found["epochs"])

    def diagnostics(self) -> pd.DataFrame | None:
        """What the method recorded: all its tables below each other, told apart by the column `record`."""
        path = self.path / "diagnostics.parquet"
        return read_parquet(path) if path.exists() else None


TOLD = ("identity.json", "run.json", "failure.json", "evaluations.parquet", "front.npz", "diagnostics.parquet")


class StudyFolder:
    """A folder with a study, or one that is to become a study."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def existing(cls, path: Path) -> StudyFolder:
        """Open a study; raises InputError when the folder is none."""
        if not (path / "study.json").is_file():
            raise InputError(f"{path} is not a study (it has no study.json); name a folder that bench has written")
        found = read_json(path / "study.json").get("format")
        if found != FORMAT:
            raise InputError(f"{path} has study format {found!r}, but this version reads {FORMAT}")
        return cls(path)

    def prepare(self, settings: dict[str, Any], environment: dict[str, Any], control: str | None = None) -> None:
        """Create the study, or note another command in it; raises InputError when the folder cannot be used."""
        file = self.path / "study.json"
        if file.exists():
            study = read_json(StudyFolder.existing(self.path).path / "study.json")
        else:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise InputError(f"{self.path} must be a study, an empty folder or a new name, but is something else")
            begun = datetime.now(UTC).isoformat(timespec="seconds")
            study = {"format": FORMAT, "begun": begun, "control": None, "commands": [], "environments": []}
        study["control"] = control or study["control"]
        for name, value in (("commands", settings), ("environments", environment)):
            if value not in study[name]:
                study[name].append(value)
        try:
            write_json(file, study)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}); choose another --output") from error

    @property
    def settings(self) -> dict[str, Any]:
        """The contents of study.json."""
        return read_json(self.path / "study.json")

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
            names = (*TOLD, "finetuned.npz") if folder.finished else (*TOLD, folder.journal.name)
            for path in (folder.path / name for name in names):
                content = path.read_bytes() if path.exists() else b""
                found.update(f"\n{path.relative_to(self.path)} {len(content)}\n".encode() + content)
        found.update((self.path / "study.json").read_bytes())
        return found.hexdigest()

    def runs(self) -> Iterator[RunFolder]:
        """All runs that have begun, sorted by their folders."""
        for identity in sorted(self.path.glob("runs/*/*/*/identity.json")):
            yield RunFolder(identity.parent)
