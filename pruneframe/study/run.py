"""One run: a method on an instance of a problem with a seed and a budget; what it is, and what it is about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from ..engine import Precision
from ..errors import Faulty, InputError, PruneframeError
from ..front import INDICATORS_VERSION
from ..problem import LoadedProblem, Problem
from ..registry import Registry
from ..spec import parse_spec
from .folder import RunFolder
from .store import StudyFolder


@dataclass(frozen=True)
class Run:
    """The identity of a run: the same identity is the same folder, and gives the same front."""

    problem: str
    method: str  # the component's repr
    instance: int  # of the problem
    seed: int
    budget: float  # in passes
    units: str
    batch_norm: str
    search_images: int
    objectives: tuple[str, ...]
    device: str
    threads: int
    fingerprint: str  # of the dense weights and all splits
    versions: tuple[tuple[str, str], ...]  # of the plugins involved
    target: str = ""  # what physical objectives measure on, where there are any
    target_identity: str = ""  # all that its answers depend on
    precision: Precision = "float32"  # of the search; what is reported is float32
    indicators: int = INDICATORS_VERSION

    @classmethod
    def of(cls, identity: dict[str, Any]) -> Self:
        """The run that a folder's identity describes."""
        found = {field.name: identity[field.name] for field in fields(cls)}
        versions = tuple((name, version) for name, version in found["versions"])
        return cls(**found | {"objectives": tuple(found["objectives"]), "versions": versions})

    @property
    def hash(self) -> str:
        """10 hex digits over all fields but the place of a target's table."""
        return self._hash(())

    @property
    def board(self) -> str:
        """The hash of what runs must share to be compared, each with those of its own instance: all rules."""
        return self._hash(("method", "instance", "seed", "fingerprint", "versions"))

    @property
    def identity(self) -> dict[str, Any]:
        """All fields, hash and board, as its folder keeps them; `references` are known once it has begun."""
        return asdict(self) | {"hash": self.hash, "board": self.board, "references": []}

    def _hash(self, without: Sequence[str]) -> str:
        """A target counts by its identity: a table may lie elsewhere."""
        fields = {name: value for name, value in asdict(self).items() if name not in ("target", *without)}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:10]

    def folder(self, study: StudyFolder) -> RunFolder:
        """Where it lies in a study."""
        return study.run(self.problem, self.method, self.instance, self.seed, self.hash)

    def problem_of(self, registry: Registry) -> Problem:
        """The problem of this name, with the settings that are meant."""
        names = ("units", "batch_norm", "search_images", "objectives", "budget", "instance")
        settings = {name: getattr(self, name) for name in names} | {"target": self.target or None}
        return registry.problem(self.problem).with_settings(**settings)

    def load(self, registry: Registry, report: Callable[[str], None] = lambda line: None) -> LoadedProblem:
        """That problem in memory; raises InputError where it is not the one that the run was planned on."""
        loaded = self.problem_of(registry).load(registry.component, report)
        if loaded.fingerprint != self.fingerprint:
            called = loaded.problem.called
            raise InputError(f"problem {called!r} has other weights or images here than where it was pruned")
        return loaded


def told(error: BaseException, registry: Registry, method: str = "") -> str:
    """Why a run of a method failed, or something before it, in one line that names the plugin whose fault it is."""
    if isinstance(error, OSError):  # a full disk is nobody's
        return str(error)
    known = isinstance(error, PruneframeError)
    reason = str(error) if known else f"{type(error).__name__}: {' '.join(str(error).split())}"
    plugin = registry.blamed(error)
    if plugin is None and method and isinstance(error, Faulty):
        plugin = registry.described("method", parse_spec(method)[0])[1]
    return reason if plugin is None else plugin.signed(reason)
