"""Rules: a component that breaks one is told which; a sound one keeps all; what is bundled keeps the same."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import registry
from torch import nn

import pruneframe as pf
from pruneframe import testing
from pruneframe.errors import Faulty
from pruneframe.hooks import KINDS
from pruneframe.testing import method, rule

COUNTER = itertools.count()


@dataclass(frozen=True, repr=False)
class Search(pf.Method):
    """Random masks, and one fault."""

    name = "search"
    fault: str = ""
    share: float = pf.setting(0.5, "kept", least=0, most=1)

    def __post_init__(self) -> None:
        if self.fault != "bounds":
            super().__post_init__()

    def search(self, task: pf.Task) -> None:
        if self.fault == "runs":
            return
        if self.fault == "declines" or (self.fault == "units" and task.units.name == "filter"):
            task.decline("not for me") if self.fault == "declines" else {}["filter"]
        drawn = random.Random(next(COUNTER)) if self.fault == "same seed" else task.rng
        if self.fault == "quiet":
            print("hello")
        if self.fault == "randomness":
            np.random.random()
        if self.fault == "network":
            next(task.network.module.parameters()).data.zero_()
        while True:
            bits = [drawn.random() for _ in range(task.layout.total)]
            try:
                task.evaluate(pf.Masks.pack(np.array([bits]) < self.share, task.layout))
            except BaseException:
                if self.fault == "runs on":
                    continue
                if self.fault == "runs: a method may decline":
                    raise pf.InputError("too late") from None
                raise


@dataclass(frozen=True, repr=False)
class Scores(pf.Scorer):
    """Ones, and one fault."""

    name = "scores"
    fault: str = ""

    def score(self, network: pf.Network, images: torch.Tensor, labels: torch.Tensor, rng: Any) -> Any:
        total = network.layout.total
        if self.fault == "draws":
            return rng.random(total)
        if self.fault == "same seed":
            return np.full(total, next(COUNTER))
        if self.fault == "randomness":
            torch.rand(1)
        if self.fault == "units" and network.units.name == "block":
            raise KeyError("block")
        return np.ones(total + (self.fault == "must give finite scores"))


@dataclass(frozen=True, repr=False)
class Code(pf.Encoding):
    """One number, the share of all units that is kept; and one fault."""

    name = "code"
    fault: str = ""

    def variables(self, layout: pf.Layout) -> pf.Variables:
        return pf.Variables("real", 1, np.zeros(1), np.ones(1), (1 + (self.fault == "genomes"),))

    def decode(self, genomes: Any, layout: pf.Layout, scores: Any) -> pf.Masks:
        kept = np.rint(genomes * layout.total) - (next(COUNTER) % layout.total if self.fault == "pure: decode" else 0)
        if self.fault == "pure: a genome":
            kept -= len(genomes) == 1
        if self.fault == "pure: decode must not change scores":
            scores[:] = 0
        masks = pf.Masks.pack(np.arange(layout.total)[None] < kept, layout)
        return masks[1:] if self.fault == "masks" else masks

    def sample(self, n: int, layout: pf.Layout, scores: Any, rng: np.random.Generator) -> Any:
        least = {"spread": 0.9, "same seed": 0.1 + next(COUNTER) / 1e6}.get(self.fault, 0.1)
        return np.linspace(1, least, n)[:, None]


@dataclass(frozen=True, repr=False)
class Copy(pf.Variation):
    """The first parent, and one fault."""

    name = "copy"
    fault: str = ""

    def vary(
        self, parents: Any, n: int, variables: pf.Variables, rng: Any, scores: Any = None, free: Any = None
    ) -> Any:
        if self.fault == "parents":
            parents[0] ^= 0x80
        children = pf.families(parents, n)[:, 0].copy()
        if self.fault == "bounds of genes":
            children |= 0xFF
        if self.fault == "same seed":
            children[:, 0] ^= next(COUNTER) % 256
        if self.fault == "free bits":
            children[:, 0] ^= 0xFF
        return children[1:] if self.fault == "children" else children


@dataclass(frozen=True, repr=False)
class Value(pf.Objective):
    """Units kept, and one fault."""

    name = "value"
    fault: str = ""
    predicts = False

    @property
    def quantity(self) -> str:  # type: ignore[override] # another one for one fault
        return "" if self.fault == "quantity" else "units"

    def measure(self, candidate: pf.Candidate) -> float:
        if self.fault == "must say that it predicts":
            return candidate.error
        if self.fault == "must give one finite number":
            return float("nan")
        return candidate.masks.counts()[0] + (next(COUNTER) if self.fault == "repeatable" else 0)

    def reference(self, dense: pf.Candidate) -> float:
        return 0.0 if self.fault == "a reference above 0" else 1.0


@dataclass(frozen=True, repr=False)
class Device(pf.Target):
    """A second for each multiply-add, and one fault."""

    name = "device"
    fault: str = ""

    @property
    def forwards(self) -> int:
        return 3 if self.fault == "charge" else 0

    def latencies(self, networks: Any) -> Any:
        found = np.array([[one.network.macs(one.masks)[0]] for one in networks], dtype=float)
        if self.fault == "repeatable":
            found += next(COUNTER)
        return found[:, 0] if self.fault == "latency" else found * len(networks) if self.fault == "alone" else found

    def memory(self, network: pf.Physical) -> float:
        kept = float(network.network.params(network.masks)[0])
        return 1 / kept if self.fault == "memory" else kept


@dataclass(frozen=True, repr=False)
class Draw(pf.Report):
    """A table, and one fault."""

    name = "draw"
    fault: str = ""

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Any:
        if self.fault == "table":
            table["error"] = 0.0
        count = next(COUNTER) if self.fault == "repeatable" else 1
        for name in {"ids": ["a", "a"], "draws": ["a b"]}.get(self.fault, ["a"]):
            board = "nowhere" if self.fault == "boards" else ""
            caption = "" if self.fault == "captions" else "What."
            yield pf.Table(name, caption, pd.DataFrame({"x": [count]}), board)


def points(fault: str) -> pf.Problem:
    """Which of two numbers is larger, by a network that sees it; and one fault."""
    images = np.random.default_rng(0).random((300, 2)).astype(np.float32)
    labels = images.argmax(1).astype(np.int64)
    network = nn.Sequential(nn.Linear(2, 2, bias=False))
    network[0].weight.data = torch.eye(2) * (-1 if fault == "trained" else 1)
    cuts = ((0, 100), (100, 200), (0, 100) if fault == "splits" else (200, 300))

    def data(instance: int = 0) -> pf.Data:
        moved = images + next(COUNTER) if fault == "repeatable" else images
        return pf.Data(*(pf.Split(moved[a:b], labels[a:b]) for a, b in cuts))  # type: ignore[arg-type]

    return pf.Problem("points", network, pf.Splits(data) if fault == "instances" else data)


CHECKS = {
    Search: lambda found: testing.check_method(found, None if found.fault == "units" else "weight", registry()),
    Scores: lambda found: testing.check_scorer(found, None if found.fault == "units" else "weight", registry()),
    Code: lambda found: testing.check_encoding(found, "weight", registry()),
    Copy: lambda found: testing.check_variation(found, "mask", registry()),
    Value: lambda found: testing.check_objective(found, "weight", registry()),
    Device: lambda found: testing.check_target(found, registry()),
    Draw: testing.check_report,
}
FAULTS = [
    *((Search, fault) for fault in ("bounds", "runs", "same seed", "quiet", "randomness", "network")),
    (Search, "runs: a method may decline"),
    *((Scores, fault) for fault in ("draws", "same seed", "randomness", "must give finite scores")),
    *((Code, fault) for fault in ("genomes", "masks", "pure: decode", "pure: a genome", "spread", "same seed")),
    (Code, "pure: decode must not change scores"),
    *((Copy, fault) for fault in ("parents", "bounds of genes", "same seed", "free bits", "children")),
    *((Value, fault) for fault in ("quantity", "must say that it predicts", "must give one finite number")),
    *((Value, fault) for fault in ("repeatable", "a reference above 0")),
    *((Device, fault) for fault in ("charge", "latency", "repeatable", "memory")),
    *((Draw, fault) for fault in ("table", "ids", "draws", "captions", "boards", "repeatable")),
]


@pytest.mark.parametrize("kind", CHECKS)
def test_what_is_sound_keeps_all_rules(kind: Any) -> None:
    CHECKS[kind](kind())


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
def test_what_breaks_a_rule_is_told_which(kind: Any, fault: str) -> None:
    with pytest.raises((AssertionError, Faulty), match=fault):
        CHECKS[kind](kind(fault=fault))


@pytest.mark.parametrize("fault", ["", "repeatable", "splits", "trained", "instances"])
def test_problems_are_told_what_they_break(fault: str) -> None:
    if not fault:
        testing.check_problem(points(""), registry())
        return
    with pytest.raises(AssertionError, match=f"^{fault}: "):
        testing.check_problem(points(fault), registry())


@pytest.mark.parametrize("kind", [Search, Scores])
def test_other_units_are_tried_where_none_are_named(kind: Any) -> None:
    with pytest.raises((KeyError, Faulty)):
        CHECKS[kind](kind(fault="units"))


def test_a_search_that_does_not_end_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method, "PATIENCE", 0.5)
    with pytest.raises(AssertionError, match="runs: a search must end when its budget is spent"):
        CHECKS[Search](Search(fault="runs on"))


def test_an_expected_refusal_is_stated() -> None:
    testing.check_method(Search(fault="declines"), "weight", registry(), declines="not for me")
    with pytest.raises(AssertionError, match="must decline and say 'never'"):
        testing.check_method(Search(fault="declines"), "weight", registry(), declines="never")
    with pytest.raises(AssertionError, match="did not decline"):
        testing.check_method(Search(), "weight", registry(), declines="not for me")
    testing.check_scorer(registry().component(pf.Scorer, "fpgm"), "weight", registry(), declines="single weights")


def test_every_rule_gets_a_verdict_and_none_is_reached_behind_one_that_it_needs() -> None:
    found = list(testing.verdicts("report", Draw(fault="draws"), registry()))
    assert [one.state for one in found[:3]] == ["kept", "kept", "broken"]
    assert {one.state for one in found[3:]} == {"not reached"}
    assert found[2].way_out
    [declined] = [
        one for one in testing.verdicts("method", Search(fault="declines"), registry()) if one.state == "declined"
    ]
    assert "not for me" in declined.says


def test_random_states_are_put_back() -> None:
    case = rule.Case(None)
    before = rule.states()
    with case.watched():
        random.random()
        np.random.random()
        torch.rand(1)
    assert case.moved == ["random", "numpy.random", "torch"]
    assert all(rule.same(state, before[name]) for name, state in rule.states().items())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("method", "problem")])
def test_what_is_bundled_keeps_the_same_rules(kind: str) -> None:
    """A GPU is not everywhere, a table or a command is somebody's: see test_targets.py and test_runtimes.py."""
    for name in {*registry().names(kind)} - {"local-cuda", "lookup-table", "command"}:
        component = registry().entry(kind, name).value.configured({})
        assert [one for one in testing.verdicts(kind, component, registry()) if one.state != "kept"] == [], name


@pytest.mark.slow("minutes")
def test_bundled_methods_keep_them_on_all_units() -> None:
    """Each is tried on some units in tests/plugins."""
    for name in registry().names("method"):
        found = testing.verdicts("method", registry().entry("method", name).value.configured({}), registry())
        assert [one for one in found if one.state != "kept"] == [], name


def test_a_bundled_problem_keeps_them() -> None:
    found = list(testing.verdicts("problem", registry().problem("lenet-digits"), registry()))
    assert [one for one in found if one.state != "kept"] == []
