"""The experiments of the bundled methods: each can be planned here as soon as its problem is there."""

from __future__ import annotations

import pytest
from tiny import lookup, registry

import pruneframe as pf
from pruneframe.problem import Problem
from pruneframe.reproduction.at_hand import lacking
from pruneframe.reproduction.experiment import SIZES

PROBLEMS = {
    "weighted-ga": {"lenet-mnist"},
    "hierarchical": {f"resnet{depth}-cifar{classes}" for depth in (56, 110) for classes in (10, 100)},
    "emo-dir": {f"{network}-cifar{classes}" for network in ("vgg16", "resnet56") for classes in (10, 100)}
    | {"resnet18-imagenet100"},
    "hamp": {"alexnet-cifar10", "mobilenetv1-cifar10", "mobilenetv2-cifar10"},
}


def declared(method: str) -> tuple[pf.Experiment, ...]:
    found: tuple[pf.Experiment, ...] = registry().entry("method", method).value.experiments
    return found


@pytest.mark.parametrize("method", sorted(PROBLEMS))
def test_the_papers_networks_are_there(method: str) -> None:
    assert {one.problem for one in declared(method)} == PROBLEMS[method]
    assert all(one.full is not None and one.difference for one in declared(method))


@pytest.mark.parametrize("method", sorted(PROBLEMS))
def test_each_is_declared_rightly(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were the problem: a network that needs no data stands for it."""
    known = registry()
    monkeypatch.setattr(known, "names", lambda kind: [one.problem for one in declared(method)])
    monkeypatch.setattr(known, "problem", lambda name: Problem(name, lambda: None, lambda: None))  # type: ignore[arg-type,return-value]
    for one in declared(method):
        for size in SIZES:
            reason = lacking(known, known.entry("method", method).value, one, size)
            assert reason == ("" if one.scale(size) else f"it is not offered at the scale {size}")
        for spec in one.methods:
            assert repr(lookup(pf.Method, spec)) == spec


def test_figures_of_the_abstract_stand_in_the_table() -> None:
    figures = {f.saving: f.published for one in declared("weighted-ga") for f in one.findings}
    assert figures == {"parameters": 0.9542, "convolutions": 16.0}
