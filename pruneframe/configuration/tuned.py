"""The file that `pruneframe tune` writes and `bench --settings` reads: settings, and the effort behind them."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from ..errors import InputError
from ..files import write_whole
from ..registry import Registry

FORMAT = 1
NAME = "tuned.toml"  # in the folder of the study that the trials are runs of
HEAD = "# Settings that `pruneframe tune` found; `pruneframe bench --settings` takes this file as it is.\n"


@dataclass(frozen=True)
class Tuned:
    """What was found for one method, and by how much effort; hypervolumes are means over instances and seeds.

    Of the `trials`, `stopped` ones ended before the last instance, and `failed` ones broke; `refused` are settings that
    were proposed and cannot be run. `passes` and `seconds` are those of all its runs.
    """

    asked: str  # the method as it was named
    spec: str  # the same with the best settings
    default: float  # hypervolume on the search images, as it was named
    found: float  # the same with the best settings
    trials: int
    stopped: int
    failed: int
    refused: int
    passes: float
    seconds: float


@dataclass(frozen=True)
class TunedSettings:
    """What `pruneframe tune` found for some methods, on what, and by how many trials at most."""

    problems: tuple[str, ...]
    instances: tuple[int, ...]
    seeds: tuple[int, ...]  # of the searches
    trials: int  # that each method might have
    draw: int  # the seed of the trials
    rules: dict[str, Any]  # budget, units and all else that a command sets of a problem
    versions: dict[str, str]  # of what proposed the trials and carried them out
    methods: tuple[Tuned, ...] = ()

    def write(self, path: Path) -> None:
        """As a TOML file with a checksum; a crash leaves no half file."""
        body = "\n".join(self._lines()) + "\n"
        text = f'{HEAD}checksum = "{_checksum(body)}"\n{body}'
        write_whole(path, lambda file: file.write(text.encode()))

    @classmethod
    def read(cls, path: Path) -> Self:
        """From that file; raises InputError where it is not as it was written."""
        rule = f"{path} must be a file that `pruneframe tune` wrote"
        try:
            text = path.read_text()
            found = tomllib.loads(text)
        except (OSError, ValueError) as error:  # ValueError: not TOML, or not even text
            raise InputError(f"{rule}, but cannot be read ({error})") from error
        head, _, body = text.partition('checksum = "')
        checksum, _, body = body.partition('"\n')
        if not checksum or head != HEAD or _checksum(body) != checksum:
            raise InputError(f"{rule}, but is damaged or was changed; tune again, or name settings in --methods")
        if found.get("format") != FORMAT:
            raise InputError(f"{rule} in format {FORMAT}, but it has format {found.get('format')!r}; tune again")
        methods = tuple(Tuned(**one) for one in found.pop("methods", []))
        known = {field.name: found[field.name] for field in fields(cls) if field.name in found}
        lists = {name: tuple(known[name]) for name in ("problems", "instances", "seeds")}
        return cls(**known | lists | {"methods": methods})

    def check(self, registry: Registry, boards: Iterable[tuple[str, int]]) -> None:
        """Raise InputError for a method that nothing brings, or where a problem's instance was tuned on."""
        for one in self.methods:
            registry.check("method", one.spec)
        seen = [(problem, instance) for problem, instance in boards if self.saw(problem, instance)]
        if seen:
            problem, instance = seen[0]
            raise InputError(
                f"settings must be tuned on other instances than they are compared on, but these were tuned on "
                f"{problem!r}, instance {instance}; choose others with --instances, or tune on others"
            )

    def saw(self, problem: str, instance: int) -> bool:
        """Whether it was tuned on this instance."""
        return problem in self.problems and instance in self.instances

    def of(self, methods: Sequence[str]) -> tuple[list[str], Self]:
        """Methods by their specs, with the settings that were found for them, and what of this file that takes.

        Raises InputError where it has nothing for any of them.
        """
        known = {one.asked: one for one in self.methods}
        used = tuple(known[spec] for spec in dict.fromkeys(methods) if spec in known)
        if not used:
            raise InputError(
                f"a settings file must have one of the methods, {', '.join(methods)}, but has {', '.join(known)}"
            )
        return [known[spec].spec if spec in known else spec for spec in methods], replace(self, methods=used)

    def has(self, spec: str) -> bool:
        """Whether these are settings that were found."""
        return any(spec == one.spec for one in self.methods)

    def json(self) -> dict[str, Any]:
        """As a study keeps it."""
        return json.loads(json.dumps(asdict(self)))

    def _lines(self) -> Iterable[str]:
        told = self.json()
        methods, tables = told.pop("methods"), {name: told.pop(name) for name in ("rules", "versions")}
        yield from _table({"format": FORMAT} | told)
        for name, table in tables.items():
            yield from ("", f"[{name}]", *_table(table))
        for one in methods:
            yield from ("", "[[methods]]", *_table(one))


def _table(values: dict[str, Any]) -> Iterable[str]:
    """Lines of TOML, in which texts, numbers, truths and lists of them are written as in JSON; none is left out."""
    return [f"{name} = {json.dumps(value)}" for name, value in values.items() if value is not None]


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
