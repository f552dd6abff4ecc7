"""What the method section says of settings: tuned, by how much effort and on what; defaults; given by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from studies import hand_made, joined

import pruneframe as pf
from pruneframe.comparison.effort import extent, settings
from pruneframe.comparison.protocol import protocol

EFFORT: dict[str, Any] = {
    "asked": "first",
    "spec": "first[size=3]",
    "default": 0.8,
    "found": 0.90001,
    "trials": 30,
    "stopped": 11,
    "passes": 4123.4,
    "problems": ["toy", "other"],
    "instances": [5, 6, 7, 9],
    "seeds": [0, 1],
    "rules": {"budget": 300.0},
}


def named(*names: str) -> pf.StudyFacts:
    """A study in which methods are called so."""
    _, study = hand_made()
    runs = tuple(replace(run, method=names[("first", "second").index(run.method)]) for run in study.runs)
    return replace(study, runs=runs, provenance=dict.fromkeys(names, ""))


def test_nothing_tuned_is_told_as_well() -> None:
    assert settings(named("a", "b")) == "No method was tuned for this comparison. With its own defaults ran a and b."
    assert settings(named("a", "b[c=d]")).endswith(
        "With its own defaults ran a. With settings that were given by hand ran b[c=d]."
    )


def test_a_tuned_method_is_told_with_its_effort() -> None:
    study = replace(named("first[size=3]", "b"), tuned={"first[size=3]": EFFORT})
    assert settings(study) == (
        "first[size=3] is first tuned: 30 trials, 11 of them stopped early, 4123 passes in all, on toy and other, "
        "instances 5-7,9, 2 seeds, 300 passes a run; the hypervolume on search images chose these settings, 0.9000 in "
        "the mean against 0.8000 as named. With its own defaults ran b."
    )
    paragraphs = {part.heading: part.text for part in protocol(study, anonymous=True)}
    assert paragraphs["Settings"] == settings(study)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spec": "first"}, "chose its settings as named"),
        ({"stopped": 0}, "30 trials, 4123 passes in all"),
        ({"rules": {"budget": [300.0, 10.0]}}, "2 seeds; the hypervolume"),
        ({"seeds": [0]}, "1 seed, 300 passes a run"),
    ],
)
def test_what_differs_is_told_so(changes: dict[str, Any], words: str) -> None:
    effort = EFFORT | changes
    study = replace(named(effort["spec"], "b"), tuned={effort["spec"]: effort})
    assert words in settings(study)


def test_a_problem_under_several_sets_of_rules_is_one_problem() -> None:
    _, one = hand_made(board="toy")
    _, two = joined(hand_made(board="toy"), hand_made(board="other"))
    again = replace(two, boards=(two.boards[0], replace(two.boards[1], problem="toy")))
    assert [extent(study) for study in (one, two, again)] == [
        "1 problem",
        "2 problems",
        "1 problem under 2 sets of rules",
    ]
