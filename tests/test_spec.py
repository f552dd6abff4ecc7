"""Specs as text: what is split, taken apart, written and read, and what cannot be is said clearly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specs import specs, words
from tiny import registry

import pruneframe as pf
from pruneframe.errors import InputError
from pruneframe.spec import fits, meant, names, numbers, parse_spec, ranges, read, split, type_name, write

TYPES = {  # every type that a setting may have, by how people read it
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "layer | weight": Literal["layer", "weight"],
    "1 | 2 | 4": Literal[1, 2, 4],
    "int | none": int | None,
    "str | none": str | None,
    "int+...": tuple[int, ...],
    "str+...": tuple[str, ...],
}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "a component is written name or name"),
        ("two words", "but got 'two words'"),
        ("[count=1]", "a component is written name or name"),
        ("sample[count=1", "a component is written name or name"),
        ("sample]count=1[", "a component is written name or name"),
        ("sample[a=b[c=1]", "brackets must balance, but got 'a=b\\[c=1'"),
        ("sample[a=1]b[c=2]", "brackets must balance"),
        ("sample[count]", "settings are written setting=value, but got 'count'"),
        ("sample[=1]", "settings are written setting=value, but got '=1'"),
        ("sample[count=1,]", "settings are written setting=value, but got ''"),
        ("sample[count=1,count=2]", "may be given once, but 'count' stands twice"),
    ],
)
def test_text_that_is_no_component_is_told_what_one_looks_like(text: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        parse_spec(text)


@given(st.lists(specs, min_size=1))
def test_commas_inside_brackets_do_not_split(parts: list[str]) -> None:
    assert split(",".join(parts)) == parts
    assert split(" , ".join(parts)) == parts


@given(words, st.dictionaries(words, specs, min_size=1, max_size=3))
def test_a_spec_is_taken_apart_into_what_it_was_made_of(name: str, given_settings: dict[str, str]) -> None:
    text = f"{name}[{','.join(f'{key}={value}' for key, value in given_settings.items())}]"
    assert parse_spec(text) == (name, given_settings)


def test_a_name_alone_has_no_settings() -> None:
    assert parse_spec("nsga2") == parse_spec(" nsga2[] ") == ("nsga2", {})


@pytest.mark.parametrize("text", ["a]", "[a", "a]b[c", "a[b]]"])
def test_brackets_must_balance(text: str) -> None:
    with pytest.raises(InputError, match="brackets must balance"):
        split(text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("a,b[x=1,y=2]", "c"), ["a", "b[x=1,y=2]", "c"]),
        ((" a , b ", ""), ["a", "b"]),
        (("a,,b,",), ["a", "b"]),
        ((), []),
    ],
)
def test_lists_of_names_may_be_repeated_and_have_brackets(given: Sequence[str], expected: list[str]) -> None:
    assert names(given) == expected


@pytest.mark.parametrize("written", TYPES)
def test_a_type_is_named_as_people_read_it(written: str) -> None:
    assert type_name(TYPES[written]) == written


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(),
    "float": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "str": specs,
    "layer | weight": st.sampled_from(["layer", "weight"]),
    "1 | 2 | 4": st.sampled_from([1, 2, 4]),
    "int | none": st.none() | st.integers(),
    "str | none": st.none() | specs.filter(lambda text: text != "none"),
    "int+...": st.lists(st.integers(), max_size=3).map(tuple),
    "str+...": st.lists(words, max_size=3).map(tuple),
}


@given(st.sampled_from(sorted(TYPES)).flatmap(lambda name: st.tuples(st.just(name), VALUES[name])))
def test_a_value_that_is_written_is_read_back_and_fits(case: tuple[str, Any]) -> None:
    name, value = case
    found = read(write(value), TYPES[name], "here")
    assert (found, type(found)) == (value, type(value))
    assert fits(write(value), name)


@given(
    st.sampled_from(sorted(TYPES)), st.sampled_from(["", "1", "1.5", "-1", "3", "true", "none", "nan", "1+2", "1+x"])
)
def test_what_fits_a_types_name_is_what_can_be_read_as_the_type(name: str, text: str) -> None:
    """The index knows types by their names alone: it must refuse what the component would, and nothing else."""
    if fits(text, name):
        read(text, TYPES[name], "here")
    else:
        with pytest.raises(InputError, match=re.escape(f"here must be {name}, but got {text!r}")):
            read(text, TYPES[name], "here")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0", [0]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("1,5,9", [1, 5, 9]),
        ("3-3", [3]),
        ("7, 0-2", [7, 0, 1, 2]),
        ("2,0-3,2", [2, 0, 1, 3]),
    ],
)
def test_numbers(text: str, found: list[int]) -> None:
    assert numbers([text], "seeds") == found
    assert sorted(numbers([ranges(found)], "seeds")) == sorted(found)


@pytest.mark.parametrize("text", ["", " ", "a", "1-", "-1", "1--2", "3-1", "1,,2", "1,", "0.5", "1e3", "0x1", "1-2-3"])
def test_malformed_numbers(text: str) -> None:
    with pytest.raises(InputError, match="instances"):
        numbers([text], "instances")


@pytest.mark.parametrize(("found", "text"), [([0], "0"), ([4, 0, 2, 1, 2], "0-2,4"), ([9, 8, 5], "5,8-9"), ([], "")])
def test_ranges(found: list[int], text: str) -> None:
    assert ranges(found) == text


METHODS = ("nsga2", "nsga2[population=20]", "emo-dir", "magnitude[scorer=lamp]", "random (version 1)")


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("nsga2", "nsga2"),
        ("NSGA-2", "nsga2"),
        ("NSGA2[population=20]", "nsga2[population=20]"),
        ("EMO_DIR", "emo-dir"),
        ("magnitude", "magnitude[scorer=lamp]"),
        ("Random", "random (version 1)"),
    ],
)
def test_a_name_is_found_as_people_write_it(written: str, found: str) -> None:
    assert meant("method", written, METHODS) == found


def test_a_figure_is_found_without_its_number_where_there_is_one() -> None:
    assert meant("figure", "front", ["front-1", "results-1", "results-2"]) == "front-1"
    with pytest.raises(InputError, match="figure 'results' may be any of results-1, results-2; name one in full"):
        meant("figure", "results", ["front-1", "results-1", "results-2"])


def test_what_may_be_several_is_refused_with_all_of_them() -> None:
    with pytest.raises(InputError, match=r"'nsga2' may be any of nsga2\[a=1\], nsga2\[a=2\]"):
        meant("method", "nsga2", ["nsga2[a=1]", "nsga2[a=2]"])
    with pytest.raises(InputError, match="no method is named 'emo'; there are: "):
        meant("method", "emo", ["nsga2", "hamp"])
    with pytest.raises(InputError, match="did you mean 'Emo-Dir'"):
        meant("method", "emodi", ["Emo-Dir"])


@pytest.mark.parametrize(
    ("kind", "spec", "found"),
    [
        ("method", "NSGA-II", "nsga2"),
        ("method", "NSGA2[scorer=LAMP,population=20]", "nsga2[scorer=lamp,population=20]"),
        ("method", "nsga2[variation=SBX-PM+uniform,scorer=none]", "nsga2[variation=sbx-pm+uniform,scorer=none]"),
        ("objective", "FLOPs", "macs"),
        ("objective", "parameters", "params"),
        ("unit", "Filter", "filter"),
        ("problem", "LeNet_Digits", "lenet-digits"),
    ],
)
def test_components_are_told_of_by_their_own_names(kind: str, spec: str, found: str) -> None:
    assert registry().canonical(kind, spec) == found
    registry().check(kind, spec)


def test_another_spelling_is_the_same_run() -> None:
    assert repr(registry().component(pf.Method, "NSGA-II[scorer=LAMP]")) == "nsga2[scorer=lamp]"
    assert registry().component(pf.Objective, "flops").name == "macs"
