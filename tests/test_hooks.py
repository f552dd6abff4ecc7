"""Asking hooks: what a module brings, and that what is wrong with one part of it leaves the others alone."""

from __future__ import annotations

from types import ModuleType

import pytest
from strangers import HEADER, HOOK, HOOK_FAULTS, SCORER, VARIATION, scorer

import pruneframe
from pruneframe import hookspecs
from pruneframe.component import Component
from pruneframe.hooks import KINDS, brought_by


def module_of(source: str) -> ModuleType:
    module = ModuleType("stranger")
    exec(compile(source, "stranger.py", "exec", dont_inherit=True), module.__dict__)
    return module


def asked(source: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Kinds and names of what a module of this text brings, and the complaints about it."""
    complaints: list[str] = []
    brought = brought_by(module_of(source), complaints.append)
    assert all(described.name == value.name for described, value in brought)
    return [(described.kind, described.name) for described, _ in brought], complaints


def test_kinds_and_hooks_are_one_list() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith("pruneframe_")}
    assert hooks == {f"pruneframe_{kind}s" for kind in KINDS}


def test_kinds_are_told_by_public_classes() -> None:
    classes = {kind: getattr(pruneframe, name) for kind, name in KINDS.items()}
    assert not issubclass(classes.pop("problem"), Component)  # a value, with nothing to set by a spec
    assert all(issubclass(found, Component) and found.kind == kind for kind, found in classes.items())


def test_a_module_may_bring_several_kinds() -> None:
    found, complaints = asked(scorer() + VARIATION)
    assert sorted(found) == [("scorer", "theirs"), ("variation", "stay")]
    assert complaints == []
    assert asked("") == ([], [])


def test_what_is_brought_is_described() -> None:
    module = module_of(scorer())
    [(described, value)] = brought_by(module, pytest.fail)
    assert value is module.__dict__["Theirs"]
    assert (described.kind, described.name) == ("scorer", "theirs")
    assert [(one.name, one.type, one.default, one.help) for one in described.settings] == [
        ("power", "int", 1, "exponent")
    ]


@pytest.mark.parametrize("fault", HOOK_FAULTS)
def test_what_cannot_be_taken_in_is_told_once(fault: str) -> None:
    source, reason = HOOK_FAULTS[fault]
    found, [complaint] = asked(source)
    assert found == []
    assert reason in complaint


def test_the_other_hooks_of_a_faulty_module_are_asked() -> None:
    found, [complaint] = asked(HEADER + VARIATION + "@pf.hookimpl\ndef pruneframe_scorers(): return 1 / 0")
    assert found == [("variation", "stay")]
    assert complaint.startswith("pruneframe_scorers fails")


def test_the_other_components_of_a_hook_are_taken_in() -> None:
    source = HEADER + SCORER.format(kind="A", name="first") + SCORER.format(kind="B", name="second")
    found, [complaint] = asked(source + HOOK.format(brought="A, 5, B"))
    assert found == [("scorer", "first"), ("scorer", "second")]
    assert "must be a subclass of pruneframe.Scorer, but got 5" in complaint


@pytest.mark.parametrize(
    "line",
    [
        "from torch import ops",
        "class Lazy:\n    def __getattr__(self, name): raise RuntimeError(name)\nlazy = Lazy()",
    ],
    ids=["torch.ops has every attribute", "object whose attributes fail"],
)
def test_what_a_module_merely_holds_is_no_hook(line: str) -> None:
    assert asked(scorer() + line) == ([("scorer", "theirs")], [])
