"""Whether what a kind of units gives is a layout of a module's parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from torch import nn

from ..errors import Faulty, Overstepped, faults_of
from ..mask import Group, Layout, Slices
from ..patience import PLANNING, TimeUp, within
from .state import State, digest


def laid_out(lay: Callable[[], object], spec: str, module: nn.Module) -> Layout:
    """What units of this spec give for a module; raises Faulty where they fail, Overstepped where they change it."""
    before = digest(module.state_dict())
    try:
        with faults_of("unit", spec):
            found = within(PLANNING, lay)
    except TimeUp:
        raise _faulty(spec, f"a Layout within {PLANNING:g} s, but go on") from None
    if digest(module.state_dict()) != before:
        raise Overstepped(f"units {spec} must leave the network as it is, but changed its weights", "unit", spec)
    return laid(found, spec, module)


def laid(layout: object, spec: str, module: nn.Module) -> Layout:
    """A layout by units of this spec; raises Faulty where it is none, or names what the module does not have."""
    if not isinstance(layout, Layout):
        raise _faulty(spec, f"a Layout, but gave a {type(layout).__name__}")
    if layout.units != spec:
        raise _faulty(spec, f"Layout({spec!r}, ...), but gave one of {layout.units!r}")
    state = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    for group in layout.groups:
        if (complaint := next(_complaints(group, state), None)) is not None:
            raise _faulty(spec, f"groups of units that the network has, but in {group.layer!r} {complaint}")
    return layout


def _complaints(group: Group, state: State) -> Iterator[str]:
    """What is wrong with one group."""
    if not isinstance(group.size, int) or group.size < 1:
        yield f"there are {group.size} units"
    if group.parameter not in state:
        yield f"there is no parameter {group.parameter!r}"
    elif not group.slices and group.size != math.prod(group.shape):
        yield f"there are {group.size} units without slices, which are single weights, of {math.prod(group.shape)}"
    for own in group.slices:
        if own.parameter not in state:
            yield f"there is no parameter {own.parameter!r}"
        elif not _fits(own, group.size, tuple(state[own.parameter].shape)):
            yield f"slices of {own.parameter!r} reach beyond its shape {tuple(state[own.parameter].shape)}"


def _fits(own: Slices, size: int, shape: tuple[int, ...]) -> bool:
    """Whether the entries are there; a number without dimensions is one entry along its first."""
    shape = shape or (1,)
    if not 0 <= own.dim < len(shape) or (own.places and len(own.places) != size * own.width):
        return False
    places = own.along(size)
    return bool(places.min() >= 0 and places.max() < shape[own.dim])


def _faulty(spec: str, wanted: str) -> Faulty:
    return Faulty(f"units {spec} must give {wanted}", "unit", spec)
