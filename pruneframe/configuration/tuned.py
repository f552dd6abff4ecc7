"""The file that `pruneframe tune` writes and `bench --settings` reads: settings, and the effort behind them."""

from __future__ import annotations

import builtins
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Self, get_args, get_origin, get_type_hints

from ..errors import InputError
from ..files import read_toml, write_whole
from ..registry import Registry
from ..study.wanted import Say, Wanted

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
        found, text = read_toml(path, rule)
        head, _, body = text.partition('checksum = "')
        checksum, _, body = body.partition('"\n')
        if not checksum or head != HEAD or _checksum(body) != checksum:
            raise InputError(f"{rule}, but is damaged or was changed; tune again, or name settings in --methods")
        if found.get("format") != FORMAT:
            raise InputError(f"{rule} in format {FORMAT}, but it has format {found.get('format')!r}; tune again")
        try:
            methods = tuple(Tuned(**_typed(one, Tuned)) for one in found.pop("methods", []))
            known = {field.name: found[field.name] for field in fields(cls) if field.name in found}
            return cls(**_typed(known, cls) | {"methods": methods})
        except (KeyError, TypeError) as error:
            raise InputError(f"{rule}, but lacks {error} or has something else in its place; tune again") from error

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


def with_settings(wanted: Wanted, path: Path, control: str | None, say: Say) -> tuple[Wanted, str | None]:
    """What is wanted, and the control, with settings that trials found; raises InputError where they cannot be used."""
    from ..method import Method

    found = TunedSettings.read(path)
    found.check(wanted.registry, product(wanted.problems, wanted.instances))
    asked = [repr(wanted.registry.component(Method, spec)) for spec in wanted.methods]
    specs, used = found.of(asked)
    told = [f"{one.asked} runs as {one.spec}, tuned by {one.trials} trials" for one in used.methods]
    told += [f"{spec} is not tuned" for spec in dict.fromkeys(specs) if spec in asked and not used.has(spec)]
    say(f"settings: {'; '.join(told)}")
    called = {one.asked: one.spec for one in used.methods}
    control = None if control is None else called.get(control, control)
    return replace(wanted, methods=specs, extra={"tuned": used.json()}), control


def _typed(found: dict[str, Any], kind: type) -> dict[str, Any]:
    """Values for the fields of a dataclass; raises TypeError where one is of another type than its field."""
    if not isinstance(found, dict):
        raise TypeError("a table")
    hints = get_type_hints(kind)
    for name, value in found.items():
        if name in hints and not _is(value, hints[name]):
            raise TypeError(name)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _is(value: Any, hint: Any) -> bool:
    """Whether a value of TOML is of a field's type; a whole number is a number, and Any is what JSON has, too."""
    match get_origin(hint) or hint:
        case builtins.tuple:
            return isinstance(value, list) and all(_is(one, get_args(hint)[0]) for one in value)
        case builtins.dict:
            return isinstance(value, dict) and all(_is(one, get_args(hint)[1]) for one in value.values())
        case builtins.float:
            return type(value) in (int, float) and abs(value) < float("inf")
        case builtins.int | builtins.str:
            return type(value) is hint
        case _:
            return any(_is(value, kind) for kind in (str, float)) or type(value) is bool or _is(value, tuple[Any, ...])


def _table(values: dict[str, Any]) -> Iterable[str]:
    """Lines of TOML, in which texts, numbers, truths and lists of them are written as in JSON; none is left out."""
    return [f"{name} = {json.dumps(value)}" for name, value in values.items() if value is not None]


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
