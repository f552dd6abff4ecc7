"""Presets: what they mean, what goes before them, and what takes the place of a dear score."""

from __future__ import annotations

from typing import Any

import pytest
from searches import searched
from tiny import lookup

import pruneframe as pf
from pruneframe_plugins import emo_dir, hamp, moead, plain, s_nsga2, sparse_ea, weighted_ga
from pruneframe_plugins.presets import SCORING, Presets

VARIATIONS = {"nsga2": "sbx-pm", "moead": "sbx-pm[mutation=0.3]"}  # of preset=tuned
EQUAL = [  # the tiny problem's score takes 3 passes over 60 images of 40, 4.5 passes
    ("", "[encoding=global-cut,scorer=reconstruction,variation=TUNED]", 60, {}),
    ("[preset=textbook]", "[encoding=mask,scorer=magnitude,variation=uniform+bit-flip]", 60, {}),
    ("", "[scorer=magnitude]", 30, {}),
    ("[scorer=reconstruction]", "[encoding=global-cut,scorer=reconstruction,variation=TUNED]", 30, {}),
    ("", "[scorer=magnitude]", 60, {"units": "block"}),
    ("[encoding=mask]", "[preset=textbook,scorer=reconstruction]", 60, {}),
    ("[preset=textbook,encoding=global-cut,scorer=reconstruction,variation=TUNED]", "", 60, {"units": "filter"}),
]


def asked(task: pf.Task) -> list[Any]:
    """What was evaluated, and when."""
    return [(one.mask, one.spent, one.values) for one in task.archive.evaluations]


@pytest.mark.parametrize("method", ["nsga2", "moead"])
@pytest.mark.parametrize(("one", "other", "budget", "problem"), EQUAL)
def test_what_a_preset_stands_for(method: str, one: str, other: str, budget: float, problem: dict[str, Any]) -> None:
    specs = ((method + settings).replace("TUNED", VARIATIONS[method]) for settings in (one, other))
    first, second = (searched(spec, budget, **problem) for spec in specs)
    assert asked(first)
    assert asked(first) == asked(second)


def test_a_score_that_nobody_named_costs_a_tenth_of_the_budget_at_most() -> None:
    dear = 4.5 / SCORING
    for budget, drawn in ((dear, True), (dear - 1, False)):
        assert searched("nsga2", budget).drawn == drawn, "reconstruction draws, magnitude does not"
    with pytest.raises(pf.InputError, match="scorer 'reconstruction' needs"):
        searched("nsga2[scorer=reconstruction]", 60, units="block")


@pytest.mark.parametrize("method", ["nsga2", "moead"])
@pytest.mark.parametrize("settings", ["", "[preset=textbook]"])
@pytest.mark.parametrize("units", ["weight", "filter", "block"])
def test_presets_work_for_all_units(method: str, settings: str, units: str) -> None:
    task = searched(method + settings, 60, units=units)
    assert len(task.archive.evaluations) >= 2


@pytest.mark.parametrize(
    ("method", "presets", "given"),
    [
        ("emo-dir", emo_dir.PRESETS, "batch=3"),
        ("hamp", hamp.PRESETS, "local=3"),
        ("moead", moead.PRESETS, "scorer=l2"),
        ("nsga2", plain.PRESETS, "scorer=l2"),
        ("s-nsga2", s_nsga2.PRESETS, "spread=5.0"),
        ("sparse-ea", sparse_ea.PRESETS, "order=score"),
        ("weighted-ga", weighted_ga.PRESETS, "epochs=3"),
    ],
)
def test_what_is_not_given_is_the_presets_and_what_is_given_goes_first(
    method: str, presets: Presets, given: str
) -> None:
    name, _, text = given.partition("=")
    for preset, values in presets.values.items():
        settled = presets.settled(lookup(pf.Method, f"{method}[preset={preset}]"), preset)
        assert {one: getattr(settled, one) for one in values} == values
        changed = presets.settled(lookup(pf.Method, f"{method}[preset={preset},{given}]"), preset)
        assert str(getattr(changed, name)) == text
    assert repr(lookup(pf.Method, f"{method}[preset={next(iter(presets.values))}]")) == method


def test_a_presets_variation_goes_with_its_encoding() -> None:
    given = emo_dir.PRESETS.settled(lookup(emo_dir.EmoDir, "emo-dir[encoding=mask]"), "tuned")
    assert (given.encoding, given.variation) == ("mask", None)
