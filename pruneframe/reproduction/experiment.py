"""Experiments: what a method's paper tried and printed, as data beside the method, and how it is tried here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Size = Literal["smoke", "cpu", "full"]
SIZES: tuple[Size, ...] = get_args(Size)  # smallest first


@dataclass(frozen=True)
class Scale:
    """How much of an experiment is carried out: every method once for each instance and seed.

    `search_images` None means as many as the problem has by default. Raises ValueError for what cannot be run.
    """

    budget: float  # in passes
    search_images: int | None = None  # behind each evaluation
    instances: tuple[int, ...] = (0,)  # of the problem
    seeds: tuple[int, ...] = (0,)  # of the search

    def __post_init__(self) -> None:
        if not 0 < self.budget < math.inf:
            raise ValueError(f"0 < budget < inf must hold, but got {self.budget}")
        if not (self.seeds and self.instances):
            raise ValueError(f"an instance and a seed must be given, but got {self}")


@dataclass(frozen=True)
class Finding:
    """One result as a paper prints it, and what is measured beside it here.

    That is of the member that saves most of `saving` among those that lose at most `loss` points of accuracy on the
    search images with 90 % confidence. `saving` is "parameters" (the share removed), "multiply-adds", "convolutions"
    (multiply-adds in convolutions), or an objective of the experiment, such as "latency" (how many times less there
    is). `published` is the paper's figure in the same terms; None where it prints none, or not whose it is.
    Raises ValueError for a loss that is none.
    """

    reported: str  # the result, in the paper's terms
    read: str  # where that was read: "abstract", "table 3", "a summary"
    methods: tuple[str, ...]  # specs of the method whose runs stand beside it
    saving: str = "parameters"
    published: float | None = None
    loss: float = 0.5  # of our choosing where a paper says "hardly any"

    def __post_init__(self) -> None:
        if not (self.methods and 0 <= self.loss <= 100):
            raise ValueError(f"a method, and 0 <= loss <= 100, must be given, but got {self}")


@dataclass(frozen=True)
class Experiment:
    """What a paper tried on one network and its data: the problem of ours that has the same, the rules, the results.

    The problem need not be installed: then the experiment is told as not at hand. `difference` says in words how the
    protocol here is another than the paper's, whatever the scale. Where `timed_on` names a target, each layer of the
    network is timed on it first, and the table is what latency is looked up in. A scale that is None is not offered.
    Raises ValueError where there is nothing to measure or no scale.
    """

    problem: str
    paper: str  # as it is cited in a line: "Yang et al., 2019"
    findings: tuple[Finding, ...]  # a row of the table for each, and for each of its methods
    difference: str
    smoke: Scale | None = None  # minutes; whether it works
    cpu: Scale | None = None  # hours on a processor
    full: Scale | None = None  # the paper's own, as far as that is known
    units: str = "weight"  # what is pruned
    objectives: tuple[str, ...] = ("error", "params")  # what is minimised
    batch_norm: Literal["frozen", "shifted"] = "frozen"  # what happens to batch statistics
    timed_on: str = ""  # a target that measures, such as "local-cpu"

    def __post_init__(self) -> None:
        if not (self.findings and any((self.smoke, self.cpu, self.full))):
            raise ValueError(f"a finding and a scale must be given for {self.problem!r}")

    def scale(self, size: Size) -> Scale | None:
        """How much of it that is; None where it is not offered."""
        return {"smoke": self.smoke, "cpu": self.cpu, "full": self.full}[size]

    @property
    def methods(self) -> list[str]:
        """The specs of all runs, each once."""
        return list(dict.fromkeys(spec for finding in self.findings for spec in finding.methods))
