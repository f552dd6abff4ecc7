"""Several studies as one: their runs side by side, and those that more than one of them holds compared."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError, VerificationFailed
from .folder import RunFolder
from .store import StudyFolder

LEFT = ("lock", "journal.underway")  # of a run, where it was computed
TIMES = {"seconds", "own_seconds", "processor_seconds", "seconds_by_kind", "seconds_in_all", "environment", "files"}


@dataclass(frozen=True)
class Merged:
    """How many runs there are now, how many of them several studies held, and what was left out, with the reason."""

    runs: int
    same: int
    left_out: tuple[str, ...]


def merge(studies: Sequence[StudyFolder], place: Path) -> Merged:
    """Write a new study with the runs of all; of one that several hold, the furthest, and the first of equals.

    Two finished ones must have the same result: raises VerificationFailed, and writes nothing, where they differ in
    more than times. The control is theirs where they agree. Damaged runs are left out. Raises InputError where the
    place is taken.
    """
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InputError(f"{place} must be an empty folder or a new name, but something is there; choose another -o")
    chosen: dict[Path, RunFolder] = {}
    same = 0
    for study in studies:
        for folder in study.runs():
            inside = folder.path.relative_to(study.path)
            if (other := chosen.get(inside)) is not None:
                same += 1
                if other.finished and folder.finished:
                    _check_same(other, folder)
                if _progress(folder) <= _progress(other):
                    continue
            chosen[inside] = folder
    if not chosen:
        raise InputError(f"{', '.join(str(study.path) for study in studies)} hold no run that could be merged")
    with _staged(place) as stage:
        _describe(studies, StudyFolder(stage))
        for inside, folder in chosen.items():
            with folder.held(wait=False):
                shutil.copytree(folder.path, stage / inside, ignore=shutil.ignore_patterns(*LEFT))
    return Merged(len(chosen), same, tuple(damage for study in studies for damage in study.damages))


@contextlib.contextmanager
def _staged(place: Path) -> Iterator[Path]:
    """A folder beside a place, and there when the block has ended well."""
    place.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}-"))
    try:
        yield stage
        stage.chmod(0o755)
        stage.replace(place)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise


def _describe(studies: Sequence[StudyFolder], merged: StudyFolder) -> None:
    """Write study.json: all commands and environments, and the control where it is one."""
    controls = {study.settings["control"] for study in studies}
    control = controls.pop() if len(controls) == 1 else None
    for settings in (study.settings for study in studies):
        for command in settings["commands"]:
            merged.prepare(command, settings["environments"][0], control)
        for environment in settings["environments"]:
            merged.prepare(settings["commands"][0], environment, control)


def _progress(folder: RunFolder) -> tuple[bool, int, int]:
    answers = 0 if folder.finished else len(folder.answers())
    return folder.finished, folder.finetuned_epochs, answers


def _check_same(one: RunFolder, two: RunFolder) -> None:
    """Raise VerificationFailed where two finished runs of one identity have other results."""
    first, second = one.result, two.result
    names = [name for name in first if name not in TIMES and first[name] != second.get(name)]
    fronts = one.front(), two.front()
    names += [name for name in fronts[0] if not np.array_equal(fronts[0][name], fronts[1].get(name, np.empty(0)))]
    if names:
        raise VerificationFailed(
            f"{one.path} and {two.path} are the same run, but differ in {names[0]}; pruneframe verify tells which of "
            "them is right"
        )
