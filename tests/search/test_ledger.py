"""The account of compute: exact, and never overdrawn."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneframe.search.ledger import ROUNDING, Budget, BudgetSpent, Ledger

prices = st.floats(0.01, 20)


def spend_all(ledger: Ledger, price: float) -> int:
    """Charges of one price until one does not fit; how many did."""
    count = 0
    try:
        while True:
            ledger.charge(price)
            count += 1
    except BudgetSpent:
        return count


@given(st.floats(0, 100), st.lists(prices, max_size=50))
def test_the_budget_is_never_exceeded_and_refuses_only_what_does_not_fit(total: float, charges: list[float]) -> None:
    ledger, booked = Ledger(total), 0.0
    for price in charges:
        try:
            ledger.charge(price)
        except BudgetSpent:
            assert booked + price > total
        else:
            booked += price
        assert ledger.spent == booked <= total + ROUNDING * max(1, total)
        assert ledger.left == max(0.0, total - booked)


def test_a_refused_charge_books_neither_passes_nor_seconds() -> None:
    ledger = Ledger(1)
    ledger.charge(0.25, seconds=2.0)
    with pytest.raises(BudgetSpent) as refused:
        ledger.charge(0.8, seconds=3.0)
    assert refused.value.passes == 0.8
    assert (ledger.spent, ledger.seconds, ledger.left) == (0.25, 2.0, 0.75)


@pytest.mark.parametrize(("total", "count"), [(1, 10), (300, 3), (300, 30_000), (10_000, 100_000)])
def test_a_budget_cut_into_equal_charges_is_spent_exactly(total: float, count: int) -> None:
    ledger = Ledger(total)
    assert ledger.affordable(total / count, 10 * count) == count
    assert spend_all(ledger, total / count) == count
    assert ledger.spent == pytest.approx(total, rel=1e-9)


@given(st.floats(0.1, 50), prices)
def test_as_many_are_affordable_as_can_be_charged(total: float, price: float) -> None:
    afforded = Ledger(total).affordable(price, 10**9)
    assert afforded == spend_all(Ledger(total), price)
    assert afforded == pytest.approx(math.floor(total / price), abs=1)


def test_no_more_are_affordable_than_wanted_and_free_answers_always_are() -> None:
    assert Ledger(10).affordable(1, 3) == 3
    assert Ledger(0).affordable(0, 7) == 7
    assert Ledger(0).affords(0)
    assert not Ledger(0).affords(0.1)


def test_a_phase_spends_its_share_and_ends_quietly() -> None:
    ledger = Ledger(10)
    ledger.charge(2)
    with ledger.share(0.5):
        assert ledger.left == 5
        while True:
            ledger.charge(1)
    assert ledger.spent == 7
    assert ledger.left == 3


def test_a_phase_that_ends_early_leaves_its_part_to_the_others() -> None:
    ledger = Ledger(10)
    with ledger.share(0.5):
        ledger.charge(1)
    assert ledger.left == 9


def test_a_share_within_a_share_is_of_the_total_and_held_by_both() -> None:
    ledger = Ledger(10)
    with ledger.share(0.5):
        with ledger.share(0.2):
            assert ledger.left == 2
            spend_all(ledger, 1)
        assert ledger.spent == 2
        with ledger.share(0.9):
            assert ledger.left == 3  # of the outer share
    assert ledger.left == 8


def test_the_end_of_an_outer_share_passes_through_the_inner_one() -> None:
    ledger, reached = Ledger(10), []
    with ledger.share(0.3):
        with ledger.share(0.9):
            while True:
                ledger.charge(1)
        reached.append("after the inner share")
    assert not reached
    assert (ledger.spent, ledger.left) == (3, 7)


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.5), (0.5, 0.5, 0.5)])
def test_budget_spent_goes_on_when_the_whole_is_spent(shares: tuple[float, ...]) -> None:
    ledger, ended = Ledger(10), 0
    with pytest.raises(BudgetSpent):  # noqa: PT012 - one phase after the other
        for share in shares:
            with ledger.share(share):
                while True:
                    ledger.charge(1)
            ended += 1
    assert ledger.spent == 10
    assert ended == min(len(shares) - 1, 1)


def test_budget_spent_goes_on_when_the_rest_pays_for_nothing_more() -> None:
    ledger = Ledger(2.5)  # half a pass stays over, and a method that works in shares until the end must end
    with pytest.raises(BudgetSpent):  # noqa: PT012
        for _ in range(10):
            with ledger.share(0.5):
                while True:
                    ledger.charge(1)
    assert ledger.spent == 2


def test_a_share_ends_with_its_block_even_when_that_fails() -> None:
    ledger = Ledger(10)
    with pytest.raises(KeyError), ledger.share(0.1):
        raise KeyError
    assert ledger.left == 10


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_share_must_be_one(share: float) -> None:
    with pytest.raises(ValueError, match=f"0 < share <= 1 must hold, but got {share}"), Ledger(1).share(share):
        pass


def test_what_catches_exceptions_does_not_catch_the_end_of_the_budget() -> None:
    assert not issubclass(BudgetSpent, Exception)


def test_a_methods_view_shows_the_account_and_cannot_change_it() -> None:
    ledger = Ledger(10)
    budget = Budget(ledger)
    ledger.charge(4)
    assert (budget.total, budget.spent, budget.left) == (10, 4, 6)
    for name in ("total", "spent", "left"):
        with pytest.raises(AttributeError):
            setattr(budget, name, 0)
