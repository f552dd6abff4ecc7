"""Studies read back: the summaries of their runs, what reports are told, and the one long table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .progress import Progress
from .report import Board, StudyFacts, without_machine
from .result import DROPS
from .store import RunFolder, StudyFolder

INDICATORS = ("hypervolume", "hypervolume_search", "hypervolume_region", "front_size")
POINTS = tuple(f"{name}_at_{drop:g}" for drop in DROPS for name in ("reduction", "test_drop"))
COLUMNS = ["board", "problem", "method", "seed", "kind", "split", "number", "units_spent", "seconds"]
INTERVALS = tuple(f"test_drop_interval_at_{drop:g}" for drop in DROPS)
COMMANDED = ("units", "batch_norm", "budget", "search_images", "objectives")  # rules that a command may name
RULES = ("units", "batch_norm", "search_images", "budget", "objectives", "target_identity", "device", "threads")


def runs(*studies: StudyFolder) -> list[RunFolder]:
    """All runs of some studies; of one that several hold, a finished one, and rather one that is fine-tuned."""
    found: dict[tuple[Any, ...], RunFolder] = {}
    for folder in (folder for study in studies for folder in study.runs()):
        identity = folder.identity
        key = tuple(identity[name] for name in ("problem", "method", "seed", "hash"))
        if key not in found or _progressed(folder) > _progressed(found[key]):
            found[key] = folder
    return list(found.values())


def _progressed(folder: RunFolder) -> tuple[bool, int]:
    return folder.finished, folder.finetuned_epochs


def summaries(*studies: StudyFolder) -> list[dict[str, Any]]:
    """One object per run, as `summary --json` prints them."""
    return [_summary(folder) for folder in runs(*studies)]


def _summary(folder: RunFolder) -> dict[str, Any]:
    identity = folder.identity
    keys = ("problem", "method", "seed")
    head = {key: identity[key] for key in keys}
    status = "done" if folder.finished else "failed" if folder.failure else "partial"
    rules = {
        key: identity[key] for key in ("units", "batch_norm", "budget", "search_images", "objectives", "hash", "board")
    }
    names = (
        "deterministic",
        "units_spent",
        "evaluations",
        "seconds",
        *INDICATORS,
        "dense_error",
        "dense_test_error",
        *POINTS,
        *INTERVALS,
    )
    if folder.finished:
        found = folder.result
    else:
        progress = Progress(folder, identity["budget"])
        progress.refresh()
        found = {
            "units_spent": progress.spent,
            "evaluations": progress.evaluations,
            "seconds": progress.seconds,
            "hypervolume_search": progress.hypervolume,
        }
    values = {name: found.get(name) for name in names}
    failure = {"reason": folder.failure} if status == "failed" else {}
    return head | {"status": status} | rules | values | failure


def facts(*studies: StudyFolder) -> StudyFacts:
    """What reports are told of some studies; a run that was asked for and has not begun is `missing`."""
    folders = runs(*studies)
    labels, called = _labels([folder.identity for folder in folders]), methods(folders)
    boards: dict[str, Board] = {}
    provenance: dict[str, str] = {}
    told: list[dict[str, Any]] = []
    for folder in folders:
        identity, method = folder.identity, called[folder.path]
        label = labels[identity["board"]]
        told.append(_summary(folder) | {"board": label, "method": method, "folder": str(folder.path)})
        told[-1]["plugins"] = identity["versions"]
        if folder.finished:
            result = folder.result
            provenance[method] = result["provenance"]
            boards.setdefault(label, _board(label, identity, result))
            tuned = folder.finetuned()
            told[-1] |= {"environment": result["environment"], "finetuned": folder.finetuned_epochs}
            told[-1] |= {} if tuned is None else {"finetuning_units": float(tuned["units"])}
    ended = [folder for folder in folders if folder.finished]
    heads = [_head(folder, labels, called) for folder in ended]
    records = [
        table.assign(**head)
        for folder, head in zip(ended, heads, strict=True)
        if (table := folder.diagnostics()) is not None
    ]
    layers = [
        _kept(folder).assign(**head) for folder, head in zip(ended, heads, strict=True) if "layers" in folder.result
    ]
    return StudyFacts(
        boards=tuple(boards.values()),
        runs=(*told, *_missing(studies, told)),
        provenance=provenance,
        records=_joined(records),
        layers=_joined(layers),
    )


def _board(label: str, identity: dict[str, Any], result: dict[str, Any]) -> Board:
    return Board(
        label=label,
        problem=identity["problem"],
        objectives=tuple(identity["objectives"]),
        references=tuple(identity["references"]),
        dense_search=tuple(result["dense_search"]),
        dense_test=tuple(result["dense_test"]),
        budget=identity["budget"],
        rules={name: identity.get(name) for name in RULES} | {"images": result.get("images", {})},
        source=result.get("source", ""),
    )


def _missing(studies: Sequence[StudyFolder], told: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Runs that a command asked for, by rules that it named, and that have not begun."""
    commands = [command for study in studies for command in study.settings["commands"]]
    seen = set()
    for command in commands:
        rules = {name: command[name] for name in COMMANDED if command.get(name) is not None}
        for key in product(*(command.get(name, ()) for name in ("problems", "methods", "seeds"))):
            problem, method, seed = key
            wanted = rules | {"problem": problem, "seed": seed}
            begun = any(
                run["method"].partition(" (")[0] == method and all(run[name] == wanted[name] for name in wanted)
                for run in told
            )
            if not begun and (key, str(rules)) not in seen:
                seen.add((key, str(rules)))
                yield {"problem": problem, "method": method, "seed": seed, "status": "missing", "board": ""}


