"""Small things that tests are made of: layouts by the sizes of their layers, networks by the name of their units."""

from __future__ import annotations

from functools import cache

from torch import nn

from pruneframe.component import Found
from pruneframe.mask import Group, Layout
from pruneframe.model.network import Network
from pruneframe.problem import LoadedProblem, Problem
from pruneframe.registry import Registry
from pruneframe.units import Units


@cache
def registry() -> Registry:
    """One registry of what is bundled, for tests that only look things up."""
    return Registry()


def lookup(kind: type[Found], spec: str, /) -> Found:
    """A bundled component."""
    return registry().component(kind, spec)


def load(problem: Problem) -> LoadedProblem:
    """A problem in memory."""
    return problem.load(lookup)


def network(module: nn.Module, input_shape: tuple[int, ...], units: str = "weight") -> Network:
    """A module as a network of some kind of units."""
    return Network(module, input_shape, lookup(Units, units))


def layout(units: str = "weight", **sizes: int) -> Layout:
    """A layout of layers with so many units each, without a network behind it."""
    return Layout(units, tuple(Group(layer, size, (size,)) for layer, size in sizes.items()))
