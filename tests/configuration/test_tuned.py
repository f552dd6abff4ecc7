"""The file of settings: read as it was written, refused for whatever else, and for what it was tuned on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import registry

from pruneframe import InputError
from pruneframe.configuration.tuned import HEAD, Tuned, TunedSettings

NSGA2 = Tuned("nsga2", "nsga2[population=8]", 0.8, 0.9, 30, 11, 1, 4, 4123.5, 61.25)
HAMP = Tuned("hamp[local=0]", "hamp[floor=0.2,local=0]", 0.5, 0.5, 30, 0, 0, 0, 9000.0, 100.0)
FOUND = TunedSettings(
    problems=("lenet-digits", 'a "b"'),
    instances=(5, 6),
    seeds=(0,),
    trials=30,
    draw=1,
    rules={"budget": 300.0, "objectives": ["error", "params"], "units": "weight"},
    versions={"optuna": "5.0.0"},
    methods=(NSGA2, HAMP),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    FOUND.write(tmp_path / "tuned.toml")
    return tmp_path / "tuned.toml"


def test_it_is_read_as_it_was_written(path: Path) -> None:
    assert TunedSettings.read(path) == FOUND


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("population=8", "population=9", "is damaged or was changed"),
        ("trials = 30", "trials = 3", "is damaged or was changed"),
        ("[[methods]]", "[[methods", "cannot be read"),
        ("checksum", "checksun", "is damaged or was changed"),
        ("# Settings", "x = 1\n# Settings", "is damaged or was changed"),
    ],
)
def test_what_was_changed_is_refused(path: Path, old: str, new: str, words: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=f"tuned.toml must be a file that `pruneframe tune` wrote, but .*{words}"):
        TunedSettings.read(path)


HOSTILE = ("nan", "inf", "1979-05-27", "[[1979-05-27]]", "[{a = 1}]", "{a = {}}", "true", '"x"', "1.5", "[]", "{}")


@pytest.mark.parametrize("value", HOSTILE)
def test_another_kind_of_value_is_refused_even_where_the_checksum_fits(value: str, path: Path) -> None:
    lines, refused = path.read_text().splitlines()[2:], 0
    for place, line in enumerate(lines):
        name, equals, _ = line.partition(" = ")
        changed = [*lines[:place], f"{name} = {value}" if equals else line, *lines[place + 1 :]]
        body = "".join(f"{one}\n" for one in changed)
        path.write_text(f'{HEAD}checksum = "{hashlib.sha256(body.encode()).hexdigest()}"\n{body}')
        try:
            json.dumps(TunedSettings.read(path).json(), allow_nan=False)  # what is believed can be kept in a study
        except InputError as error:
            refused += "tune again" in str(error)
    assert refused > 10


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[a]\n", b"{}"])
def test_what_is_another_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match="must be a file that `pruneframe tune` wrote, but"):
        TunedSettings.read(path)
    path.write_text(path.read_text(errors="ignore")[:200])
    with pytest.raises(InputError, match="must be a file"):
        TunedSettings.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        TunedSettings.read(path.with_name("none.toml"))


def test_every_cut_of_it_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for end in range(0, len(content) - 1, 7):
        path.write_bytes(content[:end])
        with pytest.raises(InputError):
            TunedSettings.read(path)


def test_methods_get_the_settings_that_were_found_for_them_as_they_were_asked() -> None:
    specs, used = FOUND.of(["magnitude", "nsga2", "hamp"])
    assert specs == ["magnitude", "nsga2[population=8]", "hamp"], "hamp was tuned with another local search"
    assert used.methods == (NSGA2,)
    with pytest.raises(InputError, match=r"must have one of the methods, magnitude, but has nsga2, hamp\[local=0\]"):
        FOUND.of(["magnitude"])


def test_an_instance_that_was_tuned_on_is_not_compared_on() -> None:
    FOUND.check(registry(), [("lenet-digits", 0), ("resnet20-cifar10", 5)])
    with pytest.raises(InputError, match=r"tuned on other instances .* 'lenet-digits', instance 6; choose others"):
        FOUND.check(registry(), [("lenet-digits", 0), ("lenet-digits", 6)])


def test_a_method_that_nothing_brings_is_refused() -> None:
    strange = replace(FOUND, methods=(replace(NSGA2, spec="nsga3"),))
    with pytest.raises(InputError, match="no method is named 'nsga3'"):
        strange.check(registry(), [])
