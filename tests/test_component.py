"""Components as text: what a repr writes, the parser reads back, and what cannot be read is said clearly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specs import single_specs, specs

from pruneframe.component import Component, Range, Setting, setting
from pruneframe.errors import InputError
from pruneframe.spec import parse_spec


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
class Naming(Component):
    """Settings that name other components, in every way that they may, and some that do not."""

    name = "naming"
    scorer: str = setting("magnitude", "one component", kind="scorer")
    variation: str | None = setting(None, "several, or nothing", kind="variation")
    crossover: str = setting("none", "one, or none", kind="variation")
    objectives: tuple[str, ...] = setting((), "several", kind="objective")
    start: str = setting("scorer", "a word that could be a name")
    size: int = setting(3, "a number")


@dataclass(frozen=True, repr=False)
class Needy(Component):
    """A setting without a default, one that is none, and one that is made."""

    name = "needy"
    size: int
    limit: int | None = None
    sizes: tuple[int, ...] = field(default_factory=lambda: (1, 2))


def read(text: str) -> Sample:
    name, given = parse_spec(text)
    assert name == "sample"
    return Sample.configured(given)


samples = st.builds(
    Sample,
    count=st.integers(0, 10_000_000),  # at most, unless a setting says more
    rate=st.floats(allow_nan=False),
    fast=st.booleans(),
    scorer=specs,
    scope=st.sampled_from(["layer", "weight"]),
    parts=st.sampled_from([1, 2, 4]),
    limit=st.none() | st.integers(-10_000_000, 10_000_000),
    variation=st.none() | specs.filter(lambda text: text != "none"),
    sizes=st.lists(st.integers(), min_size=1, max_size=3).map(tuple),
    operators=st.lists(single_specs, min_size=1, max_size=3).map(tuple),
)


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


def test_a_setting_without_a_default_must_be_given() -> None:
    assert Needy.configured({"size": "3"}) == Needy(3)
    with pytest.raises(InputError, match=r"needy needs size; write needy\[size=...\]"):
        Needy.configured({})
    assert [(item.name, item.default, item.required) for item in Needy.settings()] == [
        ("size", None, True),
        ("limit", None, False),
        ("sizes", (1, 2), False),
    ]


def test_settings_are_listed_in_order_with_type_default_and_help() -> None:
    listed = Sample.settings()
    assert listed[0] == Setting("count", "int", 3, "an integer", Range(least=0))
    assert listed[0].rule == "count >= 0"
    assert [item.type for item in listed] == [
        *("int", "float", "bool", "str", "layer | weight", "1 | 2 | 4", "int | none", "str | none"),
        *("int+...", "str+..."),
    ]
    assert [item.default for item in listed] == list(vars(Sample()).values())


def test_settings_say_which_kind_they_name() -> None:
    kinds = {item.name: item.kind for item in Naming.settings()}
    assert kinds == {"scorer": "scorer", "variation": "variation", "crossover": "variation"} | {
        "objectives": "objective",
        "start": "",
        "size": "",
    }


@pytest.mark.parametrize(
    ("naming", "named"),
    [
        (Naming(), [("scorer", "magnitude")]),
        (Naming(scorer="none"), []),
        (Naming(start="l2", size=4), [("scorer", "magnitude")]),
        (
            Naming(scorer="taylor[images=5]", variation="uniform+bit-flip[rate=1]", crossover="uniform"),
            [
                ("scorer", "taylor[images=5]"),
                *(("variation", spec) for spec in ("uniform", "bit-flip[rate=1]", "uniform")),
            ],
        ),
        (
            Naming(scorer="sum[of=l1+l2]", objectives=("error", "noisy[of=a+b]")),
            [("scorer", "sum[of=l1+l2]"), ("objective", "error"), ("objective", "noisy[of=a+b]")],
        ),
    ],
)
def test_what_settings_name_is_known_with_its_kind(naming: Naming, named: list[tuple[str, str]]) -> None:
    """Defaults count, since a run involves them as much as what is given."""
    assert list(naming.named()) == named
    assert list(Naming.configured(parse_spec(repr(naming))[1]).named()) == named


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
