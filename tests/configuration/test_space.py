"""Spaces: what is tried of a method's settings, and that every proposal is a spec that the settings allow."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import optuna
import pytest
from tiny import lookup, registry

import pruneframe as pf
from pruneframe.configuration.space import Choice, Number, Space, _knob


@dataclass(frozen=True, repr=False)
class Declares(pf.Method):
    """Settings of every sort."""

    name = "declares"
    share: float = pf.setting(0.5, "bounded", least=0, most=1)
    open: float = pf.setting(0.5, "between bounds that it may not have", above=0, below=1)
    small: float = pf.setting(0.002, "bounded, with a default near the least", least=0, most=1)
    rate: float = pf.setting(0.01, "without an upper bound", above=0)
    count: int = pf.setting(20, "without an upper bound", least=1)
    few: int = pf.setting(1, "without an upper bound", least=1)
    free: float = pf.setting(0.0, "nothing says how far it goes")
    named: int = pf.setting(0, "nothing but what is declared says it", least=0, tried=(10, 2000))
    size: int | None = pf.setting(None, "may be left out", least=2, tried=(4, 100))
    maybe: float | None = pf.setting(None, "may be left out", least=0, most=1)
    word: Literal["one", "two"] = pf.setting("two", "one of two")
    switch: bool = pf.setting(True, "on or off")
    text: str = pf.setting("x", "any text")
    goal: Literal["this", "that"] = pf.setting("this", "not to be tuned", tried=())
    way: str | None = pf.setting("uniform", "some", kind="variation", tried=("uniform+bit-flip", "sbx-pm[mutation=1]"))

    def search(self, task: pf.Task) -> None:
        """Nothing."""


KNOBS: dict[str, Any] = {
    "share": Number(0, 1, False, False, 0.5),
    "open": Number(0.01, 0.99, False, False, 0.5),
    "small": Number(0.00025, 0.016, True, False, 0.002),
    "rate": Number(0.00125, 0.08, True, False, 0.01),
    "count": Number(2, 160, True, True, 20),
    "few": Number(1, 8, False, True, 1),
    "free": None,
    "named": Number(0, 2000, False, True, 0),
    "size": Number(4, 100, True, True, None),
    "maybe": Number(0, 1, False, False, None),
    "word": Choice(("two", "one")),
    "switch": Choice(("true", "false")),
    "text": None,
    "goal": None,
    "way": Choice(("uniform", "uniform+bit-flip", "sbx-pm[mutation=1]", "none")),
}


@pytest.mark.parametrize("setting", Declares.settings(), ids=lambda setting: setting.name)
def test_how_a_setting_is_varied(setting: Any) -> None:
    assert _knob(setting, []) == KNOBS[setting.name]


def test_a_setting_that_names_a_component_is_one_of_those_that_need_nothing() -> None:
    knobs = Space.of(registry(), "nsga2[population=8]").knobs
    assert set(knobs) == {"encoding", "scorer", "variation"}, "what is given stays, and so does the preset"
    assert isinstance(knobs["scorer"], Choice)
    assert set(knobs["scorer"].options) == {"", *registry().names("scorer")}
    assert knobs["scorer"].options[0] == "", "it is not given by default"


@pytest.mark.parametrize("method", ["emo-dir", "hamp", "hierarchical", "moead", "netadapt", "random", "weighted-ga"])
def test_every_number_and_word_that_is_proposed_is_allowed(method: str) -> None:
    space = Space.of(registry(), method)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    allowed = 0
    for _ in range(60):
        spec = space.suggest(study.ask())
        registry().check("method", spec)
        with suppress(pf.InputError):  # rules between settings are the method's own
            allowed += repr(lookup(pf.Method, spec)).startswith(method)
    assert allowed > 5


def test_the_defaults_are_what_the_spec_says() -> None:
    for method in registry().names("method"):
        space = Space.of(registry(), method)
        study = optuna.create_study()
        study.enqueue_trial(space.defaults)
        trial = study.ask()
        assert repr(lookup(pf.Method, space.suggest(trial))) == method
        assert trial.params == space.defaults


def test_three_digits_but_never_beyond_the_range() -> None:
    number = Number(0.1, 0.99999, False, False, 0.5)
    trial: Any = SimpleNamespace(suggest_float=lambda *arguments, **options: value)
    value = 0.123456
    assert number.suggest(trial, "x") == "0.123"
    value = 0.99998
    assert number.suggest(trial, "x") == "0.99998"
