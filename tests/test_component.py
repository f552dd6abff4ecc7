"""Components as text: what a repr writes, the parser reads back, and what cannot be read is said clearly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneframe.component import Component, Range, Setting, parse_spec, setting, split
from pruneframe.errors import InputError


@dataclass(frozen=True, repr=False)
class Sample(Component):
    """Every type that a setting may have."""

    name = "sample"
    count: int = setting(3, "an integer", least=0)
    rate: float = setting(0.5, "a number")
    fast: bool = setting(False, "a switch")
    scorer: str = setting("magnitude", "the name of a part")
    scope: Literal["layer", "weight"] = setting("layer", "one of two words")
    parts: Literal[1, 2, 4] = setting(1, "one of three numbers")
    limit: int | None = setting(None, "an integer or nothing")
    variation: str | None = setting("uniform", "a part or nothing")
    sizes: tuple[int, ...] = setting((8, 64), "numbers")
    operators: tuple[str, ...] = setting(("uniform",), "names of parts")


@dataclass(frozen=True, repr=False)
class Bounded(Component):
    """Numbers within ranges."""

    name = "bounded"
    rate: float = setting(0.5, "a number", above=0, below=1)
    limit: int | None = setting(None, "an integer or nothing", least=1, most=9)


@dataclass(frozen=True, repr=False)
class Needy(Component):
    """A setting without a default."""

    name = "needy"
    size: int


def read(text: str) -> Sample:
    name, given = parse_spec(text)
    assert name == "sample"
    return Sample.configured(given)


words = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
specs = st.recursive(  # fpgm, nsga2[scorer=fpgm,size=3], a+b[c=d]
    words,
    lambda inner: (
        st.builds(
            lambda name, given: f"{name}[{','.join(f'{k}={v}' for k, v in given.items())}]",
            words,
            st.dictionaries(words, inner, min_size=1, max_size=3),
        )
        | st.builds("{}+{}".format, inner, inner)
    ),
    max_leaves=5,
)
single_specs = specs.filter(lambda text: len(split(text, "+")) == 1)
samples = st.builds(
    Sample,
    count=st.integers(0),
    rate=st.floats(allow_nan=False),
    fast=st.booleans(),
    scorer=specs,
    scope=st.sampled_from(["layer", "weight"]),
    parts=st.sampled_from([1, 2, 4]),
    limit=st.none() | st.integers(),
    variation=st.none() | specs.filter(lambda text: text != "none"),
    sizes=st.lists(st.integers(), min_size=1, max_size=3).map(tuple),
    operators=st.lists(single_specs, min_size=1, max_size=3).map(tuple),
)


@settings(deadline=None)
@given(samples)
def test_what_repr_writes_is_read_back(sample: Sample) -> None:
    again = read(repr(sample))
    assert again == sample
    assert repr(again) == repr(sample)
    assert [type(value) for value in vars(again).values()] == [type(value) for value in vars(sample).values()]


def test_only_what_differs_from_the_defaults_is_written() -> None:
    assert repr(Sample()) == "sample"
    assert repr(Sample(fast=True, limit=4, variation=None, sizes=(1, 2))) == (
        "sample[fast=true,limit=4,variation=none,sizes=1+2]"
    )


@pytest.mark.parametrize("empty", [Sample(sizes=()), Sample(operators=())], ids=["numbers", "names"])
def test_an_empty_tuple_is_read_back(empty: Sample) -> None:
    assert read(repr(empty)) == empty


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("sample[count=12]", "count", 12),
        ("sample[rate=2]", "rate", 2.0),
        ("sample[rate=1e-3]", "rate", 0.001),
        ("sample[fast=true]", "fast", True),
        ("sample[fast=false]", "fast", False),
        ("sample[scope=weight]", "scope", "weight"),
        ("sample[parts=4]", "parts", 4),
        ("sample[limit=7]", "limit", 7),
        ("sample[limit=none]", "limit", None),
        ("sample[variation=none]", "variation", None),
        ("sample[scorer=none]", "scorer", "none"),
        ("sample[sizes=1+2+3]", "sizes", (1, 2, 3)),
        ("sample[operators=a[x=1+2]+b]", "operators", ("a[x=1+2]", "b")),
        ("sample[scorer=lamp[a=1,b=c[d=2,e=3]],count=1]", "scorer", "lamp[a=1,b=c[d=2,e=3]]"),
        ("sample[ count = 5 , fast = true ]", "count", 5),
    ],
)
def test_text_is_read_as_the_type_of_its_setting(text: str, field: str, value: Any) -> None:
    found = getattr(read(text), field)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("sample[count=1.5]", r"sample\[count=...\] must be int, but got '1.5'"),
        ("sample[count=]", r"sample\[count=...\] must be int, but got ''"),
        ("sample[rate=fast]", r"sample\[rate=...\] must be float, but got 'fast'"),
        ("sample[fast=yes]", r"sample\[fast=...\] must be bool, but got 'yes'"),
        ("sample[scope=wide]", r"sample\[scope=...\] must be layer \| weight, but got 'wide'"),
        ("sample[parts=3]", r"sample\[parts=...\] must be 1 \| 2 \| 4, but got '3'"),
        ("sample[limit=few]", r"sample\[limit=...\] must be int \| none, but got 'few'"),
        ("sample[sizes=1+x]", r"sample\[sizes=...\] must be int\+..., but got '1\+x'"),
        ("sample[count=-1]", "sample: count >= 0 must hold, but got -1"),
        ("sample[cuont=1]", "no setting of 'sample' is named 'cuont'; did you mean 'count'?"),
        ("sample[zzz=1]", "settings: count, fast, limit, operators, parts, rate, scope, scorer, sizes, variation"),
    ],
)
def test_a_setting_that_does_not_fit_is_told_with_rule_and_value(text: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        read(text)


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


def test_a_setting_without_a_default_must_be_given() -> None:
    assert Needy.configured({"size": "3"}) == Needy(3)
    with pytest.raises(InputError, match="size"):
        Needy.configured({})


@settings(deadline=None)
@given(st.lists(specs, min_size=1))
def test_commas_inside_brackets_do_not_split(parts: list[str]) -> None:
    assert split(",".join(parts)) == parts
    assert split(" , ".join(parts)) == parts


@settings(deadline=None)
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


def test_settings_are_listed_in_order_with_type_default_and_help() -> None:
    listed = Sample.settings()
    assert listed[0] == Setting("count", "int", 3, "an integer", "count >= 0")
    assert [item.type for item in listed] == [
        *("int", "float", "bool", "str", "layer | weight", "1 | 2 | 4", "int | none", "str | none"),
        *("int+...", "str+..."),
    ]
    assert [item.default for item in listed] == list(vars(Sample()).values())


def test_bounds_themselves_may_be_held_or_not() -> None:
    assert all(number in Range(least=0, most=1) for number in (0, 0.5, 1))
    assert not any(number in Range(above=0, below=1) for number in (0, 1, float("nan")))
    assert 1e300 in Range()
    assert Bounded.configured({"limit": "9"}).limit == 9
    for name, rule in {"rate": "0 < rate < 1", "limit": "1 <= limit <= 9"}.items():
        for text, value in {"0": 0, "10": 10, "nan": float("nan")}.items():
            if name == "rate" or text != "nan":
                with pytest.raises(InputError, match=f"bounded: {rule} must hold, but got {value}"):
                    Bounded.configured({name: text})
    ranges = {"most": Range(most=1), "below": Range(below=1), "above": Range(above=1 / 3), "free": Range()}
    rules = [allowed.rule(name) for name, allowed in ranges.items()]
    assert rules == ["most <= 1", "below < 1", "above > 0.3333", ""]


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(AttributeError):
        Sample().count = 5  # type: ignore[misc] # that is what is tested
