"""What runs and boards of some studies are called, so that no two that differ are called the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..spec import ranges, without_machine
from .folder import RunFolder

RULES = (
    *("units", "batch_norm", "search_images", "budget", "objectives"),
    *("target_identity", "device", "threads", "precision"),
)


Identities = Mapping[Path, dict[str, Any]]  # of runs, by their folders


def identities_of(folders: Sequence[RunFolder]) -> dict[Path, dict[str, Any]]:
    """What each run is; its `board` is that of its rules, and another one where its instance is not what it was before.

    Networks that were trained on two machines may differ: then one instance has two fingerprints, which must not be
    compared.
    """
    found: dict[Path, dict[str, Any]] = {}
    known: dict[tuple[str, int], list[str]] = {}
    for folder in folders:
        identity = folder.identity
        variants = known.setdefault((identity["board"], identity["instance"]), [])
        if identity["fingerprint"] not in variants:
            variants.append(identity["fingerprint"])
        if variant := variants.index(identity["fingerprint"]):
            identity["board"] += f"-{variant + 1}"
        found[folder.path] = identity
    return found


def methods(identities: Identities) -> dict[Path, str]:
    """How each run's method is called: its repr, and the versions that differ where runs differ in nothing else."""
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
    """A short label for every board, by its hash: the problem, its instances where they are not the first alone, and
    what tells it from the problem's other boards.

    Not the machine that it was measured on, which an anonymous comparison must not name.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for identity in identities:
        found.setdefault(identity["board"], []).append(identity)
    labels = []
    for own in found.values():
        first = own[0]
        rivals = [others[0] for others in found.values() if others[0]["problem"] == first["problem"]]
        apart = [rule for rule in (*RULES, "indicators") if len({str(other.get(rule)) for other in rivals}) > 1]
        alike = [other for other in rivals if all(other.get(rule) == first.get(rule) for rule in apart)]
        apart += ["fingerprint"] if len({other.get("fingerprint") for other in alike}) > 1 else []
        told = ", ".join(f"{rule.partition('_identity')[0]} {_plain(first.get(rule))}" for rule in apart)
        labels.append(first["problem"] + (f" ({told})" if told else "") + _instances(own))
    return dict(zip(found, _numbered(labels), strict=True))


def _instances(identities: Sequence[dict[str, Any]]) -> str:
    """Those of a board; nothing where the first is the only one."""
    found = {identity["instance"] for identity in identities}
    return "" if found == {0} else f", instance{'s' * (len(found) > 1)} {ranges(found)}"


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
