"""What a comparison needs, held against the tests themselves: with so many the best case is claimed, with fewer not."""

from __future__ import annotations

import pytest

from pruneframe.comparison.beforehand import Need
from pruneframe.comparison.statistics import compare


def apart(methods: int, number: int, instances: bool) -> dict[str, dict[int, list[float]]]:
    """Values of methods that could not differ more: every run of one is better than all of the next."""
    found = {}
    for method in range(methods):
        values = [100.0 * method + number_of + 0.1 * method * number_of for number_of in range(number)]
        found[f"m{method}"] = {i: [v] for i, v in enumerate(values)} if instances else {0: values}
    return found


@pytest.mark.parametrize("control", [None, "m0"])
@pytest.mark.parametrize("instances", [False, True])
@pytest.mark.parametrize("methods", [2, 3, 4])
def test_so_many_are_enough_and_one_less_is_not(methods: int, instances: bool, control: str | None) -> None:
    fixed = {f"m{method}": False for method in range(methods)}
    need = Need.of(fixed, 2 if instances else 1, control)
    assert need.number is not None
    assert need.over == ("instance" if instances else "seed")
    assert all(one.significant for one in compare(apart(methods, need.number, instances), control))
    assert not all(one.significant for one in compare(apart(methods, need.number - 1, instances), control))


def test_it_is_told_in_one_line_with_the_way_out() -> None:
    four = dict.fromkeys("abcd", False)
    need = Need.of(four, 1, None)
    assert need.told(3) == "3 seeds can claim nothing: 6 comparisons of 4 methods need 5, as by --seeds 0-4"
    assert need.told(5) == "6 comparisons of 4 methods need 5 seeds for a claim, and 5 are asked for"
    assert "need 8, as by --instances 0-7" in Need.of(four, 3, None).told(3)
    eight = dict.fromkeys("abcdefgh", False)
    assert [Need.of(eight, 1, control).number for control in ("a", None)] == [6, 7]
    assert Need.of({"a": True, "b": False}, 1, None).number == 6, "a number against values needs signed ranks"
    assert Need.of({"a": True, "b": True}, 1, None).told(1) == ""
    assert Need.of({"a": False}, 1, None).told(1) == ""
    assert "more than 30 seeds for a claim; name a --control, or fewer methods" in Need(9, 36, "seed", None).told(5)
