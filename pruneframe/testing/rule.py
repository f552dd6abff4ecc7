"""Rules: what a component must keep, told by name, with what was seen and what to do where it is broken."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch

from ..errors import InputError, PruneframeError

State = Literal["kept", "broken", "declined", "not reached"]


@dataclass(frozen=True)
class Verdict:
    """What became of one rule: `says` is the rule, or how it is broken; `way_out` what to do then, else empty.

    A component may decline what it is asked here, as a target without its machine; then nothing behind it is reached.
    """

    rule: str
    state: State
    says: str
    way_out: str = ""


class Case:
    """A component under test; whatever is asked of it while it is `watched` is part of what the rules are about."""

    def __init__(self, component: Any) -> None:
        self.component = component
        self.printed = ""
        self.moved: list[str] = []  # global random states that are no longer what they were

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notice what the block prints, and which global random states it moves; these are put back."""
        before, heard = states(), io.StringIO()
        try:
            with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
                yield
        finally:
            self.printed += heard.getvalue()
            self.moved += [name for name, state in states().items() if not same(state, before[name])]
            random.setstate(before["random"])
            np.random.set_state(before["numpy.random"])
            torch.set_rng_state(before["torch"])


def states() -> dict[str, Any]:
    """The global random states that there are."""
    return {"random": random.getstate(), "numpy.random": np.random.get_state(), "torch": torch.get_rng_state()}


def same(one: Any, other: Any) -> bool:
    """Whether two random states are equal."""
    if isinstance(one, tuple):
        return all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(np.array_equal(one, other))


C = TypeVar("C", bound=Case)


@dataclass(frozen=True)
class Rule(Generic[C]):
    """One thing that a component must keep: `says` is what, `way_out` what to do where it does not.

    `holds` raises AssertionError where it does not, and may return what else is worth telling. Nothing behind a
    `needed` one makes sense without it.
    """

    name: str
    says: str
    way_out: str
    holds: Callable[[C], str | None]
    needed: bool = False


class Contract(Generic[C]):
    """The rules of one kind of component, in the order in which they are tried."""

    def __init__(self) -> None:
        self._own: list[Rule[C]] = []

    @property
    def rules(self) -> tuple[Rule[C], ...]:
        """Those of its kind, and behind them what holds of every kind."""
        return (*self._own, *COMMON)

    def rule(self, name: str, way_out: str, needed: bool = False) -> Callable[[Callable[[C], str | None]], None]:
        """Take in a function as a rule; its docstring says what must hold."""

        def take_in(holds: Callable[[C], str | None]) -> None:
            self._own.append(Rule(name, (holds.__doc__ or "").strip().removesuffix("."), way_out, holds, needed))

        return take_in

    def hold(self, case: C) -> None:
        """Raise AssertionError for the first rule that is broken; what users are told of is raised as it is."""
        for rule in self.rules:
            try:
                rule.holds(case)
            except AssertionError as broken:
                raise AssertionError(f"{rule.name}: {broken}; {rule.way_out}") from broken

    def verdicts(self, case: C) -> Iterator[Verdict]:
        """What becomes of every rule; none is reached behind one that the others need."""
        stopped = False
        for rule in self.rules:
            verdict = Verdict(rule.name, "not reached", rule.says) if stopped else tried(rule, case)
            yield verdict
            stopped |= verdict.state == "declined" or (verdict.state == "broken" and rule.needed)


def tried(rule: Rule[C], case: C) -> Verdict:
    """What becomes of one rule."""
    try:
        note = rule.holds(case)
    except AssertionError as broken:
        return Verdict(rule.name, "broken", str(broken), rule.way_out)
    except InputError as told:
        return Verdict(rule.name, "declined", str(told))
    except PruneframeError as error:
        return Verdict(rule.name, "broken", str(error), rule.way_out)
    except (Exception, SystemExit) as error:
        return Verdict(rule.name, "broken", f"it fails: {type(error).__name__}: {error}", rule.way_out)
    return Verdict(rule.name, "kept", f"{rule.says} ({note})" if note else rule.says)


def prints_nothing(case: Case) -> None:
    """It prints nothing."""
    assert not case.printed, f"it must print nothing, but printed {case.printed.strip()[:60]!r}"


def leaves_chance(case: Case) -> None:
    """It leaves the random states of random, numpy and torch as they are."""
    assert not case.moved, f"it must draw from the rng that it is handed alone, but moved that of {case.moved[0]}"


COMMON: tuple[Rule[Any], ...] = tuple(
    Rule(name, (holds.__doc__ or "").removesuffix("."), way_out, holds)
    for name, holds, way_out in (
        ("quiet", prints_nothing, "return what is worth telling, or keep it by task.record"),
        ("randomness", leaves_chance, "draw from rng, or from np.random.default_rng(rng.integers(2**32))"),
    )
)


def refused(call: Callable[[], object], declines: str) -> None:
    """Raise AssertionError where a call is not refused with an InputError that says `declines`."""
    try:
        call()
    except InputError as told:
        if declines in str(told):
            return
        raise AssertionError(f"it must decline and say {declines!r}, but said {str(told)!r}") from told
    raise AssertionError(f"it must decline and say {declines!r}, but it did not decline")
