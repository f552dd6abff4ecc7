"""What runs and boards of some studies are called, so that no two that differ are called the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..report import without_machine
from .store import RunFolder

RULES = (
    *("units", "batch_norm", "search_images", "budget", "objectives"),
    *("target_identity", "device", "threads", "precision"),
)


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


def boards(identities: Sequence[dict[str, Any]]) -> dict[str, str]:
    """A short label for every board, by its hash: the problem, and what tells it from the problem's other boards.

    Not the machine that it was measured on, which an anonymous comparison must not name.
    """
    found = {identity["board"]: identity for identity in identities}
    labels = []
    for identity in found.values():
        rivals = [other for other in found.values() if other["problem"] == identity["problem"]]
        apart = [
            rule
            for rule in (*RULES, "indicators", "fingerprint")
            if len({str(other.get(rule)) for other in rivals}) > 1
        ]
        extra = ", ".join(f"{rule.partition('_identity')[0]} {_plain(identity.get(rule))}" for rule in apart)
        labels.append(identity["problem"] + (f" ({extra})" if extra else ""))
    return dict(zip(found, _numbered(labels), strict=True))


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


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(value)
    return f"{value:g}" if isinstance(value, float) else without_machine(str(value))
