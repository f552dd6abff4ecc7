"""Races: what two methods had reached at equal seconds, and how often one method is told apart from itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from pruneframe.comparison.anytime import Curve, Curves
from pruneframe.comparison.races import Field, elsewhere, races, told
from pruneframe.comparison.statistics import compare_pairs
from pruneframe.report import RunSummary

INSTANCES = range(10)


def curve(seconds: Sequence[float], reached: Sequence[float]) -> Curve:
    """A run whose evaluations took a pass each."""
    passes = np.arange(1.0, len(seconds) + 1)
    return Curve({"passes": passes, "seconds": np.array(seconds, dtype=float)}, np.array(reached, dtype=float))


def study(**methods: tuple[float, float]) -> tuple[list[RunSummary], Curves]:
    """Runs of ten instances and two seeds: by method, seconds of an evaluation, and what each of a hundred adds."""
    rng = np.random.default_rng(0)
    runs, curves = [], {}
    for (method, (pace, gain)), instance, seed in product(methods.items(), INSTANCES, (0, 1)):
        run = RunSummary("toy", method, instance, seed, "done", hypervolume=100 * gain)
        grown = np.cumsum(np.full(100, gain)) + rng.uniform(0, 1e-4)
        runs.append(run)
        curves[run.key] = curve(pace * np.arange(1, 101) * rng.uniform(0.9, 1.1), grown)
    return runs, curves


def test_both_are_looked_at_when_the_quicker_has_made_its_last_evaluation() -> None:
    runs = [RunSummary("toy", method, i, s, "done") for method, i, s in product("ab", (0, 1), (0, 1))]
    quick, slow = curve([1, 2], [0.1, 0.2]), curve([1.5, 3, 9], [0.3, 0.4, 0.9])
    curves = {run.key: quick if run.method == "a" else slow for run in runs}
    longer = curves | {("a", 1, 1): curve([2, 4], [0.1, 0.25])}
    field = Field(runs, longer)
    assert field.limits(("a", "b")) == {0: 2.0, 1: 3.0}, "the median over its seeds, instance by instance"
    assert field.reached(("a", "b"), {0: 2.0, 1: 3.0}) == (
        {0: [0.2, 0.2], 1: [0.2, 0.25]},
        {0: [0.3, 0.3], 1: [0.4, 0.4]},
    ), "the quicker one has all that it reaches, the slower one no second more"
    assert field.reached(("a", "b"))[1] == {0: [0.9, 0.9], 1: [0.9, 0.9]}


def test_a_method_that_ends_early_keeps_its_front_and_instances_are_shared() -> None:
    runs = [RunSummary("toy", "a", i, 0, "done") for i in (0, 1)] + [
        RunSummary("toy", "b", i, 0, "done") for i in (1, 2)
    ]
    curves = {run.key: curve([1], [0.5]) if run.method == "a" else curve([2], [0.7]) for run in runs}
    field = Field(runs, curves)
    assert field.limits(("a", "b")) == {1: 1.0}
    assert field.reached(("a", "b"), {1: 50.0}) == ({1: [0.5]}, {1: [0.7]})
    assert field.reached(("a", "b"), {1: 1.0}) == ({1: [0.5]}, {1: [0.0]})


def test_seeds_that_give_the_same_front_are_one_number() -> None:
    """Their seconds differ all the same."""
    runs = [RunSummary("toy", "a", 0, s, "done", deterministic=True) for s in range(3)]
    runs += [RunSummary("toy", "b", 0, s, "done") for s in range(3)]
    curves = {run.key: curve([1 + run.seed, 5 + run.seed], [0.2, 0.4]) for run in runs}
    assert Field(runs, curves).reached(("a", "b"), {0: 5.9}) == ({0: [0.2] * 3}, {0: [0.4, 0.2, 0.2]})


def test_the_better_one_at_equal_compute_is_told_worse_where_it_is_slow() -> None:
    runs, curves = study(slow=(1.0, 0.006), quick=(0.1, 0.005), poor=(0.1, 0.004))
    beside = {race.then.found.second: race for race in races(runs, curves, "slow")}
    assert {name: race.ended.text for name, race in beside.items()} == {"quick": "worse", "poor": "worse"}
    assert {name: race.then.text for name, race in beside.items()} == {"quick": "better", "poor": "better"}
    assert beside["quick"].after == pytest.approx(10, abs=1)
    assert {race.then.text for race in races(runs, curves, "quick")} == {"worse"}
    sentence = told(list(beside.values()))
    assert "2 of 2 verdicts differ: quick against slow: better after" in sentence
    assert " seconds by the clock, worse at equal compute; poor against slow" in sentence
    pairs = races(runs, curves, None)
    assert len(pairs) == 3
    assert {race.then.found.p for race in pairs} == {3 * 2 / 2**10}, "corrected together"


def test_where_nothing_turns_the_sentence_says_so() -> None:
    runs, curves = study(good=(1.0, 0.006), bad=(1.0, 0.005))
    assert told(races(runs, curves, None)).endswith("all verdicts are those at equal compute.")
    assert told(races(runs[:20], curves, None)) == ""


def test_a_sentence_names_a_few_pairs_and_counts_the_others() -> None:
    slow = {f"slow{number}": (1.0 + number, 0.006 + number / 1e4) for number in range(8)}
    runs, curves = study(quick=(0.01, 0.005), **slow)
    sentence = told(races(runs, curves, "quick"))
    assert "8 of 8 verdicts differ:" in sentence
    assert sentence.count(" against quick") == 6
    assert sentence.endswith("; and 2 more.")


def on(run: RunSummary, **environment: str) -> RunSummary:
    return replace(run, environment={"pruneframe": "1", "torch": "2"} | environment)


def test_seconds_of_two_machines_are_not_compared() -> None:
    runs, curves = study(slow=(1.0, 0.006), quick=(0.1, 0.005))
    for other, reason in (
        ({"machine": "there"}, "seconds with another machine"),
        ({"machine": "here", "kernel": "none"}, "seconds with another kernel"),
        ({"machine": "here", "numpy": "3"}, "seconds with another numpy"),
        ({"machine": "here", "torch": "3"}, "torch 2 and 3"),
    ):
        apart = [on(run, machine="here") if run.method == "slow" else on(run, **other) for run in runs]
        [race] = races(apart, curves, "slow")
        assert race.then.text == f"no claim: {reason}"
        assert race.ended.text == ("no claim: torch 2 and 3" if "torch" in reason else "worse")
    there = [on(run, machine="there" if run.method == "quick" else "here") for run in runs]
    assert told(races(there, curves, "slow")) == "At equal seconds nothing is tested: seconds with another machine."


def test_seconds_of_a_run_that_was_continued_elsewhere_are_not_compared() -> None:
    run = RunSummary("toy", "a", 0, 0, "done")
    assert elsewhere([on(run), on(run)]) == ""
    assert elsewhere([on(run, continued="under other versions")] * 2) == "a run was continued under other versions"


def test_one_method_under_two_names_is_told_apart_in_few_studies() -> None:
    """Seconds of runs vary by much more than their hypervolumes, as on a machine that does other things as well."""
    rng = np.random.default_rng(0)
    claims, studies = 0, 400
    for _ in range(studies):
        runs, curves = [], {}
        for method, instance, seed in product("ab", INSTANCES, (0, 1)):
            run = RunSummary("toy", method, instance, seed, "done")
            gains = np.cumsum(rng.exponential(0.01, 60)) + 0.1 * instance
            runs.append(run)
            curves[run.key] = curve(np.cumsum(rng.exponential(1, 60)) * rng.lognormal(0, 0.5), gains)
        field = Field(runs, curves)
        [found] = compare_pairs({("a", "b"): field.reached(("a", "b"), field.limits(("a", "b")))})
        claims += found.significant
    assert claims / studies < 0.075, "5 %, and two standard deviations"
