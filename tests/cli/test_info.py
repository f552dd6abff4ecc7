"""`pruneframe info`."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
from command import Cli

from pruneframe.study.inventory import Inventory
from pruneframe_problems.lenet import SmallLeNet


def test_info_shows_settings_help_and_provenance(cli: Cli) -> None:
    (found,) = cli("info", "nsga2", "--json").parsed
    settings = {one["name"]: one for one in found["settings"]}
    assert set(settings) == {"preset", "encoding", "scorer", "variation", "population"}
    assert all(one["help"] and one["type"] for one in settings.values())
    text = cli("info", "nsga2").out
    assert "Deb, Pratap, Agarwal and Meyarivan" in text
    assert all(one["help"] in text for one in settings.values())


def test_info_shows_all_of_one_name(cli: Cli) -> None:
    assert {one["kind"] for one in cli("info", "random", "--json").parsed} == {"method", "scorer"}


@pytest.mark.parametrize(
    "name", ["lenet-digits", "mask", "taylor", "uniform", "params", "local-cpu", "filter", "fronts"]
)
def test_info_knows_every_kind(name: str, cli: Cli) -> None:
    assert name in cli("info", name).out


def test_info_says_of_a_problem_which_engine_there_is(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.study.inventory.inventory", lambda *_: Inventory(params=1))
    for processor, words in enumerate(("portable code", "AVX2", "AVX-512")):
        library = SimpleNamespace(pruneframe_processor=lambda processor=processor: processor)
        monkeypatch.setattr("pruneframe.engine.library.kernel", lambda library=library: library)
        (found,) = cli("info", "lenet-digits", "--json").parsed
        assert found["engine"] == f"sparse kernel ({words}) where it can run the network, else torch"
        assert f"\nengine\n  {found['engine']}\n" in cli("info", "lenet-digits").out
    monkeypatch.setattr("pruneframe.engine.library.kernel", lambda: None)
    (found,) = cli("info", "lenet-digits", "--json").parsed
    assert found["engine"] == "torch alone: the kernel is not built"
    assert "engine" not in cli("info", "nsga2", "--json").parsed[0]


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_info_says_what_the_units_of_a_problem_reach(units: str, cli: Cli) -> None:
    outcome = cli("info", "lenet-digits", "--units", units, "--json")
    (found,) = outcome.parsed
    network = tiny.network(SmallLeNet(), (1, 8, 8), units)
    (told,) = found["units"]
    assert (told["kind"], told["units"], told["notes"]) == (units, network.layout.total, [])
    assert (found["params"], found["macs"]) == (network.total_params, network.total_macs)
    assert told["reach"] == pytest.approx(network.reach)
    assert 0.9 < told["reach_macs"] <= 1
    assert "measuring the unpruned network on 360 search and 360 test images" in outcome.err


def test_info_tells_all_of_a_problem(cli: Cli) -> None:
    text, (found,) = cli("info", "lenet-digits").out, cli("info", "lenet-digits", "--json").parsed
    first, second = ["settings", "instances", "weights", "data", "network"], ["layers", "units", "references"]
    headings = [*first, *second, "noise", "source"]
    assert [line for line in text.splitlines() if line in headings] == headings
    assert {one["kind"] for one in found["units"]} >= {"weight", "filter", "neuron", "head", "block"}
    assert [one["kind"] for one in found["layers"]] == ["Conv2d", "Conv2d", "Linear", "Linear"]
    assert found["weights"][0] == "shipped: those of instances 0-9"
    assert "epochs=20" in found["weights"][1]
    assert found["errors"].keys() == {"search", "test"}
    assert "alpaydin1998optical" in found["bibtex"]


def test_noise_is_measured_and_then_known_to_info(cli: Cli, here: Path) -> None:
    few = ("--searches", "2", "--budget", "5", "--method", "random", "--images", "100", "--scorers", "magnitude")
    measured = cli("noise", "lenet-digits", "--instance", "1", *few, "--cuts", "3", "--output", "own.json", "--json")
    noise = measured.parsed
    assert [one["images"] for one in noise["told"]] == [100]
    assert noise["how"]["scorers"] == ["magnitude"]
    assert json.loads((here / "own.json").read_text()) == noise
    (found,) = cli("info", "lenet-digits", "--instance", "1", "--units", "weight", "--json").parsed
    assert found["noise"] == noise


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lenet-digit",), "'lenet-digits'"),
        (("lenet-digits", "--method", "nsga3"), "'nsga2'"),
        (("lenet-digits", "--scorers", "magnitud"), "'magnitude'"),
        (("lenet-digits", "--images", "few"), "images are written 0-4 or 1,5,9"),
        (("lenet-digits", "--images", "0"), "images must be at least 1"),
    ],
)
def test_noise_says_what_is_wrong(arguments: tuple[str, ...], words: str, cli: Cli) -> None:
    found = cli("noise", *arguments)
    assert found.code == 2
    assert words in found.error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nsga2", "--units", "filter"), "no problem is named 'nsga2'"),
        (("lenet-digits", "--units", "filtr"), "no unit is named 'filtr'"),
    ],
)
def test_units_are_asked_of_a_problem(arguments: tuple[str, ...], words: str, cli: Cli) -> None:
    found = cli("info", *arguments)
    assert found.code == 2
    assert words in found.error
