"""The inventory of a problem: all of it where it is at hand, what there is where it is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from tiny import lookup

from pruneframe.errors import InputError
from pruneframe.model.data import Data
from pruneframe.model.training import Recipe
from pruneframe.model.weights import Trained
from pruneframe.study.inventory import inventory
from pruneframe.testing import TinyNetwork, tiny_problem

KINDS = ("filter", "head", "weight")


def test_everything_is_told_of_a_problem_at_hand() -> None:
    said: list[str] = []
    problem = tiny_problem()
    found, network = inventory(problem, KINDS, lookup, said.append), tiny.load(problem).network
    assert found.missing == []
    assert found.images is not None
    assert {name: one["images"] for name, one in found.images.items()} == {"train": 60, "search": 40, "test": 40}
    assert (found.params, found.macs) == (network.total_params, network.total_macs)
    assert found.layers is not None
    assert [one["name"] for one in found.layers] == [layer.name for layer in network.layers]
    assert sum(one["macs"] for one in found.layers) == network.total_macs
    units = {one["kind"]: one for one in found.units or ()}
    assert units["weight"]["units"] == network.layout.total
    assert units["weight"]["reach"] == pytest.approx(network.reach)
    assert units["filter"]["removable"]
    assert units["head"]["units"] == 0
    assert "heads" in units["head"]["reason"]
    assert found.errors is not None
    assert set(found.errors) == {"search", "test"}
    assert found.references == {"error": pytest.approx(1 - 1 / (found.classes or 0)), "params": network.total_params}
    assert "measuring the unpruned network on 40 search and 40 test images" in said
    assert set(found.sections) == {"data", "network", "layers", "units", "references", "noise"}
    json.dumps(found.record)


def test_without_data_the_layers_are_told_all_the_same() -> None:
    def absent() -> Data:
        raise InputError("the images are not on this machine")

    found = inventory(replace(tiny_problem(), data=absent), KINDS, lookup, lambda line: None)
    assert found.missing == ["data: the images are not on this machine"]
    assert (found.macs, found.units, found.errors) == (None, None, None)
    assert found.params == sum(p.numel() for p in TinyNetwork().parameters())
    assert {one["kind"] for one in found.layers or ()} == {"Conv2d", "Linear"}
    assert set(found.sections) == {"missing", "network", "layers", "noise"}


def test_without_weights_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path))
    problem = replace(tiny_problem(), network=TinyNetwork, weights=Trained(Recipe(epochs=1)))
    found = inventory(problem, KINDS, lookup, lambda line: None)
    assert found.missing == ["weights: not trained here yet; `pruneframe train tiny` does"]
    assert (found.errors, found.references) == (None, None)
    assert found.macs == tiny.load(tiny_problem()).network.total_macs
    assert list(tmp_path.rglob("*.safetensors")) == []
    tiny.load(problem)
    assert inventory(problem, KINDS, lookup, lambda line: None).errors is not None


def test_what_a_target_measures_has_no_number_yet() -> None:
    problem = tiny_problem("filter", objectives=("error", "latency"))
    found = inventory(problem, ["filter"], lookup, lambda line: None)
    assert found.references is not None
    assert found.references["latency"] is None
    assert found.sections["references"][1] == "latency: 1 is the unpruned network, measured on the target"