def _head(folder: RunFolder, labels: dict[str, str], called: dict[Path, str]) -> dict[str, Any]:
    identity = folder.identity
    return {"board": labels[identity["board"]], "method": called[folder.path], "seed": identity["seed"]}


def _kept(folder: RunFolder) -> pd.DataFrame:
    """What each final member keeps of each layer."""
    kept, layers = folder.front()["kept"], folder.result["layers"]
    members = len(kept)
    return pd.DataFrame(
        {
            "number": np.repeat(np.arange(members), len(layers)),
            "layer": list(layers) * members,
            "kept": kept.ravel(),
            "units": list(layers.values()) * members,
        }
    )


def _joined(tables: Sequence[pd.DataFrame], columns: Sequence[str] = ()) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(columns))


def methods(folders: Sequence[RunFolder]) -> dict[Path, str]:
    """How each run's method is called: its repr, and the versions that differ where runs differ in nothing else."""
    identities = {folder.path: folder.identity for folder in folders}
    variants: dict[tuple[str, str], list[set[tuple[str, str]]]] = {}
    for identity in identities.values():
        known = variants.setdefault((identity["board"], identity["method"]), [])
        if (own := _versions(identity)) not in known:
            known.append(own)
    named = {key: _apart(known) for key, known in variants.items()}
    return {
        path: identity["method"] + named[key][variants[key].index(_versions(identity))]
        for path, identity in identities.items()
        for key in [(identity["board"], identity["method"])]
    }


def _versions(identity: dict[str, Any]) -> set[tuple[str, str]]:
    return {(name, version) for name, version in identity["versions"]}


def _apart(variants: Sequence[set[tuple[str, str]]]) -> list[str]:
    """What tells some sets of versions apart; no package or path is named, which an anonymous comparison must not."""
    if len(variants) == 1:
        return [""]
    shared = set.intersection(*variants)
    told = [", ".join(sorted({version for _, version in own - shared})) or "another" for own in variants]
    return [f" (version {text})" for text in _numbered(told)]


def _numbered(texts: Sequence[str]) -> list[str]:
    """Texts with a number behind each that is not the only one of its kind."""
    return [
        text if texts.count(text) == 1 else f"{text} #{texts[: place + 1].count(text)}"
        for place, text in enumerate(texts)
    ]


def _labels(identities: Sequence[dict[str, Any]]) -> dict[str, str]:
    """A short name for every board: the problem, and what tells it from the problem's other boards.

    Not the machine that it was measured on, which an anonymous comparison must not name.
    """
    boards = {identity["board"]: identity for identity in identities}
    labels = []
    for identity in boards.values():
        rivals = [other for other in boards.values() if other["problem"] == identity["problem"]]
        apart = [
            rule
            for rule in (*RULES, "dtype", "indicators", "fingerprint")
            if len({str(other.get(rule)) for other in rivals}) > 1
        ]
        extra = ", ".join(f"{rule.partition('_identity')[0]} {_plain(identity.get(rule))}" for rule in apart)
        labels.append(identity["problem"] + (f" ({extra})" if extra else ""))
    return dict(zip(boards, _numbered(labels), strict=True))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(value)
    return f"{value:g}" if isinstance(value, float) else without_machine(str(value))


def long_table(*studies: StudyFolder) -> pd.DataFrame:
    """One row per evaluation, and several per final member; see `pruneframe.report.Report`."""
    folders = runs(*studies)
    labels, called = _labels([folder.identity for folder in folders]), methods(folders)
    return _joined([part for folder in folders for part in _rows(folder, _head(folder, labels, called))], COLUMNS)


def _rows(folder: RunFolder, head: dict[str, Any]) -> Iterator[pd.DataFrame]:
    identity = folder.identity
    names, references = identity["objectives"], identity["references"]
    head = head | {"problem": identity["problem"]}

    def framed(kind: str, split: str, frame: pd.DataFrame) -> pd.DataFrame:
        shares = {f"{n}_normalised": frame[n] / r for n, r in zip(names, references, strict=True) if n in frame}
        return frame.assign(**head, kind=kind, split=split, **shares)

    evaluations = folder.evaluations().rename(columns={"spent": "units_spent"})
    yield framed("evaluation", "search", evaluations[["number", "units_spent", "seconds", *names]])
    if folder.finished:
        front, tuned, total = folder.front(), folder.finetuned(), folder.result["total_params"]
        numbers = {"number": np.arange(len(front["params"])), "params": front["params"]}
        for split in ("search", "test"):
            own = numbers | {"error": front[f"{split}_error"], "removed": 1 - front["params"] / total}
            measured = {name: front[split][:, column] for column, name in enumerate(names)}
            yield framed("member", split, pd.DataFrame(measured | own))
            if tuned is not None:
                shown = {"number": own["number"], "removed": own["removed"], "error": tuned[f"{split}_error"]}
                yield pd.DataFrame(shown).assign(**head, kind="finetuned", split=split)
