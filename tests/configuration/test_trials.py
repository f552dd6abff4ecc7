"""Trials: so many for every method, none twice, stopped by Optuna's rule, and the same for the same values."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from tiny import lookup, registry

import pruneframe as pf
from pruneframe.configuration.space import Space
from pruneframe.configuration.trials import BATCH, STARTUP, Trial, Trials

STEPS = 3


def accept(spec: str) -> str:
    return repr(lookup(pf.Method, spec))


def trials_of(method: str, number: int, seed: int = 0, accept: Callable[[str], str] = accept) -> Trials:
    return Trials(Space.of(registry(), method), number, STEPS, seed, accept)


def value_of(trial: Trial) -> float:
    return zlib.crc32(trial.spec.encode()) % 1000 / 1000


def carried_out(trials: Trials, value: Callable[[Trial], float] = value_of) -> Trials:
    while batch := trials.next():
        for _ in range(STEPS):
            for trial in batch:
                if trial.state == "open":
                    trials.tell(trial, value(trial))
    return trials


def test_so_many_trials_none_twice_and_the_best_of_the_whole_ones() -> None:
    trials = carried_out(trials_of("weighted-ga", 20))
    specs = [trial.spec for trial in trials.trials]
    assert len(specs) == len(set(specs)) == 20
    assert specs[0] == "weighted-ga", "as it was asked"
    whole = [trial for trial in trials.trials if trial.state == "done"]
    assert trials.count("done") + trials.count("stopped") == 20
    assert trials.best.mean == max(trial.mean for trial in whole)
    assert all(len(trial.values) == STEPS for trial in whole)


def test_trials_that_fall_behind_are_stopped_but_never_the_first() -> None:
    trials = carried_out(trials_of("weighted-ga", 30), lambda trial: 0.0 if trial.spec == "weighted-ga" else 0.9)
    assert trials.trials[0].state == "done"
    trials = carried_out(trials_of("weighted-ga", 30))
    assert trials.count("stopped") >= 5
    assert all(trial.state == "done" for trial in trials.trials[:STARTUP])
    assert all(len(trial.values) < STEPS for trial in trials.trials if trial.state == "stopped")


def test_the_same_seed_and_values_give_the_same_trials() -> None:
    one, two, other = (carried_out(trials_of("hierarchical", 15, seed)) for seed in (3, 3, 4))
    assert [(t.spec, t.state, t.values) for t in one.trials] == [(t.spec, t.state, t.values) for t in two.trials]
    assert [t.spec for t in one.trials] != [t.spec for t in other.trials]


def test_a_batch_does_not_depend_on_who_asks() -> None:
    trials = trials_of("weighted-ga", 2 * BATCH + 1)
    sizes = []
    while batch := trials.next():
        sizes.append(len(batch))
        for trial in batch:
            for _ in range(STEPS):
                trials.tell(trial, 0.5)
    assert sizes == [BATCH, BATCH, 1]


def test_it_ends_where_there_is_nothing_left_to_try() -> None:
    trials = carried_out(trials_of("magnitude", 50))
    assert {trial.spec for trial in trials.trials} == {
        "magnitude",
        *(f"magnitude[scorer={name}]" for name in registry().names("scorer") if name != "magnitude"),
    }
    assert trials.exhausted


def test_a_small_space_is_tried_as_a_whole() -> None:
    space = Space.of(registry(), "random[scorer=lamp]")
    options = space.knobs["encoding"].options  # type: ignore[union-attr] # a choice
    trials = carried_out(
        Trials(space, len(options), STEPS, 0, accept), lambda trial: float("layer-ratio" in trial.spec)
    )
    assert len(trials.trials) == len(options)
    assert not trials.exhausted


def test_a_method_without_settings_has_one_trial() -> None:
    assert [trial.spec for trial in carried_out(trials_of("magnitude[scorer=lamp]", 9)).trials] == [
        "magnitude[scorer=lamp]"
    ]


def test_what_cannot_be_run_is_no_trial_and_is_told_with_its_reason() -> None:
    def choosy(spec: str) -> str:
        if "lamp" in spec:
            raise pf.InputError("not lamp")
        return accept(spec)

    trials = carried_out(trials_of("magnitude", 50, accept=choosy))
    assert trials.refused == {"magnitude[scorer=lamp]": "not lamp"}
    assert "lamp" not in " ".join(trial.spec for trial in trials.trials)
    with pytest.raises(pf.InputError, match="not lamp"):
        trials_of("magnitude[scorer=lamp]", 5, accept=choosy).next()


def test_a_trial_that_breaks_is_never_the_best() -> None:
    trials = trials_of("magnitude", 4)
    batch = trials.next()
    for trial in batch:
        trials.tell(trial, 1.0 if trial is batch[1] else 0.5)
    trials.fail(batch[1], "on purpose")
    for trial in (batch[0], *batch[2:]):
        trials.tell(trial, 0.5)
        trials.tell(trial, 0.5)
    assert trials.best is batch[0]
    assert (batch[1].state, batch[1].reason) == ("failed", "on purpose")
