"""The whole plugin API: what a plugin may bring.

A plugin is a module, named by an entry point of the group `pruneframe`, with some of these functions, each marked with
`@pruneframe.hookimpl`. Everything it brings is found by its `name`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from .encoding import Encoding
    from .method import Method
    from .objective import Objective
    from .problem import Problem
    from .report import Report
    from .scorer import Scorer
    from .target import Target
    from .units import Units
    from .variation import Variation

hookspec = pluggy.HookspecMarker("pruneframe")
hookimpl = pluggy.HookimplMarker("pruneframe")  # marks a function of a plugin as a hook


@hookspec
def pruneframe_encodings() -> Sequence[type[Encoding]]:  # type: ignore[empty-body]
    """Ways to write a mask as a genome."""


@hookspec
def pruneframe_scorers() -> Sequence[type[Scorer]]:  # type: ignore[empty-body]
    """Importance scores of weights or filters."""


@hookspec
def pruneframe_variations() -> Sequence[type[Variation]]:  # type: ignore[empty-body]
    """Operators that make children from parents."""


@hookspec
def pruneframe_objectives() -> Sequence[type[Objective]]:  # type: ignore[empty-body]
    """Numbers to minimise."""


@hookspec
def pruneframe_targets() -> Sequence[type[Target]]:  # type: ignore[empty-body]
    """What networks are meant for: where latency and memory are measured or estimated."""


@hookspec
def pruneframe_units() -> Sequence[type[Units]]:  # type: ignore[empty-body]
    """What the bits of a mask stand for."""


@hookspec
def pruneframe_methods() -> Sequence[type[Method]]:  # type: ignore[empty-body]
    """Searches for good masks."""


@hookspec
def pruneframe_problems() -> Sequence[Problem]:  # type: ignore[empty-body]
    """Trained networks with their data."""


@hookspec
def pruneframe_reports() -> Sequence[type[Report]]:  # type: ignore[empty-body]
    """Figures and tables of the comparison."""
