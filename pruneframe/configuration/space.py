"""Spaces: what can be tried of a method, from the settings that it declares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..component import NONE, Setting
from ..plugin import HOME
from ..registry import Registry
from ..spec import parse_spec, write

if TYPE_CHECKING:
    from optuna.trial import Trial

FACTOR = 8  # times and by the default: how far numbers are tried that have no upper bound
SMALL = 1 / 20  # of its range; a default below is varied by factors, since most of the range is far from it
WIDE = 10  # times as large as the least: from here on a number without bounds is drawn on a log scale
EDGE = 1 / 100  # of a range: how near to a bound that is not allowed itself
TYPES = ("int", "float", "str", "bool")
ABSENT = ""  # in the place of a value: the setting is not given


@dataclass(frozen=True)
class Choice:
    """A setting that is one of some texts, the first by default."""

    options: tuple[str, ...]

    def suggest(self, trial: Trial, name: str) -> str:
        """The text that a trial gives it."""
        return trial.suggest_categorical(name, list(self.options))

    def default(self, name: str) -> dict[str, Any]:
        """The trial's own parameters that mean the default."""
        return {name: self.options[0]}

    def __str__(self) -> str:
        return " | ".join(option or "as it is" for option in self.options)


@dataclass(frozen=True)
class Number:
    """A setting that is a number from `low` to `high`; on a log scale where factors matter more than differences.

    Without a default to `start` from it may be left out, which is told by a parameter of its own.
    """

    low: float
    high: float
    log: bool
    integer: bool
    start: float | None

    def suggest(self, trial: Trial, name: str) -> str:
        """The text that a trial gives it; of a real number three digits."""
        if self.start is None and not trial.suggest_categorical(f"{name} given", [False, True]):
            return ABSENT
        if self.integer:
            return str(trial.suggest_int(name, round(self.low), round(self.high), log=self.log))
        value = trial.suggest_float(name, self.low, self.high, log=self.log)
        short = float(f"{value:.3g}")
        return str(short if self.low <= short <= self.high else value)

    def default(self, name: str) -> dict[str, Any]:
        """The trial's own parameters that mean the default."""
        return {f"{name} given": False} if self.start is None else {name: self.start}

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}" + " by factors" * self.log


Knob = Choice | Number


@dataclass(frozen=True)
class Space:
    """What is tried of a method: settings that its spec gives stay, all others that can be varied are."""

    asked: str  # the spec
    knobs: dict[str, Knob]

    @classmethod
    def of(cls, registry: Registry, asked: str) -> Space:
        """The space around a method's spec; no plugin is imported."""
        name, given = parse_spec(asked)
        described, plugin = registry.described("method", name)
        owners = {HOME, plugin.distribution}
        free = [one for one in described.settings if one.name not in given and not one.required]
        knobs = {one.name: _knob(one, _named(registry, one.kind, owners)) for one in free}
        return cls(asked, {name: knob for name, knob in knobs.items() if knob is not None})

    @property
    def defaults(self) -> dict[str, Any]:
        """The parameters of a trial that leaves everything as it is."""
        return {key: value for name, knob in self.knobs.items() for key, value in knob.default(name).items()}

    def suggest(self, trial: Trial) -> str:
        """The spec that a trial means."""
        name, given = parse_spec(self.asked)
        drawn = {setting: knob.suggest(trial, setting) for setting, knob in self.knobs.items()}
        told = given | {setting: text for setting, text in drawn.items() if text != ABSENT}
        return f"{name}[{','.join(f'{setting}={text}' for setting, text in told.items())}]"


def _named(registry: Registry, kind: str, owners: Iterable[str]) -> list[str]:
    """Components of a kind that need no settings, bundled ones and those of the method's own package."""
    known = [registry.described(kind, name) for name in registry.names(kind)] if kind else []
    return [
        described.name
        for described, plugin in known
        if plugin.distribution in owners and not any(one.required for one in described.settings)
    ]


def _knob(setting: Setting, named: list[str]) -> Knob | None:
    """How a setting is varied; None where it is not."""
    types = setting.type.split(" | ")
    words = [part for part in types if part not in TYPES and not part.endswith("+...")]
    texts = [str(text) for text in setting.tried or () if isinstance(text, str)]
    if setting.tried == ():
        return None
    if texts or setting.kind or words not in ([], [NONE]):
        return _choice(setting, texts or named or words, NONE in words)
    if types == ["bool"]:
        return _choice(setting, ["true", "false"], False)
    span = _span(setting, "int" in types) if {"int", "float"} & {*types} else None
    return None if span is None else Number(*span, "int" in types, setting.default)  # type: ignore[arg-type]


def _choice(setting: Setting, texts: list[str], optional: bool) -> Choice | None:
    """The default first; None where there is nothing else."""
    first = ABSENT if setting.default is None else write(setting.default)
    more = [NONE] if optional and setting.default is not None else []
    options = tuple(dict.fromkeys([first, *(text for text in texts if text != NONE), *more]))
    return Choice(options) if len(options) > 1 else None


def _span(setting: Setting, integer: bool) -> tuple[float, float, bool] | None:
    """From where to where a number is tried, the default among them, and whether by factors; None: nothing says it."""
    default: Any = setting.default
    least, most = _bounds(setting, integer)
    if setting.tried:
        low, high = (float(end) for end in setting.tried)
    elif least is not None and most is not None and not _small(default, least, most):
        return least, most, False
    elif default is None or default <= 0:
        return None
    else:
        low = max(1, default // FACTOR) if integer else default / FACTOR
        low = low if least is None else max(low, least)
        high = default * FACTOR if most is None else min(default * FACTOR, most)
    if default is not None:
        low, high = min(low, default), max(high, default)
    return low, high, low > 0 and high / low >= WIDE


def _small(default: float | None, least: float, most: float) -> bool:
    """Whether a default is so near to the least of its range that most of the range is far from it."""
    return default is not None and least >= 0 and 0 < default - least < SMALL * (most - least)


def _bounds(setting: Setting, integer: bool) -> tuple[float | None, float | None]:
    """The least and the largest value that a number may have; nearly a bound that itself is not allowed."""
    allowed = setting.range
    least = allowed.above if allowed.least is None else allowed.least
    most = allowed.below if allowed.most is None else allowed.most
    edge = 1.0 if integer else EDGE * (most - least) if least is not None and most is not None else 0.0
    if least is not None and allowed.least is None:
        least += edge
    if most is not None and allowed.most is None:
        most -= edge
    return least, most
