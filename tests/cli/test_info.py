"""`pruneframe info`."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tiny
from command import Cli

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
    (found,) = cli("info", "lenet-digits", "--units", units, "--json").parsed
    network = tiny.network(SmallLeNet(), (1, 8, 8), units)
    assert (found["units"], found["total_params"]) == (network.layout.total, network.total_params)
    assert found["total_macs"] == network.total_macs
    assert found["reach"] == pytest.approx(network.reach)
    assert 0.9 < found["reach_macs"] <= 1
    assert found["notes"] == []
    text = cli("info", "lenet-digits", "--units", units).out
    assert f"\nunits\n  {network.layout.total} of them, {network.total_params} parameters" in text


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
