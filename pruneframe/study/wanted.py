"""What is asked for: methods on problems, instances and seeds, by which rules and on which machine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from ..errors import InputError

if TYPE_CHECKING:  # these take torch along, which no mistake has to wait for
    from ..engine import Precision
    from ..problem import Problem
    from ..registry import Registry
    from .plan import Plan
    from .store import StudyFolder

FIRST = "lenet-digits"  # the problem that needs neither a name nor a download
SEEDS = "0-4"  # unless others are named
LARGEST = 1_000_000_000  # passes of a run
MOST = 100_000  # runs
RULES = ("budget", "units", "batch_norm", "search_images", "objectives", "target")  # of a problem, that are optional

Say = Callable[[str], None]  # tells people a line


@dataclass(frozen=True)
class Wanted:
    """What a command asks for, or a call; `rules` may set units, objectives, target, batch_norm, search_images, budget.

    Specs are texts, `sources` what the registry was made of, `precision` and `jobs` None where the machine decides.
    """

    registry: Registry
    sources: tuple[str | Problem, ...]
    methods: list[str]
    problems: list[str]
    instances: list[int]
    seeds: list[int]
    rules: dict[str, Any]
    device: str = "cpu"
    threads: int = 1
    precision: Precision | None = None
    jobs: int | None = None
    dask: str | None = None  # the address of a cluster's scheduler, or local:N; None is this machine without one
    extra: dict[str, Any] = field(default_factory=dict)  # what the study shall know beside all that

    @property
    def in_place(self) -> bool:
        """Whether runs must be carried out in this process, one by one: other ones do not see what is in its memory."""
        return not all(isinstance(source, str) for source in self.sources)

    def check(self) -> None:
        """Raise InputError for a name, setting or number that cannot be meant, before anything is imported for it."""
        given = {"unit": self.rules["units"], "target": self.rules["target"]}
        named = {"method": self.methods, "problem": self.problems, "objective": self.rules["objectives"] or ()}
        named |= {kind: [spec] for kind, spec in given.items() if spec is not None}
        for kind, specs in named.items():
            for spec in specs:
                self.registry.check(kind, spec)
        budget = self.rules["budget"]
        if budget is not None and not 0 < budget <= LARGEST:
            raise InputError(f"0 < budget <= {LARGEST:,} must hold, but got {budget:g}")
        runs = len(self.methods) * len(self.problems) * len(self.instances) * len(self.seeds)
        if runs > MOST:
            raise InputError(f"at most {MOST:,} runs can be meant at once, but these are {runs:,}; name fewer")
        check_device(self.device)
        if self.dask is not None:
            self._check_cluster(self.dask)
        if self.in_place and (self.jobs or 1) > 1:
            raise InputError(
                f"--jobs must be 1 for a problem in memory, but got {self.jobs}; a problem in a file has no such limit"
            )

    def _check_cluster(self, where: str) -> None:
        """Raise InputError where runs cannot be handed to a cluster."""
        from .cluster import check_cluster

        check_cluster(where)
        if self.in_place:
            raise InputError("--dask takes no problem in memory, which workers do not see; put it into a plugin's file")
        if self.jobs is not None:
            raise InputError("--jobs and --dask exclude each other: a cluster has as many runs at once as threads")

    def canonical(self) -> Self:
        """The same by the names that components have, whatever else they are called: one run has one identity."""
        named, rules = self.registry.canonical, dict(self.rules)
        for rule, kind in (("units", "unit"), ("target", "target")):
            rules[rule] = None if rules[rule] is None else named(kind, rules[rule])
        if rules["objectives"]:
            rules["objectives"] = tuple(named("objective", spec) for spec in rules["objectives"])
        methods, problems = (
            [named("method", spec) for spec in self.methods],
            [named("problem", p) for p in self.problems],
        )
        return replace(self, methods=methods, problems=problems, rules=rules)

    def planned(self, say: Say, timeout: float | None = None) -> tuple[Plan, int]:
        """The runs, and how many of them are carried out at once; loads everything.

        `timeout`: seconds that a search may take, and so its planning.
        """
        import torch  # takes seconds, which no mistake so far has to wait for

        from ..patience import PLANNING
        from ..target import Target
        from .plan import most_jobs, plan

        if self.rules["target"] is not None:
            self.registry.component(Target, self.rules["target"])
        torch.set_num_threads(self.threads)
        asked = self.methods, self.problems, self.instances, self.seeds, self.rules
        found = plan(
            self.registry,
            *asked,
            self.device,
            self.threads,
            say,
            self.precision,
            min(PLANNING, timeout or PLANNING),
        )
        if found.measured and (self.jobs or 1) > 1:
            raise InputError(f"--jobs must be 1 where latency is measured, but got {self.jobs}; see --target")
        if found.measured and self.dask is not None:
            raise InputError("--dask must not be given where latency is measured: workers differ")
        self._check_used(found)
        if self.dask is not None:
            from .cluster import size_of

            return found, size_of(self.dask) or 1
        return found, self.jobs or (1 if self.in_place else most_jobs(found, self.threads))

    def _check_used(self, planned: Plan) -> None:
        """Raise InputError for a rule that none of the problems makes use of."""
        problems = [one.problem for one in planned.problems]
        called = ", ".join(problem.name for problem in problems)
        if not any(problem.meter(self.registry.component) for problem in problems):
            told = ", ".join(dict.fromkeys(name for problem in problems for name in problem.objectives))
            why = f"latency and memory are measured on it, but the objectives of {called} are {told}"
            way_out = "leave it out, or name --objectives error,latency"
            check_used({"--target": self.rules["target"]}, f"{why}; {way_out}")
        if self.rules["batch_norm"] == "shifted" and not any(one.network.norms for one in planned.problems):
            check_used({"--batch-norm shifted": True}, f"{called} has no batch norm; leave it out")

    def prepare(self, study: StudyFolder, planned: Plan, control: str | None = None, anew: bool = False) -> None:
        """Make the study's folder; until here nothing has been written.

        Raises InputError where it was computed under other versions or on other hardware and something is missing;
        not where all of it is done `anew`.
        """
        from .machine import environment
        from .surroundings import check_surroundings, repositories

        names = {"methods": "method", "problems": "problem", "instances": "instance", "seeds": "seed"}
        asked = {name: list(dict.fromkeys(getattr(run, one) for run in planned.runs)) for name, one in names.items()}
        first = planned.runs[0]
        machine = {name: getattr(first, name) for name in ("device", "threads", "precision")}
        surroundings = environment(first.device) | {"cores": os.cpu_count()} | repositories(self.registry)
        if not anew and not all(run.folder(study).whole for run in planned.runs):
            check_surroundings(study, surroundings)
        settings = json.loads(json.dumps(asked | machine | self.rules | self.extra))
        study.prepare(settings, surroundings, control)


def check_used(unused: dict[str, Any], why: str) -> None:
    """Raises InputError for the first option with a value that nothing uses, and says `why`, with the way out."""
    given = next((name for name, value in unused.items() if value), None)
    if given is not None:
        raise InputError(f"{given} is used by nothing here: {why}")


def check_device(device: str) -> None:
    """Raises InputError for what is no device, or none of this machine's."""
    if not re.fullmatch(r"cpu|cuda:(0|[1-9][0-9]*)", device):
        raise InputError(f"--device must be cpu or cuda:N, but got {device!r}")
    if device == "cpu":
        return
    import torch

    if int(device.removeprefix("cuda:")) >= torch.cuda.device_count():
        raise InputError(f"--device {device} needs that GPU, but torch sees {torch.cuda.device_count()} GPUs; use cpu")
