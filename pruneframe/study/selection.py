"""Which runs of a study are meant, and which member of their final fronts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InputError, NothingSelected
from ..front import choose
from ..spec import meanings, meant
from .folder import RunFolder
from .store import StudyFolder


@dataclass(frozen=True)
class Selection:
    """Runs: None stands for any problem, method, instance, seed or hash; names are understood as everywhere."""

    problem: str | None = None
    method: str | None = None
    instance: int | None = None
    seed: int | None = None
    hash: str | None = None

    def runs(self, study: StudyFolder, begun: bool = False) -> list[RunFolder]:
        """The finished ones of a study, or all that have begun.

        Raises NothingSelected where there are none, and InputError where a name may be that of several methods.
        """
        found = [run for run in study.runs() if begun or run.finished]
        for key, value in asdict(self).items():
            if value is not None:
                found = _with(key, value, found)
        if not found:
            wanted = ", ".join(f"{key} {value}" for key, value in asdict(self).items() if value is not None)
            told, kind = f" with {wanted}" if wanted else "", "run" if begun else "finished run"
            raise NothingSelected(f"{study.path} has no {kind}{told}; see pruneframe summary {study.path}")
        return found

    def run(self, study: StudyFolder, flag: str) -> RunFolder:
        """The only one; raises InputError where several fit, naming what needs one."""
        runs = self.runs(study)
        if len(runs) > 1:
            raise InputError(
                f"{flag} needs one run, but {len(runs)} fit; add --method, --instance and --seed, or --run"
            )
        return runs[0]

    def member(self, study: StudyFolder, max_drop: float | None, number: int | None) -> tuple[RunFolder, int]:
        """The smallest member that loses at most `max_drop` points on search, or the one of a `number` in one run.

        Returns the run and the member's row. Raises InputError unless just one of the two is given, and fits.
        """
        if (max_drop is None) == (number is None):
            raise InputError("exactly one of --max-drop and --member must be given")
        if number is None:
            return _smallest(self.runs(study), max_drop or 0.0)
        run = self.run(study, "--member")
        return run, _checked(run, number)


def _with(key: str, value: Any, runs: list[RunFolder]) -> list[RunFolder]:
    """The runs that have a value, where it is a name one that is meant by it."""
    held = [run.identity[key] for run in runs]
    if key in ("problem", "method") and meanings(value, held):
        value = meant(key, value, held)
    return [run for run, own in zip(runs, held, strict=True) if own == value]


def _checked(run: RunFolder, member: int) -> int:
    size = len(run.front()["bits"])
    if not 0 <= member < size:
        raise InputError(f"--member must be from 0 to {size - 1} in {run.path}, but got {member}")
    return member


def _smallest(runs: list[RunFolder], drop: float) -> tuple[RunFolder, int]:
    """Over all runs, the member with the fewest parameters whose search error is at most `drop` points above dense."""
    found = []
    for run in runs:
        front = run.front()
        row = choose(front["search_error"], -front["params"].astype(float), run.result["dense_error"] + drop / 100)
        if row is not None:
            found.append((int(front["params"][row]), float(front["search_error"][row]), str(run.path), run, row))
    if not found:
        raise NothingSelected(
            f"no member loses at most {drop:g} points on the search split; allow more with --max-drop"
        )
    return min(found, key=lambda item: item[:3])[3:]
