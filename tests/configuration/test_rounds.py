"""Rounds: trials are ordinary runs, none is carried out twice, and a kill changes nothing of what is found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from runs import Death, dying_at
from tiny import registry

import pruneframe as pf
from pruneframe.configuration.rounds import Rounds
from pruneframe.configuration.tuned import Tuned
from pruneframe.registry import Registry
from pruneframe.study.plan import plan
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out

METHODS = ["platypus", "random"]
SETTINGS: dict[str, Any] = {"budget": 12.0, "search_images": 60}


def rounds_of(
    folder: Path, methods: Sequence[str] = METHODS, sources: tuple[str, ...] = ()
) -> tuple[Rounds, list[Run]]:
    """What carries trials out in this process, and the runs that it did."""
    known, done, study = Registry(sources) if sources else registry(), [], StudyFolder(folder)
    planned = plan(known, methods, ["lenet-digits"], [5, 6], [0, 1], SETTINGS, "cpu", 1, lambda line: None)

    def carry(runs: Sequence[Run]) -> None:
        for run in runs:
            if not run.folder(study).finished:
                done.append(run)
                carry_out(run, folder, sources)

    return Rounds(known, planned, study, carry, lambda line: None), done


def found(rounds: Rounds, methods: Sequence[str] = METHODS, trials: int = 6) -> list[dict[str, Any]]:
    """All but seconds, which are measured."""
    return [vars(one) | {"seconds": 0} for one in rounds.tuned(methods, trials, 0)]


def test_every_method_has_so_many_trials_on_all_instances_and_seeds(tmp_path: Path) -> None:
    rounds, done = rounds_of(tmp_path)
    tuned: list[Tuned] = rounds.tuned(METHODS, 6, 0)
    assert [(one.asked, one.trials) for one in tuned] == [("platypus", 6), ("random", 6)]
    assert {(run.instance, run.seed) for run in done} == {(5, 0), (5, 1), (6, 0), (6, 1)}
    for one in tuned:
        assert one.found >= one.default > 0
        own = [run for run in done if run.method.partition("[")[0] == one.asked]
        assert len({run.method for run in own}) == 6
        spent = sum(run.folder(rounds.study).result["passes_spent"] for run in own)
        assert one.passes == pytest.approx(spent)
        best = [run.folder(rounds.study).result["hypervolume_search"] for run in own if run.method == one.spec]
        assert one.found == pytest.approx(sum(best) / 4)


@pytest.mark.parametrize("kills", [[3], [1, 9, 14]])
def test_a_kill_changes_nothing_and_repeats_no_run(tmp_path: Path, kills: list[int]) -> None:
    whole, runs = rounds_of(tmp_path / "whole")
    expected = found(whole)
    finished: list[Run] = []
    for kill in kills:
        rounds, done = rounds_of(tmp_path / "killed")
        carry = rounds.carry_out

        def dying(some: Sequence[Run], carry: Any = carry, done: list[Run] = done, kill: int = kill) -> None:
            for run in some:
                if len(done) < kill:
                    carry([run])
                    continue
                with dying_at(4):
                    carry([run])

        object.__setattr__(rounds, "carry_out", dying)
        with pytest.raises(Death):
            found(rounds)
        finished += [run for run in done if run.folder(rounds.study).finished]
    rounds, done = rounds_of(tmp_path / "killed")
    assert found(rounds) == expected
    assert len(finished + done) == len(set(finished + done)), "no run twice"
    assert set(finished + done) == set(runs)


def test_settings_that_a_spec_gives_stay_defaults_as_well(tmp_path: Path) -> None:
    rounds, done = rounds_of(tmp_path, ["random[encoding=layer-threshold]"])
    (tuned,) = rounds.tuned(["random[encoding=layer-threshold]"], 4, 0)
    assert tuned.asked == "random"
    assert not any("encoding" in run.method for run in done)


BREAKS = '''
from dataclasses import dataclass
import pruneframe as pf

@dataclass(frozen=True, repr=False)
class Own(pf.Method):
    """Breaks by its settings."""
    name = "own"
    size: int = pf.setting(DEFAULT, "even ones break", tried=(1, 6))
    def search(self, task):
        task.evaluate(task.layout.full())
        if self.size % 2 == 0:
            raise RuntimeError("on purpose")

@pf.hookimpl
def pruneframe_methods():
    return [Own]
'''


def test_a_trial_that_breaks_is_counted_and_not_chosen(tmp_path: Path) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(BREAKS.replace("DEFAULT", "1"))
    rounds, _ = rounds_of(tmp_path / "study", ["own"], (str(plugin),))
    (tuned,) = rounds.tuned(["own"], 20, 0)
    assert (tuned.trials, tuned.failed, tuned.spec) == (6, 3, "own")


def test_a_method_that_breaks_as_it_is_named_is_not_tuned(tmp_path: Path) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(BREAKS.replace("DEFAULT", "2"))
    rounds, _ = rounds_of(tmp_path / "study", ["own"], (str(plugin),))
    with pytest.raises(
        pf.InputError, match=r"own must run as it is named, before it is tuned, .*: RuntimeError: on pur"
    ):
        rounds.tuned(["own"], 3, 0)
