"""What calls from Python share: plugins, lists of names and numbers, and whether progress is shown."""

from __future__ import annotations

import builtins
import copy
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..files import followed
from ..problem import Problem
from ..registry import Registry
from ..spec import names, numbers
from ..study.campaign import Watch, Watching
from ..study.display import display
from ..study.run import Run
from ..study.store import StudyFolder
from ..study.wanted import Say

Plugin = str | Path | Problem  # what `plugins=` lists
Named = Any  # one or several of a kind: a spec, several separated by commas, an object, or a sequence of these


def sources_of(plugins: Iterable[Plugin] | Plugin) -> tuple[str | Problem, ...]:
    """Plugins as a registry takes them: files by their whole paths, and problems that nobody changes meanwhile."""
    plugins = [plugins] if isinstance(plugins, Plugin) else plugins
    return tuple(_own(one) if isinstance(one, Problem) else _path(str(one)) for one in plugins)


def _own(problem: Problem) -> Problem:
    """With a copy of a network that somebody may go on with: training, or another mode."""
    network = problem.network
    return replace(problem, network=copy.deepcopy(network)) if isinstance(network, nn.Module) else problem


def _path(source: str) -> str:
    return source if source.startswith("no:") else str(followed(source))


def registry_of(sources: tuple[str | Problem, ...]) -> Registry:
    """What can be named; warns of everything that is wrong with a plugin."""
    found = Registry(sources)
    for complaint in found.complaints:
        warnings.warn(complaint, stacklevel=3)
    return found


def specs(given: Named) -> list[str]:
    """The specs that are meant: of texts what they list, of components what they are called."""
    several = [given] if isinstance(given, str) or not isinstance(given, Iterable) else given
    return names(one if isinstance(one, str) else repr(one) for one in several)


def integers(given: int | str | Iterable[int], what: str) -> list[int]:
    """The numbers that are meant by one, by several, or by a text such as `0-4`."""
    if isinstance(given, str):
        return numbers([given], what)
    return numbers([str(number) for number in ([given] if isinstance(given, int) else given)], what)


def interactive() -> bool:
    """Whether somebody types, at a prompt or into a notebook."""
    return hasattr(sys, "ps1") or hasattr(builtins, "get_ipython")


def showing(progress: bool | None) -> tuple[Say, Watching]:
    """How lines and the state of runs are told: at a prompt or where it is asked for, else not at all."""
    if interactive() if progress is None else progress:
        return (lambda line: print(line, file=sys.stderr)), display
    return (lambda line: None), _unseen


@contextmanager
def _unseen(study: StudyFolder, runs: Sequence[Run]) -> Iterator[Watch]:
    yield lambda states: None
