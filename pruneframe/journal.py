"""The journal: an append-only log of every answer that a search got, and its replay.

One JSON object a line. A line with "session" says under which versions and on which platform the answers that follow
were computed; all others are answers, numbered from 0 within their session. A killed run starts its method again from
the same seed; the journal answers until its end. Under another environment the run starts over in a new session, and
earlier sessions serve as a cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Self

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from .errors import InputError, JournalBroken, NotDeterministic
from .files import write_whole
from .network import digest

SYNC_SECONDS = 1.0  # answers reach the disk at least this often
MEMBER = "member"  # kind of the lines about final members, which no search asked for
HELD = 1 << 29  # bytes of tensors that stay in memory


@dataclass(frozen=True)
class Answer:
    """One answer: question number, its kind and key, the values given, units charged and seconds taken."""

    number: int
    kind: str
    key: str
    values: list[Any]
    charge: float
    seconds: float


FIELDS = {field.name for field in fields(Answer)}


class Journal:
    """The answers of one run, at `path`, or in memory alone when there is no path.

    Raises InputError while another process writes the same journal, JournalBroken for a damaged line that is not the
    last one. Use it as a context manager: leaving flushes to disk.
    """

    def __init__(self, path: Path | None, environment: dict[str, Any]) -> None:
        self._file: BinaryIO | None = None
        self._replay: deque[Answer] = deque()
        self._earlier: dict[tuple[str, str], list[Any]] = {}
        self._number = 0
        self._under_way: Path | None = None
        self._told = 0.0  # when it was written last; 0 for never
        self._dirty = threading.Event()
        self._closed = threading.Event()
        if path is not None:
            self._open(path, environment)

    def _open(self, path: Path, environment: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = file = path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise InputError(f"{path} is being written by another process; wait until it has ended") from error
        try:
            self._take_up(file, path, environment)
        except BaseException:
            file.close()
            raise
        self._under_way = under_way(path)
        self._forget()
        self._syncing = threading.Thread(target=self._sync_regularly, daemon=True)
        self._syncing.start()

    def _take_up(self, file: BinaryIO, path: Path, environment: dict[str, Any]) -> None:
        """Read what is there: the latest session is replayed under its own environment, all else is a cache."""
        lines, whole = read_lines(path)
        file.truncate(whole)  # a torn last line was never seen by the method
        previous = None
        for line in lines:
            if "session" in line:
                self._earlier.update({(answer.kind, answer.key): answer.values for answer in self._replay})
                self._replay.clear()
                previous = line["session"]
            else:
                self._replay.append(Answer(**line))
        if previous != environment:
            self._earlier.update({(answer.kind, answer.key): answer.values for answer in self._replay})
            self._replay.clear()
            self._append({"session": environment})

    def replay(self, kind: str, key: str) -> Answer | None:
        """The recorded answer to the next question, or None past the journal's end.

        Raises NotDeterministic when the question differs from the recorded one.
        """
        if not self._replay:
            return None
        answer = self._replay[0]
        if (answer.kind, answer.key) != (kind, key):
            raise NotDeterministic(
                f"on replay, question {answer.number} must be {answer.kind} {answer.key}, but the method asked "
                f"{kind} {key}; it draws randomness outside task.rng, or its code changed under one version"
            )
        self._number = answer.number + 1
        return self._replay.popleft()

    def earlier(self, kind: str, key: str) -> list[Any] | None:
        """The values that an earlier session, under other versions, gave to the same question."""
        return self._earlier.get((kind, key))

    def write(self, kind: str, key: str, values: list[Any], charge: float, seconds: float) -> Answer:
        """Log a new answer before the method sees it."""
        answer = Answer(self._number, kind, key, values, charge, seconds)
        self._number += 1
        self._forget()  # first, so that no reader counts it twice
        self._append(asdict(answer))
        return answer

    def tell(self, what: str, share: float, charge: float, seconds: float) -> None:
        """Say how much of the next answer is computed, which takes long: its share, of so many units; for who waits."""
        if self._under_way is None or time.monotonic() - self._told < SYNC_SECONDS:
            return
        told = {"what": what, "share": share, "charge": share * charge, "seconds": seconds}
        with contextlib.suppress(OSError):  # a full disk may not end what could still be answered
            write_whole(self._under_way, lambda file: file.write(json.dumps(told).encode()))
        self._told = time.monotonic()

    def _forget(self) -> None:
        """What was told is over."""
        if self._under_way is not None:
            with contextlib.suppress(OSError):
                self._under_way.unlink(missing_ok=True)

    @property
    def replaying(self) -> int:
        """Recorded answers that are still to be asked for."""
        return len(self._replay)

    def _append(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
            self._dirty.set()

    def _sync_regularly(self) -> None:
        while not self._closed.wait(SYNC_SECONDS):
            if self._dirty.is_set() and self._file is not None:
                self._dirty.clear()
                os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed.set()
        if self._file is not None:
            self._forget()
            self._syncing.join()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def under_way(path: Path) -> Path:
    """Where a journal at `path` says how far the answer is that it waits for."""
    return path.with_suffix(".underway")


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """All whole lines of a journal, and how many bytes they take; a torn last line is left out."""
    lines: list[dict[str, Any]] = []
    whole = 0
    raw = path.read_bytes().splitlines(keepends=True)
    for number, text in enumerate(raw):
        try:
            if not text.endswith(b"\n"):
                raise ValueError("no end of line")
            line = json.loads(text)
            if not isinstance(line, dict) or not ("session" in line or line.keys() == FIELDS):
                raise ValueError("it is neither a session nor an answer")
            lines.append(line)
        except ValueError as error:
            if number == len(raw) - 1:
                break
            raise JournalBroken(
                f"{path} line {number + 1} cannot be read ({error}); remove the run's folder to start it again"
            ) from error
        whole += len(text)
    return lines, whole


class Shelf:
    """Named tensors by digest, as safetensors files in one folder, or in memory alone when there is no folder.

    With a folder, what was used last stays in memory as far as `limit` bytes hold it.
    """

    def __init__(self, folder: Path | None, limit: int = HELD) -> None:
        self._folder = folder
        self._limit = limit
        self._held: dict[str, dict[str, Tensor]] = {}  # what was used last comes last

    def put(self, tensors: dict[str, Tensor]) -> str:
        """Keep tensors; returns their digest, by which equal tensors are kept once."""
        name = digest(tensors)
        if self._folder is not None and not self._path(name).exists():
            data = save({key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()})
            write_whole(self._path(name), lambda file: file.write(data))
        self._hold(name, tensors)
        return name

    def get(self, name: str) -> dict[str, Tensor]:
        """The tensors of a digest; raises InputError when they are gone or damaged."""
        tensors = self._held.pop(name) if name in self._held else self._load(self._path(name))
        self._hold(name, tensors)
        return tensors

    def keep_only(self, names: Iterable[str]) -> None:
        """Remove the files of all other tensors."""
        wanted = set(names)
        for path in self._folder.glob("*.safetensors") if self._folder is not None else ():
            if path.stem not in wanted:
                path.unlink()

    def _load(self, path: Path) -> dict[str, Tensor]:
        try:
            with torch.inference_mode(False):  # whoever asks first: training may need them later
                tensors = load_file(path)
        except Exception as error:  # safetensors raises its own error class, or OSError
            raise InputError(f"{path} is needed, but cannot be read: {error}; run bench with --force") from error
        if digest(tensors) != path.stem:
            raise InputError(f"{path} must hold the tensors of its name, but holds others; run bench with --force")
        return tensors

    def _hold(self, name: str, tensors: dict[str, Tensor]) -> None:
        self._held[name] = tensors
        while self._folder is not None and len(self._held) > 1 and self._bytes() > self._limit:
            del self._held[next(iter(self._held))]

    def _bytes(self) -> int:
        return sum(tensor.nbytes for tensors in self._held.values() for tensor in tensors.values())

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise InputError(f"no tensors are named {name!r} in this run")
        return self._folder / f"{name}.safetensors"
