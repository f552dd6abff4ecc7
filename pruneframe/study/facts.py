"""Studies read back: the summaries of their runs, their boards, and all else that reports are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..front import DROPS, OperatingPoint, hypervolume
from ..report import Board, Instance, RunSummary, StudyFacts
from . import labels
from .folder import RunFolder
from .progress import Progress
from .rows import Rows, stacked
from .stamp import Stamp
from .store import StudyFolder

IDENTITY = (
    *("problem", "method", "instance", "seed", "board", "hash"),
    *("units", "batch_norm", "budget", "search_images", "precision"),
)
REACHED = (
    *("deterministic", "passes_spent", "evaluations", "repeats", "ended", "seconds", "seconds_by_kind", "own_seconds"),
    *("processor_seconds", "seconds_in_all"),
    *("hypervolume", "hypervolume_search", "hypervolume_region", "hypervolume_log", "hypervolume_anytime"),
    *("front_size", "dense_error", "dense_test_error", "environment"),
)
# Rules that a command may name.
COMMANDED = ("units", "batch_norm", "budget", "search_images", "objectives", "precision")


def runs(*studies: StudyFolder) -> list[RunFolder]:
    """All runs of some studies; of one that several hold, a finished one, and rather one that is fine-tuned."""
    found: dict[tuple[Any, ...], RunFolder] = {}
    for folder in (folder for study in studies for folder in study.runs()):
        identity = folder.identity
        key = tuple(identity[name] for name in ("problem", "method", "instance", "seed", "hash"))
        if key not in found or _progressed(folder) > _progressed(found[key]):
            found[key] = folder
    return list(found.values())


def _progressed(folder: RunFolder) -> tuple[bool, int]:
    return folder.finished, folder.finetuned_epochs


def summaries(*studies: StudyFolder) -> list[RunSummary]:
    """All runs of some studies, in the order of their folders."""
    folders = runs(*studies)
    identities = labels.identities_of(folders)
    return _ranked([_summary(folder, identities[folder.path]) for folder in folders])


def _ranked(told: Sequence[RunSummary]) -> list[RunSummary]:
    """The same, `empty` in place of done where a method has reached nothing in any of its finished runs on a board.

    Where it has in some, the others count as what they are, 0: a method is not better for leaving out its worst runs.
    """
    best: dict[tuple[str, str], float] = {}
    for run in (run for run in told if run.done):
        best[run.board, run.method] = max(run.hypervolume_search, best.get((run.board, run.method), 0.0))
    return [_emptied(run) if best.get((run.board, run.method)) == 0 and run.done else run for run in told]


def _emptied(run: RunSummary) -> RunSummary:
    reason = (
        f"no member is better than guessing with the whole network after {run.passes_spent:.4g} of {run.budget:g} "
        "passes, so that it is not ranked; a larger --budget may help"
    )
    return replace(run, status="empty", reason=reason)


def _summary(folder: RunFolder, identity: dict[str, Any]) -> RunSummary:
    failure = folder.failure
    about = {name: identity[name] for name in IDENTITY}
    about |= {"objectives": tuple(identity["objectives"]), "folder": str(folder.path)}
    about |= {"plugins": tuple((name, version) for name, version in identity["versions"])}
    if folder.finished:
        result, tuned = folder.result, folder.finetuned()
        reached = {name: result[name] for name in REACHED if name in result} | {
            "points": tuple(_point(result, drop, sure) for drop in DROPS for sure in (False, True)),
            "hypervolume_resampled": tuple(result["hypervolume_resampled"]),
        }
        if tuned is not None:
            reached |= {"finetuned": folder.finetuned_epochs, "finetuning_passes": float(tuned["passes"])}
            reached |= {"hypervolume_finetuned": _after_finetuning(folder, tuned["test_error"])}
        stamp = Stamp.of(folder)
        return RunSummary(status="done", **about, **reached, verified="" if stamp is None else str(stamp))
    progress = Progress(folder, identity["budget"])
    progress.refresh()
    return RunSummary(
        status="failed" if failure else "partial",
        reason=failure or "",
        passes_spent=progress.spent,
        evaluations=progress.evaluations,
        seconds=progress.seconds,
        seconds_by_kind=progress.seconds_by_kind,
        own_seconds=progress.own,
        processor_seconds=progress.processor,
        hypervolume_search=progress.hypervolume,
        **about,
    )


def _point(result: dict[str, Any], drop: float, sure: bool) -> OperatingPoint:
    names = [f"{'sure_' * sure}{name}_at_{drop:g}" for name in ("reduction", "test_drop", "test_drop_interval")]
    reduction, lost, interval = (result[name] for name in names)
    return OperatingPoint(drop, reduction, lost, None if interval is None else (interval[0], interval[1]), sure)


def _after_finetuning(folder: RunFolder, errors: np.ndarray) -> float:
    """The hypervolume over test errors and parameters; not a number where the error has no reference."""
    identity = folder.identity
    if "error" not in identity["objectives"]:
        return float("nan")
    reference = identity["references"][identity["objectives"].index("error")]
    shares = folder.front(["params"])["params"] / folder.result["total_params"]
    return hypervolume(np.column_stack([errors / reference, shares]))


def overview(*studies: StudyFolder) -> StudyFacts:
    """The boards and runs of some studies, without what methods recorded; asked for and not begun is `missing`."""
    return _overview(studies, runs(*studies))


def facts(*studies: StudyFolder) -> StudyFacts:
    """All that reports are told of some studies."""
    folders = runs(*studies)
    ended, heads = [folder for folder in folders if folder.finished], heads_of(folders)
    records = [table.assign(**heads[f.path]) for f in ended if (table := f.diagnostics()) is not None]
    layers = [_kept(folder, heads[folder.path]) for folder in ended]
    return replace(_overview(studies, folders), records=_joined(records), layers=stacked(layers))


def _overview(studies: Sequence[StudyFolder], folders: Sequence[RunFolder]) -> StudyFacts:
    identities = labels.identities_of(folders)
    called = labels.methods(identities)
    told = _ranked([replace(_summary(f, identities[f.path]), method=called[f.path]) for f in folders])
    provenance = {called[folder.path]: folder.result["provenance"] for folder in folders if folder.finished}
    controls = {study.settings.get("control") for study in studies}
    control = controls.pop() if len(controls) == 1 else None  # studies that were begun with others have none together
    ranked = {run.board for run in told if run.done}
    return StudyFacts(
        _boards([folder for folder in folders if identities[folder.path]["board"] in ranked], identities),
        (*told, *_missing(studies, told)),
        provenance,
        control=control,
        beforehand=control is not None,
        tuned=_tuned(studies, called.values()),
    )


def _tuned(studies: Sequence[StudyFolder], called: Iterable[str]) -> dict[str, dict[str, Any]]:
    """By method, what the latest command with a settings file says of how they were found."""
    found: dict[str, dict[str, Any]] = {}
    for command in (command for study in studies for command in study.settings["commands"] if "tuned" in command):
        effort = dict(command["tuned"])
        found |= {one["spec"]: effort | one for one in effort.pop("methods")}
    return {name: found[spec] for name in called if (spec := name.partition(" (")[0]) in found}


def heads_of(folders: Sequence[RunFolder]) -> dict[Path, dict[str, Any]]:
    """What rows of tables begin with, by run: board, method, instance and seed."""
    identities = labels.identities_of(folders)
    called = labels.methods(identities)
    return {
        path: {"board": identity["board"], "method": called[path]} | {n: identity[n] for n in ("instance", "seed")}
        for path, identity in identities.items()
    }


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables below each other."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def _boards(folders: Sequence[RunFolder], identities: labels.Identities) -> tuple[Board, ...]:
    """The boards of some runs, from those that are finished."""
    named = labels.boards(list(identities.values()))
    found: dict[str, list[RunFolder]] = {}
    for folder in (folder for folder in folders if folder.finished):
        found.setdefault(identities[folder.path]["board"], []).append(folder)
    return tuple(_board(hash, named[hash], own) for hash, own in found.items())


def _board(hash: str, label: str, folders: Sequence[RunFolder]) -> Board:
    """From its finished runs."""
    instances: dict[int, Instance] = {}
    for folder in folders:
        number = folder.identity["instance"]
        if number not in instances:
            instances[number] = _instance(folder)
    identity, result = folders[0].identity, folders[0].result
    return Board(
        hash=hash,
        label=label,
        problem=identity["problem"],
        objectives=tuple(identity["objectives"]),
        instances=tuple(instances[number] for number in sorted(instances)),
        budget=identity["budget"],
        rules={name: identity[name] for name in labels.RULES} | {"images": result["images"]},
        source=result["source"],
        quantities=tuple(result["quantities"]),
        varies=tuple(result["varies"]),
    )


def _instance(folder: RunFolder) -> Instance:
    """What a finished run says of its instance."""
    identity, result = folder.identity, folder.result
    values = tuple(identity["references"]), tuple(result["dense_search"]), tuple(result["dense_test"])
    errors = result["dense_error"], result["dense_test_error"]
    return Instance(identity["instance"], *values, *errors, result.get("true_hypervolume_search"))


def _missing(studies: Sequence[StudyFolder], told: Sequence[RunSummary]) -> Iterator[RunSummary]:
    """Runs that a command asked for, by rules that it named, and that have not begun."""
    commands = [command for study in studies for command in study.settings["commands"]]
    begun: dict[tuple[str, str, int, int], list[RunSummary]] = {}
    for run in told:
        key = run.problem, run.method.partition(" (")[0], run.instance, run.seed
        begun.setdefault(key, []).append(run)
    gone = {tuple(key) for study in studies for key in study.settings.get("removed", [])}
    seen = set()
    for command in commands:
        rules = {name: command[name] for name in COMMANDED if command.get(name) is not None}
        rules |= {"objectives": tuple(rules["objectives"])} if "objectives" in rules else {}
        for key in product(*(command.get(name, ()) for name in ("problems", "methods", "instances", "seeds"))):
            there = any(all(getattr(run, name) == rules[name] for name in rules) for run in begun.get(key, ()))
            if not there and key not in gone and (key, str(rules)) not in seen:
                seen.add((key, str(rules)))
                yield RunSummary(*key, "missing")


def _kept(folder: RunFolder, head: dict[str, Any]) -> Rows:
    """What each final member keeps of each layer."""
    kept, layers = folder.front(["kept"])["kept"], folder.result["layers"]
    members = len(kept)
    columns = {
        "number": np.repeat(np.arange(members), len(layers)),
        "layer": np.array(list(layers) * members, dtype=object),
        "kept": kept.ravel(),
        "units": np.array(list(layers.values()) * members, dtype=np.int64),
    }
    return Rows(head, columns)
